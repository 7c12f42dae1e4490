"""Value records and enumerations that are cheap to define, and records that are equal only to their own kind.

A start must not wait for what only a type checker needs, nor for what its first packet does not use. ``import typing``
takes 5 ms, and its NamedTuple compiles every annotation; a frozen dataclass takes 0.3 ms for each class,
``collections.namedtuple`` 0.06 ms, ``import enum`` 2 ms and each of its classes 0.1 ms. Together that is two whole
dhclient starts before the first DISCOVER. So the names that classes need come from here: at run time as little as
possible, to a type checker the real ones. Everything else of ``typing`` is imported under ``if TYPE_CHECKING``.
See docs/decisions/0002 for the measurement.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take the name for true, whoever defines it

if TYPE_CHECKING:
    from enum import Enum
    from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar

    _T = TypeVar("_T", bound=type)
else:
    from _collections import _tuplegetter  # what collections.namedtuple makes its fields of

    _FEW = 8
    _instances = {}  # by record: how many of the first few were made

    def _construct(cls, /, *args, **kwargs):
        """An instance, without compiling a constructor for its class as collections.namedtuple does: that takes as long
        as 30 instances, and before the first packet most records have one or none."""
        owner = cls if "_fields" in cls.__dict__ else next(each for each in cls.__mro__ if "_fields" in each.__dict__)
        made = _instances[owner] = _instances.get(owner, 0) + 1
        if made <= _FEW:
            fields = owner._fields
            if len(args) == len(fields) and not kwargs:
                return tuple.__new__(cls, args)
            given = dict(zip(fields, args))  # noqa: B905 - what is too much is found by the constructor
            values = {**owner._field_defaults, **given, **kwargs}  # noqa: SLF001 - as namedtuple calls it
            if len(given) == len(args) and given.keys().isdisjoint(kwargs) and values.keys() == set(fields):
                return tuple.__new__(cls, map(values.__getitem__, fields))
        return _compile_constructor(owner)(cls, *args, **kwargs)  # from the ninth on, and for its TypeError

    def _compile_constructor(owner):
        """Give the record ``owner`` a ``__new__`` of its own."""
        del _instances[owner]
        names = ", ".join(owner._fields)
        made = eval(  # noqa: S307 - names of fields in this package, as collections.namedtuple does it
            f"lambda _cls, {names}: _new(_cls, ({names},))" if names else "lambda _cls: _new(_cls)",
            {"_new": tuple.__new__, "__builtins__": {}, "__name__": owner.__module__},
        )
        made.__name__, made.__qualname__ = "__new__", f"{owner.__name__}.__new__"
        made.__defaults__ = tuple(owner._field_defaults.values())  # noqa: SLF001 - as namedtuple calls it
        owner.__new__ = staticmethod(made)
        return made

    class _Record(tuple):
        """What collections.namedtuple gives each class."""

        __slots__ = ()

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
            return made

        def _replace(self, /, **values):
            made = self._make(map(values.pop, self._fields, self))
            if values:
                raise ValueError(f"{type(self).__name__} has no field {', '.join(values)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({shown})"

        def __getnewargs__(self):
            return tuple(self)

    class _Definition(type):
        """Turns the body of ``class X(NamedTuple)`` into a class as collections.namedtuple makes it."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            for index, field in enumerate(fields):
                body[field] = _tuplegetter(index, None)
            body.update(__slots__=(), _fields=fields, _field_defaults=defaults, __match_args__=fields)
            body.setdefault("__new__", _construct)
            return type(name, (_Record,), body)

    class NamedTuple(metaclass=_Definition):
        """typing.NamedTuple without a look at the annotations."""

    class _Members(type):
        """Makes a member of each plain value in the body of ``class X(Enum)`` or ``class X(str, Enum)``. Values are
        unique."""

        def __new__(cls, name, bases, body):
            values = {
                key: value for key, value in body.items() if not key.startswith("_") and not hasattr(value, "__get__")
            }
            made = super().__new__(cls, name, bases, {k: v for k, v in body.items() if k not in values})
            made.__repr__, made.__members__, made._by_value = _shown, {}, {}
            for key, value in values.items():
                member = bases[0].__new__(made, value) if len(bases) > 1 else object.__new__(made)
                member.name, member.value = key, value
                made.__members__[key] = made._by_value[value] = member
                setattr(made, key, member)
            return made

        def __call__(cls, value):
            if isinstance(value, cls):
                return value
            try:
                return cls._by_value[value]
            except KeyError:
                raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

        def __iter__(cls):
            return iter(cls.__members__.values())

        def __len__(cls):
            return len(cls.__members__)

        def __getitem__(cls, name):
            return cls.__members__[name]

    def _shown(member):
        return f"<{type(member).__name__}.{member.name}: {member.value!r}>"

    class Enum(metaclass=_Members):
        """enum.Enum as far as this package uses it: members by name, by value and in order."""

        def __reduce_ex__(self, _protocol):
            return type(self), (self.value,)

    class Protocol:
        """typing.Protocol; nothing is checked against it at run time."""

    TypedDict = dict


__all__ = ["TYPE_CHECKING", "Enum", "NamedTuple", "Protocol", "TypedDict", "record"]


def _equal(self: tuple[Any, ...], other: object) -> bool:
    return type(self) is type(other) and tuple.__eq__(self, other)


def _differ(self: tuple[Any, ...], other: object) -> bool:
    return not _equal(self, other)


def _hash(self: tuple[Any, ...]) -> int:
    return hash((type(self).__name__, tuple(self)))


def record(cls: _T) -> _T:
    """Class decorator for a NamedTuple: equality and hash include the type, or ``LinkUp() == LinkDown()``."""
    cls.__eq__ = _equal  # type: ignore[assignment]
    cls.__ne__ = _differ  # type: ignore[assignment]
    cls.__hash__ = _hash  # type: ignore[assignment]
    return cls
