"""runtime.hotplug: which links a pattern means, and when udev has done with them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from holdfast.network.census import Found
from holdfast.runtime.host import hotplug
from holdfast.runtime.host.hotplug import MAX_SERVED, UDEV_PATIENCE, Hotplug, UdevDatabase, fits
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop

PATTERNS = ("en*", "eth*", "br0")


def link(name: str, *, ifindex: int = 7, htype: int = 1, flags: int = 0x1043, kind: str = "",
         enslaved: bool = False) -> Found:
    return Found(name, ifindex, htype, flags, kind, enslaved)


@pytest.mark.parametrize(("found", "wanted"), [
    (link("ens3"), True),
    (link("eth0"), True),
    (link("wlan0"), False),
    (link("lo", htype=772, flags=0x49), False),
    (link("eth9", htype=32), False),  # InfiniBand
    (link("eth9", flags=0x10D1), False),  # point to point
    (link("eni1234", kind="veth"), False),  # a cloud's container plug-in
    (link("eth0.5", kind="vlan"), False),
    (link("ens4", enslaved=True), False),
    (link("br0", kind="bridge"), True),  # named exactly
    (link("br1", kind="bridge"), False),
])
def test_what_a_pattern_means(found: Found, wanted: bool) -> None:
    assert fits(found, PATTERNS, container=False) is wanted


def test_a_container_is_at_the_end_of_a_veth() -> None:
    assert fits(link("eth0", kind="veth"), PATTERNS, container=True)
    assert not fits(link("eth0", kind="veth", enslaved=True), PATTERNS, container=True)
    assert not fits(link("eth0", kind="bridge"), PATTERNS, container=True)


class Udev:
    """A /run/udev that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "udev"
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "control").touch()
        self.clock = VirtualClock()
        self.loop = VirtualLoop(self.clock)
        self.looks = 0
        self.database = UdevDatabase(str(self.folder), self.loop, self.again)

    def again(self) -> None:
        self.looks += 1
        self.database.done_with(7)

    def knows(self, text: str) -> None:
        (self.folder / "data" / "n7").write_text(text)


@pytest.fixture
def udev(tmp_path: Path) -> Any:
    made = Udev(tmp_path)
    yield made
    made.database.close()
    assert made.loop.registered == {}
    assert made.loop.timers == {}


def test_without_udev_nothing_is_waited_for(udev: Udev) -> None:
    (udev.folder / "control").unlink()
    assert udev.database.done_with(7)


def test_a_link_in_the_database_is_settled_unless_it_is_being_renamed(udev: Udev) -> None:
    udev.knows("I:123\nE:ID_BUS=pci\nE:ID_RENAMING=1\n")
    assert not udev.database.done_with(7)
    udev.knows("I:123\nE:ID_BUS=pci\n")
    assert udev.database.done_with(7)


def test_a_word_of_udev_is_a_reason_to_look_again(udev: Udev) -> None:
    assert not udev.database.done_with(7)
    [(_, heard)] = udev.loop.registered.items()
    heard(1)
    assert udev.looks == 1
    assert udev.loop.registered  # still waiting
    udev.knows("I:1\n")
    heard(1)
    assert udev.looks == 2
    assert udev.loop.registered == {}


def test_udev_does_not_keep_a_link_for_ever(udev: Udev) -> None:
    udev.knows("E:ID_RENAMING=1\n")  # a rename that failed
    assert not udev.database.done_with(7)
    udev.loop.run(UDEV_PATIENCE + 1)
    assert udev.looks == 1
    assert udev.database.done_with(7)


def test_links_that_go_meanwhile_do_not_pile_up(udev: Udev) -> None:
    gone = range(10, 10 + 3 * MAX_SERVED)
    for ifindex in gone:
        assert not udev.database.done_with(ifindex)
    udev.loop.run(UDEV_PATIENCE + 1)
    waited_for = [udev.database.done_with(ifindex) for ifindex in reversed(gone)]
    latest = MAX_SERVED - 1  # and link 7, which was looked at when the patience was at its end
    assert waited_for == [True] * latest + [False] * (len(gone) - latest), "the oldest were forgotten, and begin anew"


def test_a_kernel_without_uevents(udev: Udev, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(hotplug.socket, "socket", refuse)
    assert not udev.database.done_with(7)
    monkeypatch.undo()
    udev.loop.run(UDEV_PATIENCE + 1)
    assert udev.looks == 1


def test_no_room_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, told, asked = VirtualLoop(VirtualClock()), [], []

    def begin(name: str, ifindex: int) -> bool:
        asked.append((name, ifindex))
        return len(asked) == 1

    monkeypatch.setattr(hotplug, "all_links", lambda: [link("eth0"), link("wlan0"), link("eth1"), link("eth2")])
    plug = Hotplug(PATTERNS, loop, begin, lambda priority, text: told.append(text), run=str(tmp_path))
    try:
        plug.look()
    finally:
        plug.close()
    assert asked == [("eth0", 7), ("eth1", 7), ("eth2", 7)]
    assert len(told) == 1
    assert loop.registered == {}
