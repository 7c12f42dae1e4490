"""A client's texts as raw options."""

from __future__ import annotations

from ipaddress import IPv4Interface
from math import inf
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.managers.formats import dhcp_options
from holdfast.network.ops import Address, Observed
from holdfast.takeover.host import Completed
from holdfast.takeover.model import Command, TakeoverError
from holdfast.wire import options as opt


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_addresses() -> None:
    assert dhcp_options.addresses("10.0.0.1 10.0.0.2,10.0.0.3") == bytes.fromhex("0a0000010a0000020a000003")
    for bad in (None, "", "10.0.0", "10.0.0.1 nonsense", "::1"):
        assert dhcp_options.addresses(bad) is None


@pytest.mark.parametrize(("text", "seconds"), [
    ("3600", 3600.0), ("1h", 3600.0), ("1h 30min", 5400.0), ("1min 500ms", 60.5), ("2d", 172800.0), ("infinity", inf),
    ("4294967295", inf), (None, -1.0), ("", -1.0), ("soon", -1.0), ("1 fortnight", -1.0),
])
def test_durations(text: str | None, seconds: float) -> None:
    assert dhcp_options.seconds(text, -1.0) == seconds


def test_a_duration_as_an_option() -> None:
    assert dhcp_options.duration("600") == (600).to_bytes(4, "big")
    assert dhcp_options.duration("infinity") == b"\xff\xff\xff\xff"
    assert dhcp_options.duration(None) is dhcp_options.duration("soon") is None


def test_numbers_and_octets() -> None:
    assert dhcp_options.number("1450", 2) == b"\x05\xaa"
    for bad in (None, "-1", "65536", "1e3", "٣"):
        assert dhcp_options.number(bad, 2) is None
    assert dhcp_options.hexadecimal("a8:3f:81:10") == dhcp_options.hexadecimal("a83f8110") == b"\xa8\x3f\x81\x10"
    assert dhcp_options.hexadecimal("a8:3") is dhcp_options.hexadecimal("zz") is dhcp_options.hexadecimal(None) is None


def test_domains_are_what_the_agent_reads() -> None:
    packed = dhcp_options.domains("a.example b.example.")
    assert packed is not None
    assert opt.domain_search(packed) == ("a.example", "b.example")
    assert dhcp_options.domains("a..b") is dhcp_options.domains("x" * 64) is dhcp_options.domains("") is None


@pytest.mark.parametrize("text", [
    "0.0.0.0/0,10.0.0.1 169.254.169.254/32,10.0.0.2 10.9.0.0/16,0.0.0.0",
    "0.0.0.0/0 10.0.0.1 169.254.169.254/32 10.0.0.2 10.9.0.0/16 0.0.0.0",
])
def test_routes_are_what_the_agent_reads(text: str) -> None:
    packed = dhcp_options.classless_routes(text)
    assert packed is not None
    assert [f"{network} {gateway}" for network, gateway in opt.classless_routes(packed)] == [
        "0.0.0.0/0 10.0.0.1", "169.254.169.254/32 10.0.0.2", "10.9.0.0/16 0.0.0.0",
    ]
    assert dhcp_options.classless_routes("10.0.0.0/40 10.0.0.1") is dhcp_options.classless_routes("") is None


def test_the_lifetime_is_the_kernels(host: FakeHost) -> None:
    host.observed = Observed(addresses=(Address(IPv4Interface("10.0.0.5/24"), valid=77.0),))
    assert dhcp_options.lifetime(host, "eth0", IPv4Interface("10.0.0.5/24")) == 77.0
    with pytest.raises(TakeoverError, match="not on it"):
        dhcp_options.lifetime(host, "eth0", IPv4Interface("10.0.0.6/24"))


def test_the_machines_name(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dhcp_options.machine_name(host) == "guest"
    monkeypatch.setattr(host, "nodename", lambda: "localhost.localdomain")
    assert dhcp_options.machine_name(host) is None


def test_an_address_of_dhcpv6_is_not_left_behind(host: FakeHost) -> None:
    host.answers["ip -6 -o addr"] = Completed(0, "2: eth0    inet6 2001:db8::5/128 scope global dynamic", "")
    with pytest.raises(TakeoverError, match="DHCPv6"):
        dhcp_options.refuse_dhcpv6(host, "eth0", "networkd")
    host.answers["ip -6 -o addr"] = Completed(0, "2: eth0    inet6 2001:db8::5/64 scope global dynamic", "")
    dhcp_options.refuse_dhcpv6(host, "eth0", "networkd")


def test_the_kernel_listens_to_routers_when_the_manager_did(host: FakeHost) -> None:
    host.put("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0\n")
    assert dhcp_options.kernel_router_advertisements(host, "eth0") == []  # nobody has used any
    host.answers["ip -6 route"] = Completed(0, "default via fe80::1 proto ra\n", "")
    key = "net/ipv6/conf/eth0/accept_ra"
    assert dhcp_options.kernel_router_advertisements(host, "eth0") == [
        Command(("sysctl", "-q", "-w", f"{key}=1"), ("sysctl", "-q", "-w", f"{key}=0"))
    ]
    host.put("/proc/sys/net/ipv6/conf/eth0/forwarding", "1\n")  # a router listens only when it was told to
    with pytest.raises(TakeoverError, match="because this machine forwards IPv6"):
        dhcp_options.kernel_router_advertisements(host, "eth0")
    host.answers["ip -6 route"] = Completed(0, "", "")
    assert dhcp_options.kernel_router_advertisements(host, "eth0") == []


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
        assert len(dhcp_options.kernel_router_advertisements(host, "eth0")) == 1
        return
    with pytest.raises(TakeoverError, match=r"another IPv6 address than 2001:.*addr-gen-mode eui64"):
        dhcp_options.kernel_router_advertisements(host, "eth0")
