"""Changes are applied, and taken back only where they still are as we left them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.journal.test_file import JOURNAL

from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.journal import changes
from holdfast.takeover.model import Change, Command, FileChange, ListEntry

ALL: tuple[Change, ...] = (
    Command(("up",), ("down",)), FileChange("/run/new", b"new", 0o600), FileChange("/etc/old", b"after"),
    FileChange("/etc/away", None), Command(("reload",)),
)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put("/etc/old", "before", 0o640)
    host.put("/etc/away", "away")
    return host


def mode(host: FakeHost, path: str) -> int:
    return Path(host.path(path)).stat().st_mode & 0o777


def test_there_and_back(host: FakeHost) -> None:
    before = host.tree()
    journal = replace(JOURNAL, files=changes.record(host, ALL))
    for _ in range(2):
        changes.apply(host, journal, ALL)
        assert (host.text("/run/new"), host.text("/etc/old"), host.exists("/etc/away")) == ("new", "after", False)
        assert mode(host, "/run/new") == 0o600
    told: list[str] = []
    for _ in range(2):
        changes.undo(host, journal, ALL, told.append)
        assert host.tree() == before
        assert mode(host, "/etc/old") == 0o640
    assert host.ran == [("up",), ("reload",)] * 2 + [("down",)] * 2
    assert told == []


def test_undone_in_reverse(host: FakeHost) -> None:
    order: list[str] = []
    host.answers["down"] = lambda _: order.append("yes" if host.exists("/run/new") else "no") or Completed(0, "", "")
    journal = replace(JOURNAL, files=changes.record(host, ALL))
    changes.apply(host, journal, ALL)
    changes.undo(host, journal, ALL, order.append)
    assert order == ["no"]


def test_what_somebody_changed(host: FakeHost) -> None:
    journal = replace(JOURNAL, files=changes.record(host, ALL))
    host.put("/etc/old", "another's")
    with pytest.raises(TakeoverError, match="/etc/old was changed by somebody else meanwhile"):
        changes.apply(host, journal, ALL)
    told: list[str] = []
    changes.undo(host, journal, ALL, told.append)
    assert host.text("/etc/old") == "another's"
    assert told == ["/etc/old was changed by somebody else since: it is left as it is"]


def test_what_fails_does_not_keep_the_rest(host: FakeHost) -> None:
    journal = replace(JOURNAL, files=changes.record(host, ALL))
    changes.apply(host, journal, ALL)
    host.answers["down"] = Completed(3, "", "broken\n")
    told: list[str] = []
    changes.undo(host, replace(journal, files=journal.files[1:]), ALL, told.append)
    assert host.text("/etc/old") == "before"
    assert told == ["not undone: '/run/new'", "not undone: `down` failed: broken"]


ENTRY = ListEntry("/etc/holdfast/links", "ens3")


def test_a_list_that_is_made_for_one_entry_goes_with_it(host: FakeHost) -> None:
    before = host.tree()
    for _ in range(2):
        changes.apply(host, JOURNAL, [ENTRY])
        assert host.text(ENTRY.path).splitlines()[1:] == ["ens3"]
        assert mode(host, ENTRY.path) == 0o644
    told: list[str] = []
    for _ in range(2):
        changes.undo(host, JOURNAL, [ENTRY], told.append)
        assert host.tree() == before
    assert told == []


@pytest.mark.parametrize("text", ["# ours\nens4\n", "en*\nens3x", "ens33\n"])
def test_an_entry_alone_is_taken_out_of_a_list_that_others_write(host: FakeHost, text: str) -> None:
    host.put(ENTRY.path, text, 0o600)
    changes.apply(host, JOURNAL, [ENTRY])
    assert host.text(ENTRY.path) == text + ("" if text.endswith("\n") else "\n") + "ens3\n"
    host.put(ENTRY.path, host.text(ENTRY.path) + "eth9\n", 0o600)
    changes.undo(host, JOURNAL, [ENTRY], pytest.fail)
    assert host.text(ENTRY.path) == text + ("" if text.endswith("\n") else "\n") + "eth9\n"
    assert mode(host, ENTRY.path) == 0o600
