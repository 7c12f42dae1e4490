"""The script of chores: what it says, what it finds, and the programs it wraps."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with its folder for unpacked programs in a temporary place."""
    loader = importlib.machinery.SourceFileLoader("dev_script", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "PEERS", tmp_path)
    return module


def test_help_names_every_command(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["help"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in dev.COMMANDS)


def test_an_unknown_command_is_named(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["tset"]) == 2
    assert "'tset'" in capsys.readouterr().err


def test_a_wrong_python_choice_is_told(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["test", "--python", "3.12"]) == 1
    assert "all" in capsys.readouterr().err


def test_it_finds_the_interpreter_that_runs_it(dev: ModuleType) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = dev.find_python(version)
    assert found is not None
    assert dev.version_of(found) == version
    assert dev.find_python("3.1") is None


def test_an_old_python_is_told_so() -> None:
    source = (ROOT / "dev").read_text(encoding="utf-8").replace("sys.version_info", "(3, 6, 9)")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env={"PATH": ""}, check=False)
    assert done.returncode == 1
    assert "needs Python 3.10 or later, and python3 is 3.6 here" in done.stderr


def test_an_unpacked_program_finds_its_own_libraries(dev: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for folder in ("usr/sbin", "usr/lib/x86_64-linux-gnu"):
        (root / folder).mkdir(parents=True)
    (root / "usr/lib/x86_64-linux-gnu/libnothing.so.1").touch()
    program = root / "usr/sbin/kea-dhcp4"
    program.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH" "$@"\n')
    program.chmod(0o755)
    dev.wrap("kea-dhcp4", root)
    done = subprocess.run([tmp_path / "bin/kea-dhcp4", "-v"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{root}/usr/lib/x86_64-linux-gnu -v\n"


def test_an_applet_of_busybox_is_called_by_its_name(dev: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/sbin").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "usr/sbin/udhcpd").symlink_to("/bin/busybox")
    busybox = root / "bin/busybox"
    busybox.write_text('#!/bin/sh\necho "$@"\n')
    busybox.chmod(0o755)
    dev.wrap("udhcpd", root)
    done = subprocess.run([tmp_path / "bin/udhcpd", "-f"], capture_output=True, text=True, check=True)
    assert done.stdout == "udhcpd -f\n"


def test_an_unpacked_program_is_told_where_its_files_are(dev: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    program = root / "usr/bin/qemu-system-x86_64"
    program.write_text('#!/bin/sh\necho "$QEMU_MODULE_DIR" "$@"\n')
    program.chmod(0o755)
    dev.wrap("qemu-system-x86_64", root)
    done = subprocess.run([tmp_path / "bin/qemu-system-x86_64", "-m"], capture_output=True, text=True, check=True)
    modules, data = root / "usr/lib/x86_64-linux-gnu/qemu", root / "usr/share"
    assert done.stdout == f"{modules} -L {data}/qemu -L {data}/seabios -m\n"


def test_programs_run_without_the_caller_s_python_settings(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    environment = dev.environment_for_tests()
    assert "PYTHONSTARTUP" not in environment
    assert environment["PATH"].startswith(str(dev.PEERS))
    assert environment["PATH"].endswith("/lib/systemd")
    assert os.environ["PATH"] in environment["PATH"]


@pytest.mark.parametrize("name", ["demo", "lab", "dev", "lock", "build", "docs"])
def test_locks_are_hashed(dev: ModuleType, name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and line[0] not in "# "]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert len(dev.digest(name)) == 64


def test_each_set_of_packages_holds_the_one_before(dev: ModuleType) -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        return {line for line in lines if "==" in line}

    for smaller, larger in pairwise(dev.SETS):
        assert pins(smaller) < pins(larger)


@pytest.mark.parametrize("program", ["demo", "simulate.__main__", "docs.rulebook"])
def test_the_demo_needs_no_more_than_its_set_of_packages(program: str) -> None:
    """matplotlib and what it brings along are 160 MB that only a picture needs."""
    code = (
        f"import sys, holdfast_lab.{program}, importlib.metadata as metadata\n"
        "known = metadata.packages_distributions()\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*{package.lower().replace('_', '-') for top in tops for package in known.get(top, ())})\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    environment["PYTHONPATH"] = str(ROOT / "agent")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    lines = (ROOT / "requirements" / "demo.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    # scapy loads cryptography where it is; setuptools and coverage are nobody's dependency.
    loaded = set(done.stdout.split()) - {"setuptools", "coverage", "cryptography", "cffi"}
    assert loaded <= pinned


def test_what_failed_is_said_again_at_the_end(dev: ModuleType, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    failed.write_text("of the part before\n", encoding="utf-8")

    def part() -> int:
        assert not failed.exists()
        failed.write_text("tests/test_one.py::test_it\ntests/test_one.py::test_other (setup)\n", encoding="utf-8")
        return 1

    status, text = dev.timed("containers", part, failed)
    assert status == 1
    first, *names = text.splitlines()
    assert first.split() == ["containers", "0.0", "min", "FAILED,", "see", "above"]
    assert [name.strip() for name in names] == ["tests/test_one.py::test_it", "tests/test_one.py::test_other (setup)"]
    assert dev.timed("coverage", lambda: 0)[1].endswith("passed")
