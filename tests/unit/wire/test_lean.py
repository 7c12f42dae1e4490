"""wire.lean: as the standard library's, and without it."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.support.interpreter import unmeasured

from holdfast.wire import lean

AGENT = Path(lean.__file__).parents[2]


@pytest.mark.parametrize("suppress", [lean.suppress, contextlib.suppress])
def test_suppress(suppress: Callable[..., AbstractContextManager[None]]) -> None:
    with suppress(OSError, ValueError):
        raise FileNotFoundError
    with pytest.raises(KeyError), suppress(OSError):
        raise KeyError
    with suppress():
        pass


@pytest.mark.parametrize("manager", [lean.contextmanager, contextlib.contextmanager])
def test_contextmanager(manager: Callable[..., Any]) -> None:
    seen: list[str] = []

    @manager
    def opened(name: str, *, swallow: bool = False, instead: bool = False) -> Iterator[str]:
        """What it opens."""
        try:
            yield name
        except KeyError:
            if instead:
                raise OSError("instead") from None
            if not swallow:
                raise
        finally:
            seen.append(f"closed {name}")

    with opened("a") as name:
        seen.append(name)
    with opened("b", swallow=True):
        raise KeyError("b")
    error = KeyError("c")
    with pytest.raises(KeyError) as raised, opened("c"):
        raise error
    assert raised.value is error
    with pytest.raises(OSError, match="instead"), opened("d", instead=True):
        raise KeyError("d")
    assert seen == ["a", "closed a", "closed b", "closed c", "closed d"]
    assert opened.__doc__ == "What it opens."


@pytest.mark.parametrize("manager", [lean.contextmanager, contextlib.contextmanager])
def test_a_function_that_goes_on_is_an_error(manager: Callable[..., Any]) -> None:
    @manager
    def endless() -> Iterator[int]:
        with contextlib.suppress(KeyError):
            yield 1
        yield 2

    with pytest.raises(RuntimeError), endless():
        raise KeyError


def test_where_nothing_has_imported_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("collections", "collections.abc", "array"):
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location("another_lean", lean.__file__)
    assert spec is not None
    assert spec.loader is not None
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    assert not {"collections", "collections.abc"} & set(sys.modules)
    assert another.array("B", b"ab").tobytes() == b"ab"


def alone(code: str) -> str:
    done = subprocess.run([sys.executable, "-ISB", "-c", f"import sys; sys.path[:0] = [{str(AGENT)!r}]\n{code}"],
                          capture_output=True, text=True, check=True, env=unmeasured())
    return done.stdout.strip()


def test_nothing_is_loaded_for_it_and_all_of_it_works_afterwards() -> None:
    assert alone("from holdfast.wire import lean\n"
                 "print([name for name in ('collections', 'collections.abc', 'contextlib', 'functools', 'types')"
                 " if name in sys.modules])\n"
                 "import array, collections.abc, types\n"
                 "assert isinstance(lean.array('B'), collections.abc.MutableSequence)\n"
                 "assert collections.OrderedDict and lean.deque is collections.deque\n"
                 "assert lean.MappingProxyType is types.MappingProxyType") == "[]"
    assert alone("import collections, functools; from holdfast.wire import lean\n"
                 "print(lean.partial is functools.partial, collections.abc.Mapping.__name__)") == "True Mapping"
