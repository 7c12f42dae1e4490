"""interfaces(5): /etc/network/interfaces and every file that it reads, as ifupdown 0.8 reads them.

What is tried with ``ifquery`` 0.8.41, and not all of it is in the manual page:
- A comment never goes on in the next line; every other line that ends with a backslash does, with nothing between.
- ``source`` has the words and wildcards of a shell. A relative one starts in the folder of the file that it stands in,
  but only the first on its line; every file is read once.
- ``inherits`` takes the options of an earlier stanza, and its family and method when the line has none.
- Where ifupdown gives up (a misplaced line), this goes on, so that no client is missed.

A file that no ``source`` line names is not read. The files are hostile: their size, their number and their depth are
bounded.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from holdfast.managers.formats import substitutions
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.link_patterns import is_pattern
from holdfast.managers.formats.tree import Tree
from holdfast.wire.record import NamedTuple

INTERFACES = "/etc/network/interfaces"
#: Files that read each other, how deep, and their characters together; ifupdown itself has no limit.
MAX_FILES, MAX_DEPTH, MAX_SIZE = 256, 16, 4 << 20
#: What isspace(3) knows, but for the end of a line.
_BLANKS = " \t\r\v\f"
_WORD = re.compile(f"[^{_BLANKS}]+")
#: interfaces(5): the names that ``source-directory`` reads.
_DIRECTORY_NAME = re.compile(r"[a-zA-Z0-9_-]+")
#: Words that begin a line of their own, whatever stanza stands before.
_LISTS = frozenset(("no-auto-down", "no-scripts", "rename", "template"))
#: Outside of quotes wordexp(3) refuses these (WRDE_BADCHAR), and then nothing is read.
_REFUSED = frozenset("|&;<>(){}")


class Stanza(NamedTuple):
    """One ``iface``. ``options``: name and value in order, the inherited ones first. ``path`` and ``line`` (from 1) are
    where it begins. ``family`` and ``method`` are "" when nothing says them."""

    name: str
    family: str
    method: str
    inherits: str
    options: tuple[tuple[str, str], ...]
    path: str
    line: int

    @property
    def dhcp(self) -> bool:
        """True if ifup starts a DHCPv4 client for it."""
        return (self.family, self.method) == ("inet", "dhcp")


class Selection(NamedTuple):
    """A word of ``auto`` or ``allow-...``: ``links`` is the name or shell pattern of the links that it means ("*" where
    it goes by something else than the name), ``logical`` how their stanza is called, "" for the link's own name."""

    keyword: str
    links: str
    logical: str


class Mapping(NamedTuple):
    """One ``mapping``: a script may give links that fit a pattern another name, such as a word of ``maps``."""

    patterns: tuple[str, ...]
    maps: tuple[str, ...]


class Source(NamedTuple):
    """One word of ``source`` or ``source-directory`` in the file ``path``, in ``line`` (from 1); ``pattern`` is
    absolute."""

    path: str
    line: int
    keyword: str
    pattern: str

    def reads(self, name: str) -> bool:
        """True if a file of that name, in the folder that the pattern names, is read."""
        if self.keyword == "source-directory":
            return _DIRECTORY_NAME.fullmatch(name) is not None
        last = posixpath.basename(self.pattern)
        return fnmatchcase(name, last) and (last.startswith(".") or not name.startswith("."))

    @property
    def folder(self) -> str:
        """The folder that it reads from, which may have wildcards itself."""
        return self.pattern if self.keyword == "source-directory" else posixpath.dirname(self.pattern)


class Interfaces(NamedTuple):
    """All of it, in the order in which it is read. ``files`` are the paths of what was read."""

    files: tuple[str, ...]
    stanzas: tuple[Stanza, ...]
    selections: tuple[Selection, ...]
    mappings: tuple[Mapping, ...]
    no_auto_down: tuple[str, ...]
    sources: tuple[Source, ...]

    def of(self, logical: str) -> list[Stanza]:
        """The stanzas of the interface that is called ``logical``. A stanza's name may be a pattern, as newer versions
        and ifupdown-ng have it."""
        return [one for one in self.stanzas
                if one.name == logical or (is_pattern(one.name) and fnmatchcase(logical, one.name))]


