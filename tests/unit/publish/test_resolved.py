"""network.resolved: what systemd-resolved is told, and what happens when it, or the bus, does not play along."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.support.fake_bus import FakeBus

from holdfast.network import ResolverError
from holdfast.publish import resolved
from holdfast.publish.resolvconf import Names, Target
from holdfast.publish.resolved import Resolved

LINK = Target("eth0", 2)
NAMES = Names(
    (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")), ("example.org", "example.net"), default_route=True
)
SERVERS = ("SetLinkDNS", (2, [(2, b"\x0a\0\0\x02"), (2, b"\x0a\0\0\x03")]))
DOMAINS = ("SetLinkDomains", (2, [("example.org", False), ("example.net", False)]))
ROUTE = ("SetLinkDefaultRoute", (2, True))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "bus"


@pytest.fixture
def bus(place: Path) -> Iterator[FakeBus]:
    made = FakeBus(place)
    yield made
    made.close()


@pytest.fixture
def backend(place: Path, monkeypatch: pytest.MonkeyPatch) -> Resolved:
    monkeypatch.setattr(resolved, "TIMEOUT", 0.3)
    return Resolved(str(place))


def test_servers_and_domains_are_told(bus: FakeBus, backend: Resolved) -> None:
    assert backend.publish(LINK, NAMES)
    assert dict(bus.calls) == dict([SERVERS, DOMAINS, ROUTE])
    bus.calls.clear()
    assert backend.withdraw(LINK)
    assert bus.calls == [("RevertLink", (2,))]


def test_a_link_without_a_default_route_does_not_claim_every_name(bus: FakeBus, backend: Resolved) -> None:
    assert backend.publish(LINK, NAMES._replace(default_route=False))
    assert dict(bus.calls) == dict([SERVERS, DOMAINS])


def test_where_it_does_not_run_the_next_rung_is_asked(bus: FakeBus, backend: Resolved, tmp_path: Path) -> None:
    bus.owned = False
    assert not backend.publish(LINK, NAMES)
    assert not backend.withdraw(LINK)
    assert bus.calls == []
    assert not Resolved(str(tmp_path / "no-bus")).publish(LINK, NAMES)


def test_a_socket_that_nobody_serves_is_no_bus(place: Path, backend: Resolved) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place))
    assert not backend.publish(LINK, NAMES)


def test_networkd_s_link_is_told_so(bus: FakeBus, backend: Resolved) -> None:
    bus.answer = lambda *_: ("org.freedesktop.resolve1.LinkBusy", "Link eth0 is managed.")
    with pytest.raises(ResolverError, match="systemd-networkd, which manages it") as caught:
        backend.publish(LINK, NAMES)
    assert not caught.value.temporary
    assert len(bus.calls) == 1


@pytest.mark.parametrize(("text", "shown"), [("no way", "no way"), ("", r"org\.example\.Odd")])
def test_other_refusals_are_told_in_its_words(bus: FakeBus, backend: Resolved, text: str, shown: str) -> None:
    bus.answer = lambda *_: ("org.example.Odd", text)
    with pytest.raises(ResolverError, match=f"refuses SetLinkDNS for eth0: {shown}"):
        backend.publish(LINK, NAMES)


def test_what_means_nothing_to_do_is_no_error(bus: FakeBus, backend: Resolved) -> None:
    bus.answer = lambda method, _: (
        ("org.freedesktop.DBus.Error.UnknownMethod", "") if method == "SetLinkDefaultRoute"
        else ("org.freedesktop.resolve1.NoSuchLink", "") if method == "RevertLink" else None
    )
    assert backend.publish(LINK, NAMES)
    assert backend.withdraw(LINK)


@pytest.mark.parametrize("method", ["Hello", "NameHasOwner", "SetLinkDomains"])
@pytest.mark.parametrize("how", ["mute", "hang_up"])
def test_silence_and_hanging_up_end_in_time(bus: FakeBus, backend: Resolved, method: str, how: str) -> None:
    getattr(bus, how).add(method)
    with pytest.raises(ResolverError, match="does not answer") as caught:
        backend.publish(LINK, NAMES)
    assert caught.value.temporary


def test_chatter_is_passed_over_and_endless_chatter_is_not_waited_out(bus: FakeBus, backend: Resolved) -> None:
    bus.chatter = 3
    assert backend.publish(LINK, NAMES)
    bus.chatter = 50
    with pytest.raises(ResolverError, match="everything but a reply"):
        backend.publish(LINK, NAMES)


def test_a_bus_that_does_not_let_us_in(bus: FakeBus, backend: Resolved) -> None:
    bus.refuse = True
    with pytest.raises(ResolverError, match="system bus does not answer"):
        backend.publish(LINK, NAMES)
