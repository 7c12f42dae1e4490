"""runtime.onlink."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from holdfast.network import link
from holdfast.network.onlink import has_address, own_macs, settle_carrier
from holdfast_lab.testbed.netns import Namespace, cable

ONE, TWO, NONE = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.51"), IPv4Address("192.0.2.52")


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with cable() as (ours, _):
        yield ours


@pytest.mark.root
def test_addresses_secondary_and_labelled_ones_included(machine: Namespace) -> None:
    machine.run(lambda: machine.rtnl.add_address("eth0", f"{ONE}/24"))
    machine.output(["ip", "addr", "add", f"{TWO}/24", "dev", "eth0", "label", "eth0:vip"])
    assert machine.run(lambda: [has_address("eth0", address) for address in (ONE, TWO, NONE)]) == [True, True, False]
    assert not machine.run(lambda: has_address("lo", ONE))


@pytest.mark.root
def test_carrier_is_known_at_once_after_setting_up(machine: Namespace) -> None:
    machine.run(lambda: machine.rtnl.set_link("eth0", up=False))

    def run() -> bool:
        link.set_up("eth0")
        settle_carrier("eth0")
        return link.find("eth0").carrier

    assert machine.run(run)


@pytest.mark.root
def test_our_own_hardware_addresses(machine: Namespace) -> None:
    assert machine.run(own_macs) == {machine.run(lambda: link.find("eth0").mac)}


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert not has_address("lo", IPv4Address("127.0.0.1"))
    assert own_macs() == set()
    settle_carrier("lo")


def test_a_link_that_is_not_there() -> None:
    settle_carrier("nonesuch0")
    assert not has_address("nonesuch0", IPv4Address("127.0.0.1"))
    assert has_address("lo", IPv4Address("127.0.0.1"))
