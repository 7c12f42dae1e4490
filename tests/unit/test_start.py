"""start: `holdfast run eth0` is the daemon itself; everything else is the command line's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.interpreter import unmeasured

import holdfast.capabilities
from holdfast import start

ROOT = Path(start.__file__).parent.parent


def test_only_interfaces_that_are_there_are_served_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("_socket.if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (3, "eth1")])
    monkeypatch.setattr(holdfast.capabilities, "missing_capabilities", list)
    assert start.can_serve(["eth0"])
    assert start.can_serve(["eth1", "eth0"])
    for words in (["eth7"], ["--wait", "eth7"], ["eth0", "--takeover"], ["--help"]):
        assert not start.can_serve(words)
    monkeypatch.setattr(holdfast.capabilities, "missing_capabilities", lambda: ["CAP_NET_RAW"])
    assert not start.can_serve(["eth0"])


def test_nobody_but_root_is_served_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not start.can_serve(["lo"])


def run(words: list[str], wanted: str, folder: Path) -> tuple[int, str]:
    """The exit status of an isolated ``holdfast`` with ``words``, and what it printed of ``wanted``."""
    code = (f"import sys; sys.path[:0] = {[str(ROOT), *filter(None, sys.path)]!r}; sys.argv[1:] = {words!r}\n"
            "from holdfast.start import main\n"
            f"try: status = main()\nexcept SystemExit as end: status = end.code\nprint({wanted})\nsys.exit(status)")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False,
                          env={**unmeasured(), "STATE_DIRECTORY": str(folder), "RUNTIME_DIRECTORY": str(folder)})
    return done.returncode, done.stdout.splitlines()[-1]


def test_the_daemon_starts_without_the_command_line(tmp_path: Path) -> None:
    # lo is there and no interface for DHCP: the daemon itself says so, and ends
    wanted = "'click' in sys.modules, 'holdfast.runtime.supervisor' in sys.modules"
    assert run(["run", "lo"], wanted, tmp_path) == (4, "False True")


def script(folder: Path) -> str:
    """What a script like that of ``pip`` says of `holdfast run lo`: whether click was imported, and its own folder is
    still searched."""
    path = folder / "holdfast"
    path.write_text("import os, sys\nfrom holdfast.start import main\ntry: main()\nexcept SystemExit: pass\n"
                    "print('click' in sys.modules, os.path.dirname(os.path.realpath(__file__)) in sys.path)\n")
    done = subprocess.run([sys.executable, str(path), "run", "lo"], capture_output=True, text=True, check=True, env={
        **{name: value for name, value in unmeasured().items() if not name.startswith("PYTHON")},
        "STATE_DIRECTORY": str(folder), "RUNTIME_DIRECTORY": str(folder)})
    return done.stdout.splitlines()[-1]


@pytest.mark.root
def test_the_launcher_of_pip_starts_the_daemon_isolated(tmp_path: Path) -> None:
    assert script(tmp_path) == "False False"


def test_an_environment_that_could_name_other_modules_is_left_behind(monkeypatch: pytest.MonkeyPatch,
                                                                      tmp_path: Path) -> None:
    class Flags:
        isolated = 0

    (tmp_path / "holdfast").touch()
    monkeypatch.setattr("sys.flags", Flags)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "holdfast")])
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not start.isolated()
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setattr("site.USER_SITE", str(tmp_path))
    assert not start.isolated()
    monkeypatch.setattr("site.USER_SITE", None)
    assert start.isolated()
    assert str(tmp_path) not in sys.path
    assert not start.isolated()  # python -m: the first folder is not the script's


def test_everything_else_is_the_command_line_s(tmp_path: Path) -> None:
    for words, status in ((["run", "--help"], 0), (["--version"], 0), (["run", "no-such-link"], 4)):
        assert run(words, "'click' in sys.modules", tmp_path) == (status, "True")


@pytest.mark.parametrize("module", ["online", "managers.__main__", "publish.publisher"])
def test_what_a_boot_waits_for_imports_little(module: str, tmp_path: Path) -> None:
    """Neither the command line's library, nor what defines classes slowly: each is some milliseconds of every boot."""
    code = (f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import holdfast.{module}\n"
            "print([name for name in ('click', 'dataclasses', 'inspect', 'typing', 'tomllib') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-ISB", "-c", code], capture_output=True, text=True, check=True,
                          env=unmeasured(), cwd=tmp_path)
    assert done.stdout == "[]\n"
