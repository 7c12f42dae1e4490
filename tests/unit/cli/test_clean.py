"""clean: on a folder, beside agents that run, and beside one that does not answer."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.control import ControlBench
from tests.unit.takeover.journal.test_file import JOURNAL

from holdfast.cli import main
from holdfast.settings import dirs
from holdfast.state import atomic
from holdfast.state.locks import Locks
from holdfast.takeover.journal.file import JournalFile
from holdfast.takeover.journal.record import Phase


@pytest.fixture
def run_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    monkeypatch.setattr(dirs, "STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        monkeypatch.setattr(dirs, "RUNTIME_DIR", folder)
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield Path(folder)


@pytest.fixture
def state(tmp_path: Path, run_dir: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    (tmp_path / "state-takeover").mkdir()
    (tmp_path / "state-guard").mkdir()
    (tmp_path / "state-guard/eth0.outcomes.jsonl").touch()
    for name in ("eth0.lease.json", "eth0.outcomes.jsonl", "eth1.yield", "notes.txt"):
        (folder / name).touch()
    for name in ("eth0.json", "eth0.lock", "udhcpc-eth0.script"):
        (tmp_path / "state-takeover" / name).touch()
    return folder


def left(state: Path) -> list[str]:
    return sorted(str(path.relative_to(state)) for path in state.rglob("*") if path.is_file())


def test_everything_of_ours_goes_and_nothing_else(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean"]) == 0
    assert left(state) == ["notes.txt"]
    assert os.listdir(f"{state}-takeover") == ["udhcpc-eth0.script"]  # a client that was handed back runs it
    assert capsys.readouterr().out.splitlines() == [f"removed {state}{name}" for name in (
        "/eth0.lease.json", "/eth0.outcomes.jsonl", "/eth1.yield", "-takeover/eth0.json", "-takeover/eth0.lock",
        "-guard/eth0.outcomes.jsonl")]
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == "there is nothing to remove\n"


def test_a_copy_can_still_be_handed_back(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = f"{state}-takeover"
    os.chmod(folder, 0o700)
    lasting, begun = JournalFile(folder, "eth1"), JournalFile(folder, "eth2")
    lasting.save(replace(JOURNAL, ifname="eth1").at(Phase.CONFIRMED))
    begun.save(replace(JOURNAL, ifname="eth2").at(Phase.PROVEN))
    assert main(["clean"]) == 0
    assert "eth1.json" not in capsys.readouterr().out
    journal = lasting.load()
    assert journal is not None
    assert (journal.lease.client_id, journal.boot_id, journal.found.argv) == (None, "", JOURNAL.found.argv)
    assert begun.load() is None


def test_a_full_disk_costs_no_journal(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"{state}-takeover"
    os.chmod(folder, 0o700)
    file = JournalFile(folder, "eth1")
    file.save(replace(JOURNAL, ifname="eth1").at(Phase.CONFIRMED))
    before = file.load()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_at", full)
        assert main(["clean"]) == 1
    assert "eth1.json cannot be written: No space left on device" in capsys.readouterr().err
    assert file.load() == before


def test_a_running_agent_writes_nothing_any_more(state: Path, run_dir: Path) -> None:
    with ControlBench(str(run_dir)) as bench:
        held = Locks(str(run_dir))
        assert held.take("eth0")
        assert main(["clean"]) == 0
        held.close()
        assert bench.client.keeps_nothing
    assert left(state) == ["notes.txt"]


def test_an_agent_that_does_not_answer(state: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = Locks(str(run_dir))
    assert held.take("eth0")
    assert main(["clean"]) == 1
    assert f"eth0 is served by an agent (pid {os.getpid()}) that does not answer" in capsys.readouterr().err
    assert "eth0.lease.json" in left(state)
    assert main(["clean", "--force"]) == 0
    held.close()
    assert left(state) == ["notes.txt"]


def test_an_image_s_folder_concerns_no_agent(state: Path, run_dir: Path, tmp_path: Path) -> None:
    held = Locks(str(run_dir))
    assert held.take("eth0")
    image = tmp_path / "image"
    image.mkdir()
    (image / "ens3.lease.json").touch()
    (tmp_path / "image-takeover").mkdir()
    (tmp_path / "image-takeover" / "ens3.json").touch()
    assert main(["clean", "--state-dir", str(image)]) == 0
    held.close()
    assert left(image) == left(tmp_path / "image-takeover") == []
    assert "eth0.lease.json" in left(state)


def test_a_link_in_place_of_the_journals_is_not_followed(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.json").touch()
    (tmp_path / "state-takeover").rename(tmp_path / "away")
    (tmp_path / "state-takeover").symlink_to(tmp_path / "etc")
    assert main(["clean"]) == 1
    assert "takeover" in capsys.readouterr().err
    assert (tmp_path / "etc" / "config.json").exists()


def test_names_do_not_speak_to_the_terminal(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "\x1b]0;owned\x07\n.lease.json").touch()
    assert main(["clean"]) == 0
    assert f"removed {state}/\\x1b]0;owned\\x07\\n.lease.json" in capsys.readouterr().out.splitlines()
    (state / "\x1b[2J.lease.json").mkdir()
    assert main(["clean"]) == 1
    assert f"{state}/\\x1b[2J.lease.json cannot be removed" in capsys.readouterr().err


def test_a_journal_that_cannot_be_removed_is_named_with_its_folder(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(f"{state}-takeover") / "eth5.json").mkdir()
    assert main(["clean"]) == 1
    assert capsys.readouterr().err == f"holdfast: {state}-takeover/eth5.json cannot be removed: Is a directory\n"


def test_who_may_not(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(path: str, **_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuse)
    assert main(["clean"]) == 5
    assert "run as root" in capsys.readouterr().err


def test_a_state_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", "--state-dir", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"holdfast: there is no folder {tmp_path}/none; nothing was removed\n"
