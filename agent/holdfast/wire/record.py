"""Value records that are cheap to define and equal only to their own kind.

A frozen dataclass takes about 0.3 ms to define; sixty of them would delay the first DISCOVER
by more than a whole dhclient start. A NamedTuple takes a quarter of that, but compares equal
to any tuple of the same contents, so ``LinkUp() == LinkDown()``. ``record`` mends that.
See docs/decisions/ for the measurement.
"""

from __future__ import annotations

from typing import Any, TypeVar

_T = TypeVar("_T", bound=type)


def _equal(self: tuple[Any, ...], other: object) -> bool:
    return type(self) is type(other) and tuple.__eq__(self, other)


def _differ(self: tuple[Any, ...], other: object) -> bool:
    return not _equal(self, other)


def _hash(self: tuple[Any, ...]) -> int:
    return hash((type(self).__name__, tuple(self)))


def record(cls: _T) -> _T:
    """Class decorator for a NamedTuple: equality and hash include the type."""
    cls.__eq__ = _equal  # type: ignore[assignment]
    cls.__ne__ = _differ  # type: ignore[assignment]
    cls.__hash__ = _hash  # type: ignore[assignment]
    return cls
