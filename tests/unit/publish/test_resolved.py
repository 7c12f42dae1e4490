"""network.resolved: what systemd-resolved is told, and what happens when it, or the bus, does not play along."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.support.fake_bus import FakeBus

from holdfast.network import ResolverError
from holdfast.publish import publisher, resolved
from holdfast.publish.networkd_link import NetworkdLinks
from holdfast.publish.resolvconf import Target
from holdfast.publish.resolved import Resolved
from holdfast.publish.spool import Names
from holdfast_lab.testbed import fair_time

LINK = Target("eth0", 2)
NAMES = Names(
    (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")), ("example.org", "example.net"), default_route=True
)
SERVERS = ("SetLinkDNS", (2, [(2, b"\x0a\0\0\x02"), (2, b"\x0a\0\0\x03")]))
DOMAINS = ("SetLinkDomains", (2, [("example.org", False), ("example.net", False)]))
ROUTE = ("SetLinkDefaultRoute", (2, True))


def networkd(folder: Path) -> NetworkdLinks:
    """networkd's links, with state files in ``folder``; its file says DNS=192.0.2.1 and Domains=own.example."""
    said = {"DNS": ["192.0.2.1#dns.example"], "Domains": ["own.example"]}
    return NetworkdLinks(str(folder), publisher.replace, lambda _, key: said[key], states=str(folder))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "bus"


@pytest.fixture
def bus(place: Path) -> Iterator[FakeBus]:
    made = FakeBus(place)
    yield made
    made.close()


@pytest.fixture
def backend(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resolved:
    monkeypatch.setattr(resolved, "TIMEOUT", fair_time.longest(10))  # the bus is a thread of this process
    return Resolved(networkd(tmp_path), str(place))


def test_servers_and_domains_are_told(bus: FakeBus, backend: Resolved) -> None:
    assert backend.publish(LINK, NAMES)
    assert dict(bus.calls) == dict([SERVERS, DOMAINS, ROUTE])
    bus.calls.clear()
    assert backend.withdraw(LINK)
    assert bus.calls == [("RevertLink", (2,))]


def test_a_link_without_a_default_route_does_not_claim_every_name(bus: FakeBus, backend: Resolved) -> None:
    assert backend.publish(LINK, NAMES._replace(default_route=False))
    assert dict(bus.calls) == dict([SERVERS, DOMAINS])


def test_domains_that_only_route_are_told_so(bus: FakeBus, backend: Resolved, tmp_path: Path) -> None:
    routes = NAMES._replace(search_routes=True)
    assert backend.publish(LINK, routes)
    assert ("SetLinkDomains", (2, [("example.org", True), ("example.net", True)])) in bus.calls
    manager = Networkd(bus, tmp_path, "2001:db8::53", "own.example")
    assert backend.publish(LINK, routes)
    assert manager.told[-1] == ("SetLinkDomains", (2, [
        ("own.example", False), ("example.org", True), ("example.net", True), ("corp", True)]))


def test_where_it_does_not_run_the_next_rung_is_asked(bus: FakeBus, backend: Resolved, tmp_path: Path) -> None:
    bus.owned = False
    assert not backend.publish(LINK, NAMES)
    assert not backend.withdraw(LINK)
    assert bus.calls == []
    assert not Resolved(networkd(tmp_path), str(tmp_path / "no-bus")).publish(LINK, NAMES)


def test_a_socket_that_nobody_serves_is_no_bus(place: Path, backend: Resolved) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place))
    assert not backend.publish(LINK, NAMES)


class Networkd:
    """Manages the link: its state file is replaced at each call, as networkd does."""

    def __init__(self, bus: FakeBus, folder: Path, dns: str, domains: str = "") -> None:
        self.told: list[tuple[str, object]] = []
        self._path = folder / "2"
        self._text = f"NETWORK_FILE=/x.network\nDNS={dns}\nDOMAINS={domains}\nROUTE_DOMAINS=corp\n"
        self.save()
        bus.answer = self._answer

    def save(self) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(self._text)
        draft.replace(self._path)

    def _answer(self, method: str, body: tuple[object, ...]) -> tuple[str, str] | None:
        if (method, body[1:]) == (SERVERS[0], SERVERS[1][1:]) or method == "RevertLink":
            return "org.freedesktop.resolve1.LinkBusy", "Link eth0 is managed."
        self.told.append((method, body))
        self.save()
        return None


def test_networkd_is_told_beside_its_own(bus: FakeBus, backend: Resolved, tmp_path: Path) -> None:
    """Its file's, the lease's, DHCPv6's; and it is asked once until it has written its state anew."""
    manager = Networkd(bus, tmp_path, "192.0.2.1#dns.example [2001:db8::53]:5353", "six.example own.example")
    assert backend.publish(LINK, NAMES)
    six = bytes.fromhex("20010db8000000000000000000000053")
    told = [("RevertLinkDNS", (2,)), ("SetLinkDNSEx", (2, [
        (2, bytes((192, 0, 2, 1)), 0, "dns.example"), (2, b"\x0a\0\0\x02", 0, ""), (2, b"\x0a\0\0\x03", 0, ""),
        (10, six, 5353, "")])),
        ("SetLinkDomains", (2, [("own.example", False), ("example.org", False), ("example.net", False),
                                ("six.example", False), ("corp", True)]))]
    assert manager.told == told
    assert backend.publish(LINK, NAMES)
    assert manager.told == told
    manager.save()
    assert backend.publish(LINK, NAMES)
    assert manager.told == [*told, *told]
    assert backend.withdraw(LINK)
    assert manager.told[-1] == ("RevertLinkDNS", (2,))
    assert not list(tmp_path.glob("networkd-*"))


def test_what_the_lease_does_not_say_stays_networkd_s(bus: FakeBus, backend: Resolved, tmp_path: Path) -> None:
    manager = Networkd(bus, tmp_path, "2001:db8::53")
    bus_answer = bus.answer
    bus.answer = lambda method, body: (
        ("org.freedesktop.resolve1.LinkBusy", "") if (method, body) == ("SetLinkDNS", (2, [SERVERS[1][1][0]]))
        else bus_answer(method, body))
    assert backend.publish(LINK, Names(NAMES.dns[:1], (), default_route=True))
    assert [method for method, _ in manager.told] == ["RevertLinkDNS", "SetLinkDNS"]


def test_networkd_s_refusal_is_told_in_its_words(bus: FakeBus, backend: Resolved) -> None:
    bus.answer = lambda method, _: (
        ("org.freedesktop.resolve1.LinkBusy", "") if method == "SetLinkDNS" else ("org.example.Odd", "no way"))
    with pytest.raises(ResolverError, match="systemd-networkd refuses RevertLinkDNS for eth0: no way"):
        backend.publish(LINK, NAMES)


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
def test_silence_and_hanging_up_end_in_time(
    bus: FakeBus, backend: Resolved, monkeypatch: pytest.MonkeyPatch, method: str, how: str
) -> None:
    if how == "mute":
        monkeypatch.setattr(resolved, "TIMEOUT", 0.3)
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
