"""Folders and the list of configuration files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from tests.support.interpreter import unmeasured

from holdfast.settings import dirs


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def _as(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(dirs.os, "geteuid", lambda: uid)


def test_root_uses_the_system_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    _as(monkeypatch, 0)
    assert (dirs.state_dir(), dirs.runtime_dir()) == ("/var/lib/holdfast", "/run/holdfast")
    assert (dirs.dns_dir(dirs.state_dir()), dirs.takeover_dir("/x/state/")) == (dirs.DNS_STATE_DIR, "/x/state-takeover")
    assert dirs.takeover_dir(dirs.state_dir()) == dirs.TAKEOVER_DIR


def test_the_constants_are_the_site_folders_of_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_DIRS", "XDG_DATA_DIRS"):
        monkeypatch.delenv(name, raising=False)
    folders = platformdirs.PlatformDirs("holdfast", appauthor=False)
    # site_runtime_dir came with 3.10, site_state_dir with 4.9.
    assert getattr(folders, "site_runtime_dir", dirs.RUNTIME_DIR) == dirs.RUNTIME_DIR
    assert getattr(folders, "site_state_dir", dirs.STATE_DIR) == dirs.STATE_DIR


def test_systemd_goes_before_the_defaults_and_the_configuration_before_systemd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/srv/one:/srv/two")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/one")
    assert (dirs.state_dir(), dirs.runtime_dir()) == ("/srv/one", "/run/one")
    assert (dirs.state_dir("/a"), dirs.runtime_dir("/b")) == ("/a", "/b")


def test_a_user_has_folders_of_its_own_and_looks_for_the_system_agent_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _as(monkeypatch, 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert dirs.state_dir() == str(tmp_path / "state/holdfast")
    assert dirs.runtime_dir() == str(tmp_path / "run/holdfast")
    assert dirs.search_runtime_dirs() == (str(tmp_path / "run/holdfast"), "/run/holdfast")
    assert dirs.search_state_dirs() == (str(tmp_path / "state/holdfast"), "/var/lib/holdfast")
    assert dirs.search_state_dirs("/x") == ("/x",)
    assert dirs.search_runtime_dirs("/x") == ("/x",)


def test_a_user_without_a_session_has_a_runtime_folder_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    _as(monkeypatch, 1000)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert dirs.runtime_dir().endswith("/holdfast")


def test_a_user_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `holdfast wait-online` of another user early at boot: the system's agent is still found."""
    def read_only(_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    _as(monkeypatch, 1000)
    monkeypatch.setattr(type(platformdirs.PlatformDirs()), "user_runtime_dir", property(read_only))
    assert dirs.search_runtime_dirs() == ("/run/user/1000/holdfast", "/run/holdfast")


def test_files_are_the_main_one_and_the_parts_in_name_order(tmp_path: Path) -> None:
    parts = tmp_path / "holdfast.d"
    parts.mkdir()
    for name in ("20-b.toml", "10-a.toml", ".hidden.toml", "10-a.toml~", "notes.txt"):
        (parts / name).touch()
    assert dirs.config_files(config_dir=str(tmp_path)) == (str(parts / "10-a.toml"), str(parts / "20-b.toml"))
    (tmp_path / "holdfast.toml").touch()
    assert dirs.config_files(config_dir=str(tmp_path))[0] == str(tmp_path / "holdfast.toml")


def test_an_explicit_file_is_read_alone_even_when_it_is_missing() -> None:
    assert dirs.config_files("/no/such.toml") == ("/no/such.toml",)


def test_root_reads_the_system_configuration_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _as(monkeypatch, 0)
    monkeypatch.setattr(dirs, "CONFIG_DIR", str(tmp_path))
    (tmp_path / "holdfast.toml").touch()
    assert dirs.config_files() == (str(tmp_path / "holdfast.toml"),)


def test_a_user_falls_back_to_the_system_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _as(monkeypatch, 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(dirs, "CONFIG_DIR", str(tmp_path / "etc"))
    assert dirs.config_files() == ()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/holdfast.toml").touch()
    assert dirs.config_files() == (str(tmp_path / "etc/holdfast.toml"),)
    (tmp_path / "home/holdfast").mkdir(parents=True)
    (tmp_path / "home/holdfast/holdfast.toml").touch()
    assert dirs.config_files() == (str(tmp_path / "home/holdfast/holdfast.toml"),)


def test_a_start_without_configuration_imports_no_reader(tmp_path: Path) -> None:
    root = Path(__file__).parents[3] / "agent"
    heavy = ("tomllib", "tomli", "platformdirs", "dataclasses", "json", "logging", "inspect",
             "holdfast.settings.load", "holdfast.settings.schema", "holdfast.observe.outcomes")
    program = (
        f"import os, sys; sys.path.insert(0, {str(root)!r}); os.geteuid = lambda: 0\n"
        "import holdfast.settings, holdfast.settings.dirs as dirs, holdfast.settings.client\n"
        "import holdfast.observe.report, holdfast.observe.log\n"
        f"dirs.CONFIG_DIR = {str(tmp_path)!r}\n"
        "settings = holdfast.settings.read()\n"
        "holdfast.settings.client.client_config(settings.interface('eth0'), bytes(6))\n"
        "dirs.state_dir(), dirs.runtime_dir()\n"
        "holdfast.observe.report.InterfaceReporter('eth0', holdfast.observe.log.Log('stderr'))\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True, env=unmeasured()
    )
    assert answer.stdout == "[]\n"


def test_guards_folders_are_beside_the_agents_or_those_of_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (dirs.guard_dir(), dirs.guard_runtime_dir()) == ("/var/lib/holdfast-guard", "/run/holdfast-guard")
    assert (dirs.guard_dir("/x/state/"), dirs.guard_runtime_dir("/x/run")) == ("/x/state-guard", "/x/run-guard")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/holdfast-guard")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/holdfast-guard")
    assert (dirs.guard_dir(), dirs.guard_runtime_dir()) == ("/var/lib/holdfast-guard", "/run/holdfast-guard")
    assert dirs.search_guard_dirs() == ("/var/lib/holdfast-guard",)
    assert dirs.search_guard_runtime_dirs("/x/run") == ("/x/run-guard",)
