"""Journals that 0.1.0 has written: they are read, and all that they tell of is undone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.takeover.journal import changes, codec
from holdfast.takeover.journal.record import Phase
from holdfast.takeover.model import Change, Command, FileChange

FOLDER = Path(__file__).parents[3] / "data" / "0.1.0" / "journals"
#: What keeps each manager off after a boot.
KEPT_OFF = {
    "networkd": "/etc/systemd/network/05-holdfast-ens3.network",
    "ifupdown": "/etc/systemd/system/networking.service.d/50-holdfast-ens3.conf",
    "networkmanager": "/etc/NetworkManager/conf.d/90-holdfast-ens3.conf",
}


@pytest.mark.parametrize("name", KEPT_OFF)
def test_a_journal_of_the_first_version_is_undone(tmp_path: Path, name: str) -> None:  # rule 53
    journal = codec.parse((FOLDER / f"{name}.json").read_bytes(), "ens3")
    every: tuple[Change, ...] = (*journal.ownership.volatile, *journal.ownership.persistent)
    assert journal.phase is Phase.CONFIRMED
    assert not journal.ownership.overlaid
    assert KEPT_OFF[name] in [change.path for change in every if isinstance(change, FileChange)]
    host, told = FakeHost(tmp_path), list[str]()
    before = host.tree()
    changes.apply(host, journal, every)
    assert host.exists(KEPT_OFF[name])
    host.ran.clear()
    changes.undo(host, journal, every, told.append)
    assert (host.tree(), told) == (before, [])
    assert host.ran == [change.undo for change in reversed(every) if isinstance(change, Command) and change.undo]
    assert ("systemctl", "disable", "holdfast@ens3.service") in host.ran
