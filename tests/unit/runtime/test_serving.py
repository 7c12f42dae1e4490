"""runtime.serving: what belongs to one interface is made together, and ends together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import wait_until

from holdfast.clock import SystemClock
from holdfast.eventloop.loop import Loop
from holdfast.observe.log import Log
from holdfast.runtime.factory import AlreadyServedError, lock
from holdfast.runtime.serving import Common, Serving
from holdfast.settings.model import Settings
from holdfast_lab.testbed.netns import Namespace

pytestmark = pytest.mark.root


@pytest.fixture
def common(tmp_path: Path) -> Iterator[Common]:
    clock = SystemClock()
    loop = Loop(clock)
    yield Common(Settings(), str(tmp_path), str(tmp_path), Log("stderr"), clock, loop, lambda: None)  # type: ignore[arg-type,return-value]
    loop.close()


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with Namespace("serving") as machine:
        machine.output(["ip", "link", "add", "hf0", "type", "veth", "peer", "name", "hf1"])
        yield machine


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_was_made_is_closed(machine: Namespace, common: Common) -> None:
    before = descriptors()
    for matched in (False, True):
        serving = machine.run(lambda matched=matched: Serving("hf0", common, matched=matched))
        assert serving.ifindex is not None
        with pytest.raises(AlreadyServedError):
            lock(common.runtime_dir, "hf0")
        machine.run(serving.end)
    assert descriptors() == before


def test_a_lock_that_another_has_leaves_nothing_open(machine: Namespace, common: Common) -> None:
    held = lock(common.runtime_dir, "hf0")
    assert held is not None
    before = descriptors()
    with pytest.raises(AlreadyServedError):
        machine.run(lambda: Serving("hf0", common, matched=False))
    assert descriptors() == before
    os.close(held)


def test_no_netlink_gives_the_lock_back(common: Common, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr("holdfast.runtime.serving.LinkWatch", refuse)
    with pytest.raises(OSError, match="not supported"):
        Serving("hf0", common, matched=False)
    held = lock(common.runtime_dir, "hf0")
    assert held is not None
    os.close(held)


def test_a_rename_and_a_removal_are_noticed(machine: Namespace, common: Common) -> None:
    serving = machine.run(lambda: Serving("hf0", common, matched=True))
    try:
        assert not serving.driver.awaited  # no carrier, and nobody named it
        machine.output(["ip", "link", "set", "hf0", "name", "ens3"])
        wait_until(lambda: machine.run(serving.read_watch), 5, "it is told")
        assert serving.present_name == "ens3"
        machine.output(["ip", "link", "del", "ens3"])
        wait_until(lambda: machine.run(serving.read_watch), 5, "it is told")
        assert serving.ifindex is None
    finally:
        machine.run(serving.end)


def test_a_named_interface_is_always_awaited(machine: Namespace, common: Common) -> None:
    serving = machine.run(lambda: Serving("hf0", common, matched=False))
    assert serving.driver.awaited
    machine.run(serving.end)
