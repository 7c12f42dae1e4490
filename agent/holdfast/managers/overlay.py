"""The overlay: takes DHCPv4, and nothing else, out of the managers' hands for the links that Holdfast serves.

Theory of operation
-------------------
``compute`` asks each manager's file how DHCPv4 is taken out of what it does on each link, and makes no change.
``write`` makes what is missing or different below /run, removes what an earlier run left that is wanted no more, and
records each entry in ``/run/holdfast-overlay/entries`` before it is made: KIND, LINK, PATH and for a mount the SOURCE,
tab-separated, a line each, so that the fallback, a shell script, can remove all of it. A link that a manager's file
cannot be read for, or where something cannot be kept, has no entry and no settings, but a file in ``refused/`` with the
reason; its former client keeps it. A second run with the same files writes nothing, so that it does not wake the unit
that watches them.

Only entries below /run are made, whatever a manager's file says; folders are opened component by component and nothing
is followed (``state.folder``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from holdfast.managers import dhcpcd, ifcfg, ifupdown, networkd, networkmanager
from holdfast.managers.formats import substitutions
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, Entry, File, Link, Passage, Symlink, Takeout, Value
from holdfast.settings.dirs import OVERLAY_DIR, OVERLAY_SETTINGS_DIR
from holdfast.settings.links import REFUSED_DIR, RULES_DIR, Rule, rules_text
from holdfast.state import atomic
from holdfast.state import folder as folders
from holdfast.wire.record import NamedTuple

#: In the order in which their settings count, should two managers do DHCPv4 on one link.
MANAGERS: Mapping[str, Callable[[Tree, Link], Takeout | None]] = {
    module.__name__.rpartition(".")[2]: module.takeout
    for module in (networkd, networkmanager, ifupdown, ifcfg, dhcpcd) if hasattr(module, "takeout")
}
#: What each does on which links of a pattern; None from a manager that does not start.
_RULES: Sequence[Callable[[Tree, Link], Sequence[Rule] | None]] = (
    networkd.rules, networkmanager.rules, ifupdown.rules, ifcfg.rules, dhcpcd.rules,
)
ENTRIES = f"{OVERLAY_DIR}/entries"
#: Bytes of one file that is compared; what is larger is not ours.
SIZE_LIMIT = 1 << 20


class OverlayError(Exception):
    """The overlay cannot be made or removed: one line that says what and where."""


class LinkOverlay(NamedTuple):
    """What is made for one link: ``takeouts`` of its managers; ``refusals``, a line each, of what cannot be kept.
    Without takeouts no manager does DHCPv4 there, and there is nothing to do. ``rules``: of a pattern, on which of its
    links managers do DHCPv4; None where no manager starts."""

    link: Link
    takeouts: tuple[Takeout, ...]
    refusals: tuple[str, ...]
    rules: tuple[Rule, ...] | None = None

    @property
    def settings(self) -> Mapping[str, Value]:
        """Holdfast's settings for the link; an earlier manager's go before a later one's."""
        return {key: value for takeout in reversed(self.takeouts) for key, value in takeout.settings.items()}

    @property
    def lost(self) -> tuple[str, ...]:
        """What is no longer run for DHCPv4 events, a line each."""
        return tuple(line for takeout in self.takeouts for line in takeout.lost)

    def entries(self) -> Iterator[Entry]:
        """What is made below /run, in order."""
        name = self.link.name
        if self.refusals:
            yield File(f"{REFUSED_DIR}/{name}", "".join(f"{line}\n" for line in self.refusals).encode())
            return
        if self.rules is not None:
            yield File(f"{RULES_DIR}/{name}", rules_text(self.rules).encode())
        if self.settings:
            yield File(f"{OVERLAY_SETTINGS_DIR}/50-{name}.toml", settings_text(name, self.settings).encode())
        for takeout in self.takeouts:
            yield from takeout.entries


