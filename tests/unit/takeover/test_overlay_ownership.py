"""A manager's link becomes ours by the overlay: what is changed, in which order, and how it goes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.journal.test_file import JOURNAL

from holdfast.managers import overlay
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Link, Takeout
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.journal import changes
from holdfast.takeover.model import Command, Found, Ownership
from holdfast.takeover.overlay_ownership import own_by_overlay

FOUND = Found("networkd", "networkd", "ens3", (1,), "it runs")
TAKEOUT = Takeout("networkd", "10-x.network", settings={"metric": 1024}, lost=("the script 10-x is not run",))


@pytest.fixture
def takeouts(monkeypatch: pytest.MonkeyPatch) -> list[Takeout]:
    """What the managers' files say of ens3; a test changes it."""
    known = [TAKEOUT]

    def takeout(_tree: Tree, link: Link) -> Takeout | None:
        return next(iter(known), None) if link.name == "ens3" else None

    monkeypatch.setattr(overlay, "MANAGERS", {"networkd": takeout})
    return known


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.mark.usefixtures("takeouts")
def test_the_lists_change_and_the_overlay_follows_there_and_back(host: FakeHost) -> None:
    owned = own_by_overlay(host, FOUND)
    assert (owned.overlaid, owned.settings, owned.lost) == (True, {"metric": 1024}, TAKEOUT.lost)
    program = next(change.argv for change in owned.volatile if isinstance(change, Command))
    lists: list[tuple[bool, bool]] = []

    def run(_argv: object) -> Completed:
        lists.append((host.exists("/run/holdfast-overlay/links.d/ens3"), host.exists("/etc/holdfast/links")))
        return Completed(0, "", "")

    host.answers[program[0]] = run
    before = host.tree()
    journal = replace(JOURNAL, files=changes.record(host, (*owned.volatile, *owned.persistent)))
    changes.apply(host, journal, owned.volatile)
    assert lists.pop() == (True, False), "the program ran when the volatile list was there"
    changes.apply(host, journal, owned.persistent)
    assert host.text("/etc/holdfast/links").splitlines()[-1] == "ens3"
    changes.undo(host, journal, owned.persistent, pytest.fail)
    changes.undo(host, journal, owned.volatile, pytest.fail)
    assert lists.pop() == (False, False), "and again when both lists were as before"
    assert host.tree() == before


@pytest.mark.usefixtures("takeouts")
def test_a_link_that_the_list_names_already_stays_there(host: FakeHost) -> None:
    host.put("/etc/holdfast/links", "ens3 # by the image\n")
    assert own_by_overlay(host, FOUND).persistent == ()


@pytest.mark.usefixtures("takeouts")
def test_a_wrong_list_is_told_before_anything_changes(host: FakeHost) -> None:
    host.put("/etc/holdfast/links", "a b\n")
    with pytest.raises(TakeoverError, match="/etc/holdfast/links: line 1"):
        own_by_overlay(host, FOUND)


def test_what_cannot_be_kept_is_refused_by_name(host: FakeHost, takeouts: list[Takeout]) -> None:
    takeouts[0] = TAKEOUT._replace(refusals=("10-x.network: SendOption=", "10-x.network: Anonymize="))
    with pytest.raises(TakeoverError, match=r"ens3 stays with networkd: 10-x\.network: SendOption=; .*Anonymize="):
        own_by_overlay(host, FOUND)
    takeouts.clear()
    with pytest.raises(TakeoverError, match="no file has it do so after a boot"):
        own_by_overlay(host, FOUND)


def test_without_an_overlay_nothing_of_it_is_claimed() -> None:
    assert (Ownership().overlaid, Ownership().settings, Ownership().lost) == (False, {}, ())
