"""``holdfast run``: what is refused, and what it becomes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from holdfast.capabilities import missing_capabilities
from holdfast.cli import main, options
from holdfast.cli.commands import run
from holdfast.settings import dirs


@pytest.fixture(autouse=True)
def executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    calls: list[list[str]] = []
    monkeypatch.setattr(run.os, "execv", lambda program, argv: calls.append([program, *argv]))
    monkeypatch.setattr(options.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setattr(run, "missing_capabilities", list)
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    return calls


def test_it_becomes_the_isolated_daemon(executed: list[list[str]]) -> None:
    assert main(["run", "eth0", "eth0"]) == 0
    assert executed[0][:4] == [sys.executable, sys.executable, "-I", "-c"]
    assert os.path.isfile(os.path.join(executed[0][5], "holdfast", "runtime", "__main__.py"))
    assert executed[0][6:] == ["eth0"]


def test_interfaces_of_the_configuration_may_be_missing(executed: list[list[str]], tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[interfaces.eth0]\n[interfaces.eth7]\n")
    assert main(["run", "--config", str(file)]) == 0
    assert executed[0][6:] == ["--config", str(file)]  # which names them


def test_patterns_are_enough(executed: list[list[str]], tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[agent]\nserve = ["en*"]\n')
    assert main(["run", "--config", str(file)]) == 0
    assert executed[0][6:] == ["--config", str(file)]


def test_interfaces_of_the_command_line_must_be_there_unless_waited_for(
    executed: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "eth7"]) == 4
    assert executed == []
    assert capsys.readouterr().err == ("holdfast: there is no interface eth7 (there are: lo, eth0); "
                                       "with --wait it is served when it appears\n")
    assert main(["run", "--wait", "eth7"]) == 0
    assert executed[0][-1] == "eth7"


@pytest.mark.parametrize("name", ["../eth0", "a" * 16, "eth 0"])
def test_a_name_that_no_interface_can_have(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--wait", name]) == 4
    assert "cannot be an interface: an interface's name has" in capsys.readouterr().err


def test_no_interface_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert capsys.readouterr().err == ("holdfast: no interface is named: run `holdfast run eth0`, or name it in "
                                       "/etc/holdfast/holdfast.toml as [interfaces.eth0]\n")


def test_a_wrong_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[defaults]\nacd = 1\nnack = 2\n")
    assert main(["run", "eth0", "--config", str(file)]) == 6
    assert capsys.readouterr().err == (
        f'holdfast: {file}: key defaults.acd: 1 is a number; use "optimistic", "strict" or "off"\n'
        f'holdfast: {file}: key defaults.nack: unknown key; did you mean "nak"?\n'
    )


def test_without_capabilities(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "missing_capabilities", lambda: ["CAP_NET_RAW"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["run", "eth0"]) == 5
    assert capsys.readouterr().err.endswith("run as root (sudo holdfast run eth0), or with CAP_NET_RAW\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert main(["run", "eth0"]) == 5
    assert "root has no CAP_NET_RAW here" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "wanted"), [
    ("Name:\tx\nCapEff:\t0000000000003000\n", []),
    ("CapEff:\t0000000000001000\n", ["CAP_NET_RAW"]),
    ("CapEff:\t0000000000000000\n", ["CAP_NET_ADMIN", "CAP_NET_RAW"]),
    ("Name:\tx\n", []),
    (None, []),
])
def test_capabilities_are_read_from_proc(
    tmp_path: Path, content: str | None, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    status = tmp_path / "status"
    if content is not None:
        status.write_text(content)
    assert missing_capabilities(str(status)) == wanted
