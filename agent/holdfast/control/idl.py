"""Varlink's interface definition language (varlink.org/Interface-Definition): a definition as data, and values held
against it.

Pure: text and values in, records out. A definition is bounded in length and depth, so is the work for a value: it
grows with the value alone, whose depth ``message.decode`` bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite

from holdfast.strict_json import INT_MAX, INT_MIN
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

#: Characters of a definition; ours has about 5000.
TEXT_LIMIT = 64 << 10
#: Types within types; ours has three.
DEPTH_LIMIT = 16

PRIMITIVES = ("bool", "int", "float", "string", "object")

#: Tokens that need no white space around them.
_SYMBOLS = ("->", "[string]", "[]", "?", "(", ")", ":", ",")


#: The names and numbers that lead to a value within another.
Way = tuple[str | int, ...]


class DefinitionError(ValueError):
    """A text that is no interface definition; ``line`` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class MismatchError(ValueError):
    """A value that is not of its declared type. ``where`` is the way to it, such as ``clients[0].lease.expiry``, and
    ``member`` the way's first name; both are "" for the value as a whole."""

    def __init__(self, way: Way, reason: str) -> None:
        self.where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way).removeprefix(".")
        self.member = str(way[0]) if way else ""
        super().__init__(f"{self.where or 'the value'} {reason}")


class Primitive(NamedTuple):
    """``name`` is one of PRIMITIVES. An object is any JSON value but null."""

    name: str


class Enum(NamedTuple):
    """One of ``values``, as a string."""

    values: tuple[str, ...]


class Struct(NamedTuple):
    """A JSON object with these members; those that are Maybe may be left out."""

    fields: Mapping[str, Type]


class Array(NamedTuple):
    """A JSON array of ``element``."""

    element: Type


class Map(NamedTuple):
    """A JSON object with any members, each an ``element``."""

    element: Type


class Maybe(NamedTuple):
    """``element`` or null."""

    element: Type


class Named(NamedTuple):
    """The type that the interface declares as ``name``."""

    name: str


Type = Primitive | Enum | Struct | Array | Map | Maybe | Named


class Method(NamedTuple):
    """What a call's and an answer's parameters are."""

    takes: Struct
    gives: Struct


class Interface(NamedTuple):
    """One interface. ``text`` is what it was parsed from; the mappings are by the members' short names."""

    name: str
    text: str
    types: Mapping[str, Type]
    methods: Mapping[str, Method]
    errors: Mapping[str, Struct]


def parse(text: str) -> Interface:
    """The interface that ``text`` defines. Raises DefinitionError, which names the line."""
    if len(text) > TEXT_LIMIT:
        raise DefinitionError(1, f"longer than {TEXT_LIMIT} characters")
    return _Parser(text).interface()


def conform(interface: Interface, kind: Type, value: object, *, strict: bool = False) -> Any:
    """A copy of ``value``, which is decoded JSON, as ``kind`` of ``interface`` says: every declared member of a struct
    is there, None where an optional one was left out. Members that are not declared (of another version) are left
    out, or are a mismatch when ``strict``. Raises MismatchError."""
    return _Checker(interface.types, strict).value(kind, value, ())


class _Checker:
    def __init__(self, types: Mapping[str, Type], strict: bool) -> None:
        self._types, self._strict = types, strict

    def value(self, kind: Type, value: object, where: Way) -> Any:
        if isinstance(kind, Named):
            return self.value(self._types[kind.name], value, where)
        if isinstance(kind, Maybe):
            return None if value is None else self.value(kind.element, value, where)
        if isinstance(kind, Struct):
            return self._struct(kind, value, where)
        if isinstance(kind, Array):
            if not isinstance(value, list):
                raise MismatchError(where, "is not an array")
            return [self.value(kind.element, inner, (*where, at)) for at, inner in enumerate(value)]
        if isinstance(kind, Map):
            return {key: self.value(kind.element, inner, (*where, key))
                    for key, inner in _members(value, where).items()}
        if isinstance(kind, Enum):
            if not isinstance(value, str) or value not in kind.values:
                raise MismatchError(where, f"is not one of {', '.join(kind.values)}")
        elif not _is_primitive(kind.name, value):
            raise MismatchError(where, f"is not {'an' if kind.name in ('int', 'object') else 'a'} {kind.name}")
        return value

    def _struct(self, kind: Struct, value: object, where: Way) -> dict[str, Any]:
        members = _members(value, where)
        if self._strict:
            for key in members:
                if key not in kind.fields:
                    raise MismatchError((*where, key), "is not declared")
        found = {}
        for name, element in kind.fields.items():
            if name not in members and not isinstance(element, Maybe):
                raise MismatchError((*where, name), "is missing")
            found[name] = self.value(element, members.get(name), (*where, name))
        return found


def _members(value: object, where: Way) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MismatchError(where, "is not a JSON object")
    return value


def _is_primitive(name: str, value: object) -> bool:
    if name == "object":
        return value is not None
    if name == "string":
        return isinstance(value, str)
    if name == "bool" or isinstance(value, bool):
        return name == "bool" and isinstance(value, bool)
    if isinstance(value, int):
        return INT_MIN <= value <= INT_MAX
    return name == "float" and isinstance(value, float) and isfinite(value)


class _Token(NamedTuple):
    text: str
    line: int


