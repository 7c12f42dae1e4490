"""``holdfast config show`` and ``check``."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.commands.config import toml_value
from holdfast.settings import Settings, dirs
from holdfast.settings.load import load
from holdfast.settings.schema import AGENT, GUARD, INTERFACE


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    return tmp_path


def test_show_without_files_shows_and_explains_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# read: nothing; these are the defaults\n\n[agent]\n")
    assert all(f"# {key.meaning}\n" in out for key in (*AGENT.values(), *GUARD.values(), *INTERFACE.values()))
    assert '\nacd = "optimistic"\n' in out
    assert "\n# client_id =\n" in out


def test_what_show_prints_can_be_read_and_means_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "holdfast.d").mkdir()
    (folder / "holdfast.toml").write_text(
        '[agent]\nlog = "stderr"\n[defaults]\nvendor_class = "a\\"b\\\\c\\u0007\\U0001F600"\n'
        'user_class = ["x", "y"]\nrequest = [43]\n[interfaces.eth0]\nmetric = 7\n')
    (folder / "holdfast.d/10.toml").write_text('[interfaces."eth0.100"]\nuse_dns = false\n[interfaces.eth0]\n'
                                               "discover_ceiling = 30\n")
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert f"metric = 7  # {folder}/holdfast.toml\n" in shown
    assert f"discover_ceiling = 30.0  # {folder}/holdfast.d/10.toml\n" in shown
    again = folder / "again.toml"
    again.write_text(shown)
    first = load([str(folder / "holdfast.toml"), str(folder / "holdfast.d/10.toml")])
    assert load([str(again)])._replace(files=(), origins={}, tables=()) == first._replace(
        files=(), origins={}, tables=())


def test_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out == "the configuration is right: there is no file, and none is needed\n"
    (folder / "holdfast.toml").write_text(f'[agent]\nhooks_dir = "{folder}"\nmetrics_dir = "{folder}/none"\n'
                                          'control_group = "no-such-group"\n')
    assert main(["config", "check"]) == 0
    assert capsys.readouterr() == (
        f"the configuration is right: {folder}/holdfast.toml\n",
        f"holdfast: key agent.metrics_dir: {folder}/none is not a folder now\n"
        "holdfast: key agent.control_group: there is no group no-such-group now; only root can ask\n",
    )


def test_check_tells_every_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "holdfast.toml").write_text("[defaults]\nacd = 1\nnak = 1\n")
    assert main(["config", "check"]) == 6
    assert capsys.readouterr().err.count(f"holdfast: {folder}/holdfast.toml: key defaults.") == 2
    assert main(["config", "show"]) == 6


def test_values() -> None:
    assert toml_value(True) == "true"
    assert toml_value((1, "a")) == '[1, "a"]'
    assert Settings().defaults == Settings().interface("any")
