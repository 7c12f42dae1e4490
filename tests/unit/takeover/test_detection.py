"""Exactly one client, or a refusal that says what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.support.takeovers import OldClient

from holdfast.takeover.detection import ADAPTERS, adapter_called, find_client
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Found


class Manager(OldClient):
    """Runs the old client."""

    name = "manager"

    def find(self, host: Host, ifname: str) -> Found | None:
        found = super().find(host, ifname)
        return found and replace(found, client="oldclient", manager="manager")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.add_process(100, "oldclient", "eth0")
    return host


def test_one(host: FakeHost) -> None:
    adapter, found = find_client(host, "eth0", (OldClient(),))
    assert (adapter.name, found.name) == ("oldclient", "oldclient")


def test_a_manager_goes_before_its_client(host: FakeHost) -> None:
    for adapters in ((OldClient(), Manager()), (Manager(), OldClient())):
        adapter, found = find_client(host, "eth0", adapters)
        assert (adapter.name, found.name) == ("manager", "oldclient under manager")


def test_two(host: FakeHost) -> None:
    host.add_process(300, "udhcpc", "-i", "eth0")
    with pytest.raises(TakeoverError, match=r"2 DHCP clients serve eth0: oldclient \(pid 100\); udhcpc \(pid 300"):
        find_client(host, "eth0", (OldClient(), *ADAPTERS))


def test_none(host: FakeHost) -> None:
    with pytest.raises(TakeoverError, match=r"serves eth0 \(looked for .*udhcpc; UDP port 68 is held by connmand"):
        find_client(host, "eth0", ADAPTERS, lambda: "connmand (pid 7)")


def test_names() -> None:
    assert [adapter_called(adapter.name) for adapter in ADAPTERS] == list(ADAPTERS)
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS)
    with pytest.raises(TakeoverError, match="does not know"):
        adapter_called("wicked")