def _tokens(text: str) -> Iterator[_Token]:
    """What is between white space and comments; at last an empty token. Without ``re``, whose import takes longer than
    all of this: an agent reads its definition at the moment at which a boot waits for its answer."""
    for line, content in enumerate(text.split("\n"), start=1):
        spaced = content.partition("#")[0].replace("\t", " ").replace("\r", " ")
        for symbol in _SYMBOLS:
            spaced = spaced.replace(symbol, f" {symbol} ")
        for word in filter(None, spaced.split(" ")):
            if word not in _SYMBOLS and not _is_word(word):
                raise DefinitionError(line, f"{word!r} is not of this language")
            yield _Token(word, line)
    yield _Token("", line)


def _is_word(text: str) -> bool:
    """Letters and digits, with ".", "_" and "-" between them."""
    inner = text.replace(".", "a").replace("_", "a").replace("-", "a")
    return text.isascii() and inner.isalnum() and text[0].isalnum() and text[-1].isalnum()


def is_interface_name(text: str) -> bool:
    """Two parts or more, of letters and digits with "-" between them; the first begins with a letter."""
    parts = text.split(".")
    return len(parts) > 1 and text[:1].isalpha() and all("_" not in part and _is_word(part) for part in parts)


def _is_member_name(text: str) -> bool:
    return text.isascii() and text.isalnum() and text[:1].isupper()


def _is_field_name(text: str) -> bool:
    """A letter, then letters and digits, with single "_" between them."""
    return text[:1].isalpha() and all(part.isascii() and part.isalnum() for part in text.split("_"))


class _Parser:
    """Reads one definition by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = _tokens(text)
        self._next = next(self._left)
        self._line = 1  # of the token that was taken last
        self._used: list[tuple[str, int]] = []
        self._types: dict[str, Type] = {}
        self._methods: dict[str, Method] = {}
        self._errors: dict[str, Struct] = {}

    def interface(self) -> Interface:
        self._expect("interface")
        name = self._name(is_interface_name, "the name of an interface")
        while self._next.text:
            self._member()
        for used, line in self._used:
            if used not in self._types:
                raise DefinitionError(line, f"there is no type {used}")
        return Interface(name, self._text, self._types, self._methods, self._errors)

    def _member(self) -> None:
        keyword = self._take()
        if keyword not in ("type", "method", "error"):
            raise DefinitionError(self._line, f"'type', 'method' or 'error' is expected, not {keyword!r}")
        name = self._name(_is_member_name, f"the name of {'an' if keyword == 'error' else 'a'} {keyword}")
        if name in self._types or name in self._methods or name in self._errors:
            raise DefinitionError(self._line, f"there is a {name} already")
        if keyword == "type":
            self._types[name] = self._parenthesised(0)
        elif keyword == "error":
            self._errors[name] = self._struct()
        else:
            takes = self._struct()
            self._expect("->")
            self._methods[name] = Method(takes, self._struct())

    def _struct(self) -> Struct:
        found = self._parenthesised(0)
        if not isinstance(found, Struct):
            raise DefinitionError(self._line, "these fields have no types")
        return found

    def _parenthesised(self, depth: int) -> Struct | Enum:
        """A struct when its first name is followed by a colon, or when there is none; else an enum."""
        if depth > DEPTH_LIMIT:
            raise DefinitionError(self._line, f"more than {DEPTH_LIMIT} types within one another")
        self._expect("(")
        fields: dict[str, Type | None] = {}
        while self._next.text != ")" or fields:
            name = self._name(_is_field_name, "the name of a field")
            if name in fields:
                raise DefinitionError(self._line, f"there is a {name} already")
            typed = self._accept(":")
            if fields and typed != (None not in fields.values()):
                raise DefinitionError(self._line, "either all of these have types, or none has")
            fields[name] = self._type(depth + 1) if typed else None
            if not self._accept(","):
                break
        self._expect(")")
        types = {name: kind for name, kind in fields.items() if kind is not None}
        return Struct(types) if types or not fields else Enum(tuple(fields))

    def _type(self, depth: int) -> Type:
        if depth > DEPTH_LIMIT:
            raise DefinitionError(self._line, f"more than {DEPTH_LIMIT} types within one another")
        if self._accept("?"):
            if self._next.text == "?":
                raise DefinitionError(self._next.line, "'?' twice")
            return Maybe(self._type(depth + 1))
        if self._accept("[]"):
            return Array(self._type(depth + 1))
        if self._accept("[string]"):
            return Map(self._type(depth + 1))
        if self._next.text == "(":
            return self._parenthesised(depth)
        if self._next.text in PRIMITIVES:
            return Primitive(self._take())
        name = self._name(_is_member_name, "a type")
        self._used.append((name, self._line))
        return Named(name)

    def _name(self, fits: Callable[[str], bool], what: str) -> str:
        name = self._take()
        if not fits(name):
            raise DefinitionError(self._line, f"{what} is expected, not {name!r}" if name else f"{what} is missing")
        return name

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            found = self._next
            raise DefinitionError(found.line, f"{text!r} is expected" + (f", not {found.text!r}" if found.text else ""))

    def _accept(self, text: str) -> bool:
        found = self._next.text == text
        if found:
            self._take()
        return found

    def _take(self) -> str:
        taken = self._next
        self._line = taken.line
        if taken.text:
            self._next = next(self._left)
        return taken.text