class Overlay(NamedTuple):
    """The overlay of all links, in the order of the list."""

    links: tuple[LinkOverlay, ...]

    def of(self, name: str) -> LinkOverlay | None:
        """That of the link or pattern ``name``."""
        return next((one for one in self.links if one.link.name == name), None)

    def entries(self) -> dict[str, tuple[str, Entry]]:
        """Path -> (link, entry), in the order in which they are made. OverlayError for one that is not below /run,
        and for two that differ."""
        made: dict[str, tuple[str, Entry]] = {}
        for one in self.links:
            for entry in one.entries():
                _check(entry)
                known = made.setdefault(entry.path, (one.link.name, entry))
                both = _merged(known[1], entry)
                if both is None:
                    raise OverlayError(f"{entry.path} would be made in two ways, for {known[0]} and for "
                                       f"{one.link.name}; name one of them in the list")
                made[entry.path] = (known[0], both)
        return made


def _merged(one: Entry, other: Entry) -> Entry | None:
    """What is both, or the copy of a file with the substitutions of both; None for what cannot be one."""
    if one == other:
        return one
    if not isinstance(one, File) or not isinstance(other, File) or one.mode != other.mode:
        return None
    text = substitutions.merged(*(each.content.decode("utf-8", "surrogateescape") for each in (one, other)))
    return None if text is None else one._replace(content=text.encode("utf-8", "surrogateescape"))


def compute(tree: Tree, links: Sequence[Link]) -> Overlay:
    """What takes DHCPv4 out of the managers' hands on ``links``. Changes nothing, raises nothing."""
    return Overlay(tuple(_of_link(tree, link) for link in links))


def _of_link(tree: Tree, link: Link) -> LinkOverlay:
    takeouts: list[Takeout] = []
    refusals: list[str] = []
    for manager, takeout_of in MANAGERS.items():
        try:
            takeout = takeout_of(tree, link)
        except FormatError as error:
            refusals.append(str(error))
        except OSError as error:
            refusals.append(f"what {manager} does on {link.name} cannot be read: "
                            f"{error.strerror or error}")
        else:
            if takeout is not None:
                takeouts.append(takeout)
                refusals += takeout.refusals
    rules = _rules(tree, link) if link.pattern and not refusals else None
    return LinkOverlay(link, tuple(takeouts), tuple(refusals), rules)


def _rules(tree: Tree, link: Link) -> tuple[Rule, ...] | None:
    """Those of all managers that start, None when none does. What cannot be read was refused before."""
    found = [rules for rules_of in _RULES if (rules := rules_of(tree, link)) is not None]
    return tuple(rule for rules in found for rule in rules) if found else None


def _check(entry: Entry) -> None:
    """OverlayError for an entry outside of /run, or in a place where a line of the record could be misread."""
    if isinstance(entry, Bind):
        _check_below_run(entry.source)
        if entry.path != os.path.normpath(entry.path) or not entry.path.startswith("/") or not entry.path.isprintable():
            raise OverlayError(f"{entry.path!r} is no path to mount a file over")
    else:
        _check_below_run(entry.path)


def _check_below_run(path: str) -> None:
    if path != os.path.normpath(path) or not path.startswith("/run/") or not path.isprintable():
        raise OverlayError(f"{path!r} is not below /run, and the overlay makes nothing elsewhere")


def settings_text(name: str, settings: Mapping[str, Value]) -> str:
    """The settings of a link as TOML, which the agent reads before /etc/holdfast."""
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in settings.items())
    return ("# Made anew at each boot from what the link's manager is told to do; /etc/holdfast goes before.\n"
            f"[interfaces.{toml(name)}]\n{lines}")


