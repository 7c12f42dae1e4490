"""Value records that are cheap to define and equal only to their own kind.

A start must not wait for what only a type checker needs. ``import typing`` takes 5 ms, and its NamedTuple compiles
every annotation; a frozen dataclass takes 0.3 ms for each class. Together that is a whole dhclient start
before the first DISCOVER. So the names that classes need come from here: at run time as little as
possible, to a type checker the real ones. Everything else of ``typing`` is imported under ``if TYPE_CHECKING``.
See docs/decisions/ for the measurement.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False  # type checkers take the name for true, whoever defines it

if TYPE_CHECKING:
    from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar

    _T = TypeVar("_T", bound=type)
else:

    class _Definition(type):
        """Turns the body of ``class X(NamedTuple)`` into collections.namedtuple's class, as typing does."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.get("__annotations__", {})
            defaults = [body[field] for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in fields and key not in ("__module__", "__qualname__"):
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Definition):
        """typing.NamedTuple without a look at the annotations."""

    class Protocol:
        """typing.Protocol; nothing is checked against it at run time."""

    TypedDict = dict


__all__ = ["TYPE_CHECKING", "NamedTuple", "Protocol", "TypedDict", "record"]


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
