"""takeover, confirm, handback: who may, what is asked, errors as one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import main
from holdfast.cli.commands import run as running
from holdfast.cli.commands import takeover as taking_over
from holdfast.takeover import handback, plan, procedure
from holdfast.takeover.errors import TakeoverError

COMMANDS = (["takeover", "lo"], ["confirm", "lo"], ["handback", "lo"], ["takeover", "lo", "--dry-run"])


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(taking_over, "missing_capabilities", list)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))


@pytest.mark.parametrize("argv", COMMANDS)
def test_who_may(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(argv) == 5
    assert "only root can take an interface over" in capsys.readouterr().err
    assert main([argv[0], "nosuch0", *argv[2:]]) == 4
    assert main([argv[0], "a/b", *argv[2:]]) == 4


def test_root_of_a_container(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(taking_over, "missing_capabilities", lambda: ["CAP_NET_ADMIN"])
    monkeypatch.setattr(procedure.Takeover, "whole", lambda *_: None)
    assert main(["takeover", "lo"]) == 5
    said = capsys.readouterr().err
    assert "root has no CAP_NET_ADMIN here" in said
    assert "run as root" not in said


def test_what_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(procedure.Takeover, "whole", lambda self, within, _: asked.append((self._target, within)))
    monkeypatch.setattr(procedure.Takeover, "confirm", lambda self: asked.append(self._target.ifname))
    monkeypatch.setattr(handback, "hand_back", lambda _, place, __, unconfirmed: asked.append((place, unconfirmed)))
    config = tmp_path / "own.toml"
    config.write_text(f'[agent]\nstate_dir = "{tmp_path}/other"\n')

    assert main(["takeover", "lo"]) == 0
    assert main(["takeover", "lo", "--confirm-within", "60", "--config", str(config)]) == 0
    assert main(["confirm", "lo"]) == 0
    assert main(["handback", "lo", "--unconfirmed"]) == 0

    (first, none), (second, within), confirmed, (_, unconfirmed) = asked
    assert (first.ifname, first.state_dir, first.dns_dir) == ("lo", str(tmp_path / "state"), f"{tmp_path}/state-dns")
    assert first.takeover_dir == f"{tmp_path}/state-takeover"
    assert (none, within, confirmed, unconfirmed) == (None, 60, "lo", True)
    assert (second.state_dir, second.config) == (f"{tmp_path}/other", str(config))
    assert second.takeover_dir == f"{tmp_path}/other-takeover"
    assert main(["takeover", "lo", "--confirm-within", "1"]) == 2


def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TakeoverError("no DHCP client serves lo")

    monkeypatch.setattr(procedure.Takeover, "whole", refuse)
    monkeypatch.setattr(procedure.Takeover, "confirm", refuse)
    monkeypatch.setattr(handback, "hand_back", refuse)
    monkeypatch.setattr(plan, "make", refuse)
    for argv in COMMANDS:
        assert main(argv) == 1
        assert capsys.readouterr().err == "holdfast: no DHCP client serves lo\n"


def test_a_wrong_configuration_does_not_bar_the_way_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from holdfast.settings import dirs

    (tmp_path / "holdfast.toml").write_text("nonsense = 1\n")
    monkeypatch.setattr(dirs, "CONFIG_DIR", str(tmp_path))
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    monkeypatch.setattr(handback, "hand_back", lambda *_, **__: None)
    assert main(["handback", "lo"]) == 0
    assert "is wrong and not used" in capsys.readouterr().err
    assert main(["takeover", "lo", "--dry-run"]) == 6


def test_in_the_foreground(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(running, "missing_capabilities", list)
    monkeypatch.setattr(os, "execv", lambda _, argv: asked.append(argv[-1]))

    def take(self: procedure.Takeover, become_agent: Any, within: float | None, holder: Any) -> None:
        asked.append((self._target.ifname, within))
        del holder
        become_agent()
        raise TakeoverError("stop here")

    monkeypatch.setattr(procedure.Takeover, "foreground", take)
    assert main(["run", "lo", "--takeover", "--confirm-within", "30"]) == 1
    assert asked == [("lo", 30), "lo"]
    capsys.readouterr()
    assert main(["run", "lo", "--confirm-within", "30"]) == 2
    assert "--confirm-within needs --takeover" in capsys.readouterr().err
    assert main(["run", "lo", "lo2", "--wait", "--takeover"]) == 2
    assert "--takeover needs exactly one IFACE" in capsys.readouterr().err