def read(tree: Tree, path: str = INTERFACES) -> Interfaces:
    """``path`` and all that it sources. FormatError when a bound is passed or a ``source`` cannot be followed, OSError
    when a file cannot be read; no file is an empty one."""
    reader = _Reader(tree)
    reader.file(path, 0)
    return Interfaces(tuple(reader.files), tuple(reader.stanzas), tuple(reader.selections),
                      tuple(Mapping(patterns, tuple(maps)) for patterns, maps in reader.mappings),
                      tuple(reader.no_auto_down), tuple(reader.sources))


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The logical lines, without comments and empty ones, and the number (from 1) of the line that each begins in."""
    return ((first + 1, whole) for first, _, whole in spans(text.split("\n")))


def spans(physical: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """The logical lines as ``lines`` has them, each with the range of the physical ones (from 0) that it is made of."""
    at = 0
    while at < len(physical):
        first, whole = at, physical[at].lstrip(_BLANKS)
        at += 1
        if whole.startswith("#"):
            continue
        while whole.endswith("\\"):
            whole = whole[:-1] + (physical[at] if at < len(physical) else "")
            at += 1
        whole = whole.rstrip(_BLANKS)
        if whole:
            yield first, at, whole


def ends_stanza(word: str) -> bool:
    """True if a line that begins with ``word`` belongs to no stanza, or begins another."""
    return word in ("iface", "mapping", "auto", *_LISTS) or word.startswith("allow-") or _is_source(word)


def _is_source(word: str) -> bool:
    return word == "source" or word.startswith("source-dir")


class _Reader:
    """What was read so far."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._size = 0
        self.files: list[str] = []
        self.stanzas: list[Stanza] = []
        self.selections: list[Selection] = []
        self.mappings: list[tuple[tuple[str, ...], list[str]]] = []
        self.no_auto_down: list[str] = []
        self.sources: list[Source] = []

    def file(self, path: str, depth: int) -> None:
        """Read one file, once."""
        if path in self.files:
            return
        text = self._tree.text(path)
        if text is None:
            return
        text = substitutions.original(text)
        self.files.append(path)
        self._size += len(text)
        if len(self.files) > MAX_FILES or depth > MAX_DEPTH or self._size > MAX_SIZE:
            raise FormatError(f"{INTERFACES} reads more than {MAX_FILES} files, {MAX_DEPTH} deep, or {MAX_SIZE} "
                              f"characters (at {path}); read fewer")
        inside = ""
        for number, line in lines(text):
            words = _WORD.findall(line)
            inside = self._line(path, number, words, line[len(words[0]):].strip(_BLANKS), inside, depth)

    def _line(self, path: str, number: int, words: list[str], rest: str, inside: str, depth: int) -> str:
        """One line; ``inside`` which stanza ("iface", "mapping" or "") it is read, and the next one will be."""
        word = words[0]
        if word == "iface":
            self.stanzas.append(self._stanza(words[1:], path, number))
            return word
        if word == "mapping":
            self.mappings.append((tuple(words[1:]), []))
            return word
        if _is_source(word):
            keyword = "source" if word == "source" else "source-directory"
            for pattern in self._patterns(path, rest):
                self._source(Source(path, number, keyword, pattern), depth)
        elif word == "auto" or word.startswith("allow-"):
            keyword = "auto" if word == "allow-auto" else word
            self.selections += [Selection(keyword, *_selected(each)) for each in words[1:]]
        elif word == "no-auto-down":
            self.no_auto_down += words[1:]
        elif word not in _LISTS:
            if inside == "iface":
                last = self.stanzas[-1]
                self.stanzas[-1] = last._replace(options=(*last.options, (word, rest)))
            elif inside == "mapping" and word == "map":
                self.mappings[-1][1].extend(words[1:])
            return inside
        return ""

    def _stanza(self, words: list[str], path: str, number: int) -> Stanza:
        """``NAME [FAMILY [METHOD]] [inherits OTHER]``."""
        name, said = (words[0] if words else ""), words[1:4]
        family = said.pop(0) if said[:1] != ["inherits"] and said else ""
        method = said.pop(0) if said[:1] != ["inherits"] and said else ""
        at = words.index("inherits") + 1 if "inherits" in words else len(words)
        other = words[at] if at < len(words) else ""
        stanza = Stanza(name, family, method, other, (), path, number)
        for each in self.stanzas:
            if other and each.name == other and family in ("", each.family):
                return stanza._replace(family=family or each.family, method=method or each.method,
                                       options=each.options)
        return stanza

    def _patterns(self, path: str, rest: str) -> list[str]:
        """The absolute paths and patterns of a ``source`` line (wordexp(3) with WRDE_NOCMD)."""
        plain = re.sub(r"'[^']*'|\"[^\"]*\"|\\.", "", rest)
        if not _REFUSED.isdisjoint(plain) or not rest:
            return []
        if not {"$", "`"}.isdisjoint(rest):
            raise FormatError(f"{path} has `source {rest}`, which depends on how ifup is started; name the file")
        try:
            words = shlex.split(rest)
        except ValueError:  # a quotation mark without its end
            return []
        first = posixpath.join(posixpath.dirname(path), words[0])
        return [posixpath.join("/", word).rstrip("/") for word in (first, *words[1:])]

    def _source(self, source: Source, depth: int) -> None:
        self.sources.append(source)
        for path in self._tree.glob(source.pattern):
            if source.keyword == "source":
                self.file(path, depth + 1)
                continue
            for name in self._tree.names(path):
                if source.reads(name):
                    self.file(f"{path}/{name}", depth + 1)


def _selected(word: str) -> tuple[str, str]:
    """The links that a word of ``auto`` means, and the logical name that they get.

    ``/eth*`` is a pattern of names, ``/eth*/1`` the first link that fits it; ``mac/VALUE`` and other variables go by
    something else, which older versions write ``/mac/VALUE``. Any of them may end with ``=LOGICAL``.
    """
    pattern, _, logical = word.partition("=")
    variable, slash, value = pattern.partition("/")
    if not slash:
        return pattern, logical or pattern
    names, _, number = value.partition("/")
    return (names if not variable and re.fullmatch("-?[0-9]*", number) else "*"), logical
