"""Small things of the standard library, without the modules that bring more along: ``contextlib``, ``functools``,
``collections`` and what these import take as long as the packet socket, the protocol and the files of a start together.
To a type checker they are the real ones. See docs/decisions/0002.
"""

from __future__ import annotations

import _collections_abc
import sys

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque
    from contextlib import contextmanager, suppress
    from functools import partial
    from types import MappingProxyType
else:
    from _collections import deque
    from _functools import partial

    MappingProxyType = type(type.__dict__)

    class suppress:  # noqa: N801 - contextlib's name
        """contextlib.suppress."""

        def __init__(self, *kinds):
            self._kinds = kinds

        def __enter__(self):
            pass

        def __exit__(self, kind, _value, _traceback):
            return kind is not None and issubclass(kind, self._kinds)

    class _Manager:
        """What a function under ``contextmanager`` returns."""

        def __init__(self, generator):
            self._generator = generator

        def __enter__(self):
            return next(self._generator)

        def __exit__(self, _kind, value, _traceback):
            if value is None:
                next(self._generator, None)
                return False
            try:
                self._generator.throw(value)
            except StopIteration:
                return True
            except BaseException as raised:
                if raised is value:
                    return False
                raise
            raise RuntimeError("the function goes on after an exception")

    def contextmanager(function):
        """contextlib.contextmanager."""

        def manager(*args, **kwargs):
            return _Manager(function(*args, **kwargs))

        manager.__doc__ = function.__doc__
        return manager


# ``array`` asks for MutableSequence of ``collections.abc``, and so imports all of ``collections``. The class is one of
# those that ``os`` has loaded.
if "collections" in sys.modules:
    from array import array
else:
    sys.modules["collections"] = sys.modules["collections.abc"] = _collections_abc
    try:
        from array import array
    finally:
        del sys.modules["collections"], sys.modules["collections.abc"]

__all__ = ["MappingProxyType", "array", "contextmanager", "deque", "partial", "suppress"]
