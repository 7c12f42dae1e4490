"""bundle: code is taken from the file while its source is unchanged, and imported as ever in every other case."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.interpreter import unmeasured

from holdfast import bundle

AGENT = Path(bundle.PACKAGE).parent


class Package:
    """A package of two rooms and its bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder / "boxed", folder / "file"
        for name, text in (("__init__", ""), ("room/__init__", "NAME = 'room'"), ("room/plain", "VALUE = 1"),
                           ("cli/__init__", "")):
            path = self.folder / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n")
        bundle.write(str(self.file), str(self.folder))

    def loader_of(self, name: str) -> type:
        """What loads the module now."""
        for known in [known for known in sys.modules if known.split(".")[0] == "boxed"]:
            del sys.modules[known]
        importlib.invalidate_caches()
        return type(importlib.import_module(name).__loader__)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    yield Package(tmp_path)
    bundle.forget()


def test_modules_come_from_the_file(package: Package) -> None:
    assert package.loader_of("boxed.room.plain") is not bundle.Bundle
    bundle.use(str(package.file))
    assert package.loader_of("boxed.room.plain") is bundle.Bundle
    plain, room = sys.modules["boxed.room.plain"], sys.modules["boxed.room"]
    assert (plain.VALUE, plain.__file__, room.NAME) == (1, str(package.folder / "room" / "plain.py"), "room")
    assert (plain.__package__, list(room.__path__)) == ("boxed.room", [str(package.folder / "room")])
    assert package.loader_of("boxed.cli") is not bundle.Bundle  # no room of the daemon


def test_a_changed_source_is_never_passed_over(package: Package) -> None:
    source = package.folder / "room" / "plain.py"
    changed = source.stat().st_mtime_ns
    bundle.use(str(package.file))
    source.write_text("VALUE = 2\n")
    os.utime(source, ns=(changed, changed + 1))  # of the same length, a moment later
    assert package.loader_of("boxed.room.plain") is not bundle.Bundle
    assert sys.modules["boxed.room.plain"].VALUE == 2
    source.write_text("VALUE = 11\n")
    os.utime(source, ns=(changed, changed))  # and at the same moment
    assert package.loader_of("boxed.room.plain") is not bundle.Bundle
    source.unlink()
    with pytest.raises(ModuleNotFoundError):
        package.loader_of("boxed.room.plain")


@pytest.mark.parametrize("content", [None, b"", b"\0\0\0\0\1\0\0\0\0\0\0\0N", b"short", bundle.MAGIC_NUMBER,
                                     bundle.MAGIC_NUMBER + b"\x40\0\0\0\0\0\0\0{",
                                     bundle.MAGIC_NUMBER + b"\x01\0\0\0\0\0\0\0{"])
def test_a_file_of_another_python_or_a_broken_one_is_not_used(package: Package, content: bytes | None) -> None:
    if content is None:
        package.file.unlink()
    else:
        package.file.write_bytes(content)
    before = os.listdir("/proc/self/fd")
    bundle.use(str(package.file))
    assert os.listdir("/proc/self/fd") == before
    assert package.loader_of("boxed.room.plain") is not bundle.Bundle


def test_a_file_that_was_cut_is_not_used(package: Package) -> None:
    whole = package.file.read_bytes()
    for kept in range(len(whole)):
        package.file.write_bytes(whole[:kept])
        bundle.use(str(package.file))
        assert not any(isinstance(finder, bundle.Bundle) for finder in sys.meta_path), kept


def test_after_the_start_nothing_is_left_of_it(package: Package) -> None:
    finders, before = list(sys.meta_path), os.listdir("/proc/self/fd")
    bundle.use(str(package.file))
    bundle.forget()
    bundle.forget()
    assert sys.meta_path == finders
    assert os.listdir("/proc/self/fd") == before
    assert package.loader_of("boxed.room.plain") is not bundle.Bundle


def test_a_new_file_replaces_one_that_is_in_use(package: Package) -> None:
    bundle.use(str(package.file))
    (package.folder / "another.py").write_text("\n" * 999)
    bundle.write(str(package.file), str(package.folder))
    assert package.loader_of("boxed.room.plain") is bundle.Bundle
    assert sys.modules["boxed.room.plain"].VALUE == 1
    assert not package.file.with_name("file.new").exists()


def test_the_daemon_needs_no_other_file(tmp_path: Path) -> None:
    """Every module that it loads is in the bundle; lo is no interface for DHCP, so it ends."""
    bundle.write(str(tmp_path / "file"))
    code = (f"import sys; sys.path[:0] = [{str(AGENT)!r}]; from holdfast import bundle; "
            f"bundle.use({str(tmp_path / 'file')!r})\n"
            "from holdfast.runtime.__main__ import main\ntry: main(['lo'])\nexcept SystemExit: pass\n"
            "print(*(name for name, module in sys.modules.items() if name.startswith('holdfast')"
            " and type(module.__loader__).__name__ != 'Bundle'))")
    done = subprocess.run([sys.executable, "-ISB", "-c", code], capture_output=True, text=True, check=True, env={
        **unmeasured(), "STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)})
    assert done.stdout.split() == ["holdfast", "holdfast.bundle"]
