"""A client that could write the machine's own files is not started."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast_lab.peers import ALL, running
from holdfast_lab.peers.running import Running
from holdfast_lab.testbed import fair_time, netns
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.private import NotPrivateError
from holdfast_lab.testbed.stage import Stage

pytestmark = pytest.mark.root


@pytest.fixture
def writable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of the machine that can be written, also where the tests' own /etc and /var are read-only."""
    monkeypatch.setattr("holdfast_lab.testbed.private.FOLDERS", (str(tmp_path),))
    return tmp_path


def test_a_stage_has_files_of_its_own() -> None:
    with Stage() as stage:
        fair_time.wait(stage.client.start_client(["true"]), 10)
        for folder in ("/etc", "/run", "/var"):
            seen = stage.client.output(["sh", "-c", f"touch {folder}/holdfast-was-here 2>/dev/null; echo done"])
            assert seen == "done\n"
            assert not Path(folder, "holdfast-was-here").exists()


def test_a_client_in_a_namespace_with_the_machine_s_files_is_refused(writable: Path) -> None:
    mark = writable / "written"
    with Namespace("open", private_files=False) as machine, pytest.raises(NotPrivateError, match=str(writable)):
        machine.start_client(["touch", str(mark)])
    assert not mark.exists()


def test_a_client_in_a_cage_without_private_folders_is_refused(
    writable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cage = tmp_path / "cage.py"
    mark = tmp_path / "started"
    cage.write_text(
        "import sys\n"
        "sys.stdin.readline(), print('mounted', flush=True)\n"
        f"sys.stdin.readline() == 'go\\n' and open({str(mark)!r}, 'w')\n"
    )
    monkeypatch.setattr(running, "CAGE", cage)
    with Namespace("open", private_files=False) as machine, pytest.raises(NotPrivateError):
        Running(ALL["holdfast"], machine, "lo", tmp_path / "log")
    assert not mark.exists()


def test_read_only_is_private_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("holdfast_lab.testbed.private.FOLDERS", (str(tmp_path),))
    with Namespace("shut", private_files=False) as machine:
        machine.run(lambda: netns.mount(str(tmp_path), str(tmp_path), None, netns.MS_BIND))
        machine.run(lambda: netns.make_read_only(str(tmp_path)))
        assert fair_time.wait(machine.start_client(["true"]), 10) == 0
