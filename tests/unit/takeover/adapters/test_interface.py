"""What adapters ask of the interface."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.network.plan import Address, Observed
from holdfast.takeover.adapters import interface
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import Command


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_the_lifetime_is_the_kernels(host: FakeHost) -> None:
    host.observed = Observed(addresses=(Address(IPv4Interface("10.0.0.5/24"), valid=77.0),))
    assert interface.lifetime(host, "eth0", IPv4Interface("10.0.0.5/24")) == 77.0
    with pytest.raises(TakeoverError, match="not on it"):
        interface.lifetime(host, "eth0", IPv4Interface("10.0.0.6/24"))


def test_the_machines_name(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    assert interface.machine_name(host) == "guest"
    monkeypatch.setattr(host, "nodename", lambda: "localhost.localdomain")
    assert interface.machine_name(host) is None


def test_an_address_of_dhcpv6_is_not_left_behind(host: FakeHost) -> None:
    host.answers["ip -6 -o addr"] = Completed(0, "2: eth0    inet6 2001:db8::5/128 scope global dynamic", "")
    with pytest.raises(TakeoverError, match="DHCPv6"):
        interface.refuse_dhcpv6(host, "eth0", "networkd")
    host.answers["ip -6 -o addr"] = Completed(0, "2: eth0    inet6 2001:db8::5/64 scope global dynamic", "")
    interface.refuse_dhcpv6(host, "eth0", "networkd")


def test_the_kernel_listens_to_routers_when_the_manager_did(host: FakeHost) -> None:
    host.put("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0\n")
    assert interface.kernel_router_advertisements(host, "eth0") == []  # nobody has used any
    host.answers["ip -6 route"] = Completed(0, "default via fe80::1 proto ra\n", "")
    key = "net/ipv6/conf/eth0/accept_ra"
    assert interface.kernel_router_advertisements(host, "eth0") == [
        Command(("sysctl", "-q", "-w", f"{key}=1"), ("sysctl", "-q", "-w", f"{key}=0"))
    ]
    host.put("/proc/sys/net/ipv6/conf/eth0/forwarding", "1\n")  # a router listens only when it was told to
    with pytest.raises(TakeoverError, match="because this machine forwards IPv6"):
        interface.kernel_router_advertisements(host, "eth0")
    host.answers["ip -6 route"] = Completed(0, "", "")
    assert interface.kernel_router_advertisements(host, "eth0") == []


@pytest.mark.parametrize(("address", "flags", "refused"), [
    ("2001:db8::ff:fe00:1/64", "dynamic noprefixroute", False),  # 02:00:00:00:00:01
    ("2001:db8::b7ec:a5d2:2b3f:24cb/64", "dynamic noprefixroute", True),
    ("2001:db8::b7ec:a5d2:2b3f:24cb/64", "temporary dynamic", False),  # comes and goes at any rate
    ("nonsense", "dynamic", False),
])
def test_an_ipv6_address_that_the_kernel_would_not_make(
    tmp_path: Path, address: str, flags: str, refused: bool
) -> None:
    host = FakeHost(tmp_path)
    host.put("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0\n")
    host.answers["ip -6 route"] = Completed(0, "default via fe80::1 proto ra\n", "")
    host.answers["ip -6 -o addr"] = Completed(0, f"2: eth0    inet6 {address} scope global {flags} \\  valid\n2:\n", "")
    if not refused:
        assert len(interface.kernel_router_advertisements(host, "eth0")) == 1
        return
    with pytest.raises(TakeoverError, match=r"another IPv6 address than 2001:.*addr-gen-mode eui64"):
        interface.kernel_router_advertisements(host, "eth0")