def toml(value: Value) -> str:
    """A value as TOML writes it (TOML 1.0: a basic string escapes the quote, the backslash and control characters)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return '"' + "".join(f"\\u{ord(each):04x}" if ord(each) < 32 or each in '"\\\x7f' else each for each in value) + '"'


# -- writing -----------------------------------------------------------------------------------------


class Changes(NamedTuple):
    """What ``write`` would do: ``made``, the paths of entries that are not there as they are wanted; ``removed``, link
    and path of what an earlier run has made and is wanted no more."""

    made: frozenset[str]
    removed: tuple[tuple[str, str], ...]


def changes(overlay: Overlay, root: str = "/") -> Changes:
    """What ``write`` would do in the file system ``root``; nothing is changed. OverlayError."""
    files = _Files(root)
    wanted = overlay.entries()
    try:
        missing, leftover = _differences(files, files.recorded(), wanted)
    except OSError as error:
        raise OverlayError(_told(error)) from None
    return Changes(frozenset(missing), tuple((line[1], line[2]) for line in leftover))


def write(overlay: Overlay, root: str = "/", *, binds: bool = True) -> bool:
    """Make the overlay in the file system ``root``, and remove what an earlier one left; True if anything differed.
    OverlayError, also for a full disk: then nothing is there that was not there before. Not ``binds``: mounts are only
    recorded, for a process that is not in a sandbox."""
    files = _Files(root, binds=binds)
    wanted = overlay.entries()
    try:
        former = files.recorded()
    except OSError as error:
        raise OverlayError(_told(error)) from None
    try:
        return _write(files, former, wanted)
    except OSError as error:
        _forget(files, former)
        raise OverlayError(_told(error)) from None


def _differences(
    files: _Files, former: list[_Line], wanted: Mapping[str, tuple[str, Entry]]
) -> tuple[list[str], list[_Line]]:
    """The paths to make, and the lines of the record that are wanted no more. OSError."""
    missing = [path for path, (_, entry) in wanted.items() if not files.has(entry)]
    if files.binds:  # a file that is replaced is another one than what is mounted
        missing += [path for path, (_, entry) in wanted.items()
                    if isinstance(entry, Bind) and entry.source in missing and path not in missing]
    return missing, [line for line in former if line[2] not in wanted]


def _write(files: _Files, former: list[_Line], wanted: Mapping[str, tuple[str, Entry]]) -> bool:
    missing, leftover = _differences(files, former, wanted)
    record = [_line(link, entry) for link, entry in wanted.values()]
    if former == record and not missing:
        return False
    # What is there and what is about to be there: a run that is killed in between leaves nothing that is not recorded.
    files.record([*leftover, *record])
    for path in missing:
        files.make(wanted[path][1])
    for line in leftover:
        files.unmake(line)
    files.record(record)
    return True


def remove(name: str | None = None, root: str = "/") -> bool:
    """Remove the overlay of the link or pattern ``name``, or of all; True if there was any. OverlayError."""
    files = _Files(root)
    try:
        recorded = files.recorded()
        gone = [line for line in recorded if name in (None, line[1])]
        for line in reversed(gone):
            files.unmake(line)
        if gone:
            files.record([line for line in recorded if line not in gone])
        return bool(gone)
    except OSError as error:
        raise OverlayError(_told(error)) from None


def _forget(files: _Files, former: list[_Line]) -> None:
    """Remove what is recorded beyond ``former``."""
    with suppress(OSError):
        for line in reversed(files.recorded()):
            if line not in former:
                with suppress(OSError):
                    files.unmake(line)
        files.record(former)


def _told(error: OSError) -> str:
    return f"{error.filename or OVERLAY_DIR}: {error.strerror or error}"


_KINDS: Mapping[type, str] = {File: "file", Symlink: "link", Bind: "bind", Passage: "passage"}
#: A line of the record, with as many words as its kind has.
_Line = tuple[str, ...]
_WORDS = {"file": 3, "link": 3, "bind": 4, "passage": 3}


def _line(link: str, entry: Entry) -> _Line:
    return (_KINDS[type(entry)], link, entry.path, *((entry.source,) if isinstance(entry, Bind) else ()))


#: Of a folder's mode: others may use the names in it.
_SEARCHABLE = 0o011


class _Files:
    """The files of an overlay below ``root``."""

    def __init__(self, root: str, *, binds: bool = True) -> None:
        self._root, self.binds = root.rstrip("/"), binds

    def has(self, entry: Entry) -> bool:
        """True if the entry is there, exactly as wanted, or is not for us to make. OSError."""
        if isinstance(entry, Bind) and not self.binds:
            return True
        if isinstance(entry, Passage):
            with self._holding(f"{entry.path}/") as (folder, _):
                return folder >= 0 and os.fstat(folder).st_mode & _SEARCHABLE == _SEARCHABLE
        with self._holding(entry.path) as (folder, name):
            if folder < 0:
                return False
            try:
                now = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if isinstance(entry, Symlink):
                return stat.S_ISLNK(now.st_mode) and os.readlink(name, dir_fd=folder) == entry.target
            if isinstance(entry, Bind):
                with suppress(FileNotFoundError):
                    return os.path.samestat(now, os.stat(self._root + entry.source, follow_symlinks=False))
                return False
            return (stat.S_ISREG(now.st_mode) and stat.S_IMODE(now.st_mode) == entry.mode and now.st_uid == os.geteuid()
                    and now.st_nlink == 1 and entry.mtime in (None, int(now.st_mtime))
                    and folders.read_at(folder, name, SIZE_LIMIT) == entry.content)

    def make(self, entry: Entry) -> None:
        """Make the entry, atomically, in place of what has its name. OSError."""
        if isinstance(entry, Bind):
            _mount(self._root + entry.source, self._root + entry.path)
            return
        if isinstance(entry, Passage):
            with self._holding(f"{entry.path}/", make=True) as (folder, _):
                fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
            try:
                os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) | _SEARCHABLE)
            finally:
                os.close(fd)
            return
        with self._holding(entry.path, make=True) as (folder, name):
            if isinstance(entry, File):
                atomic.write_at(folder, name, entry.content, entry.mode, durable=False)
                if entry.mtime is not None:
                    os.utime(name, (entry.mtime, entry.mtime), dir_fd=folder, follow_symlinks=False)
                return
            draft = f".{name}.tmp"
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            os.symlink(entry.target, draft, dir_fd=folder)
            os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)

    def unmake(self, line: _Line) -> None:
        """Remove an entry, and the folder that it was in when that is a drop-in folder and empty. A passage stays:
        whose folder it is does not close it either. OSError."""
        kind, _, path, *_ = line
        if kind == "passage":
            return
        if kind == "bind":
            if self.binds:
                _unmount(self._root + path)
            return
        with self._holding(path) as (folder, name):
            if folder >= 0:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
        above = os.path.dirname(path)
        if above.endswith(".d"):
            with self._holding(above) as (folder, name), suppress(OSError):
                os.rmdir(name, dir_fd=folder)

    def recorded(self) -> list[_Line]:
        """What an earlier run has made. OSError."""
        with self._holding(ENTRIES) as (folder, name):
            try:
                data = folders.read_at(folder, name, SIZE_LIMIT) if folder >= 0 else b""
            except FileNotFoundError:
                return []
        lines = [tuple(line.split("\t")) for line in data.decode("utf-8", "replace").splitlines()]
        return [line for line in lines
                if len(line) == _WORDS.get(line[0]) and (line[0] == "bind" or line[2].startswith("/run/"))]

    def record(self, lines: Sequence[_Line]) -> None:
        """Replace the record. OSError."""
        text = "".join("\t".join(line) + "\n" for line in lines).encode()
        with self._holding(ENTRIES, make=True) as (folder, name):
            atomic.write_at(folder, name, text, 0o644, durable=False)

    @contextmanager
    def _holding(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The open folder that ``path`` is in, -1 when there is none, and the name in it; an OSError names ``path``."""
        above, name = os.path.split(path)
        try:
            fd = folders.open_folder(self._root + above, make=make)
        except FileNotFoundError:
            yield -1, name
            return
        try:
            yield fd, name
        except OSError as error:
            error.filename, error.filename2 = path, None
            raise
        finally:
            os.close(fd)


def _mount(source: str, path: str) -> None:
    _unmount(path)  # a former copy that has been replaced since
    _run(("/bin/mount", "--bind", "-o", "ro", source, path))


def _unmount(path: str) -> None:
    while os.path.ismount(path):
        _run(("/bin/umount", path))


def _run(argv: tuple[str, ...]) -> None:
    """OSError when the program cannot be started, or says that it failed."""
    pid = os.posix_spawn(argv[0], argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    if os.waitpid(pid, 0)[1]:
        raise OSError(0, f"{' '.join(argv)} failed", argv[-1])


