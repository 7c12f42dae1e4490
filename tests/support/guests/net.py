"""The network of one guest: a bridge without an uplink, a DHCP server, faults, packages by HTTP, and witnesses.

Everything is in two namespaces, ``server`` (bridge ``br0``, 10.77.0.1/24, port ``port0``) and ``client`` (in it
runs a container; a virtual machine's tap is in ``server``). Addresses are 10.77.0.50 to .99, by dnsmasq's hash of
the client's identifier: a client that changes its identifier gets another one, unless ``pinned``.
"""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from tests.support.guests.variants import LINK, SECOND
from tests.support.probe import Probe
from tests.support.servers import Dnsmasq, Service
from tests.support.site import BRIDGE, PORT, Site

from holdfast_lab.testbed.messages import parse_request
from holdfast_lab.testbed.netns import no_offload
from holdfast_lab.witness.watch import NetlinkWatch, Witness
from holdfast_lab.witness.wirelog import ETH_P_ALL, Seen, WireLog, packet_socket, receive

SERVER = "10.77.0.1"
#: The address of a guest whose MAC is pinned.
PINNED = "10.77.0.50"


IPv6 = Literal["slaac", "stateless", "stateful"]
#: The server's own address, and what it says of names by DHCPv6 and in its advertisements.
SERVER6 = "2001:db8:77::1"
_NAMES6 = ("dhcp-option=option6:dns-server,[2001:db8:77::53]", "dhcp-option=option6:domain-search,six.example")
_IPV6: dict[IPv6 | None, tuple[str, ...]] = {
    None: (),
    "slaac": ("enable-ra", "dhcp-range=2001:db8:77::,ra-only,64,1h"),
    "stateless": ("enable-ra", "dhcp-range=2001:db8:77::,ra-stateless,64,1h", *_NAMES6),
    "stateful": ("enable-ra", "dhcp-range=2001:db8:77::100,2001:db8:77::1ff,64,1h", *_NAMES6),
}


class Terms(NamedTuple):
    """What the server hands out. Times are seconds; dnsmasq gives no lease under 120. ``t1``, ``t2``: forced
    options 58 and 59, None leaves them to the client. ``pinned``: MAC -> address as clouds do it, whatever the
    client-id. ``ipv6``: what there is besides, by router advertisements with a prefix (slaac), these and DHCPv6 without
    addresses (stateless), or addresses by DHCPv6 alone (stateful). ``extra``: lines for dnsmasq's configuration."""

    lease_time: int = 120
    t1: int | None = None
    t2: int | None = None
    pinned: bool = False
    ipv6: IPv6 | None = None
    extra: tuple[str, ...] = ()


#: The server's end of a second card.
SECOND_PORT = "port1"
#: What a guest may set for links to come, and what lasts as long as its network namespace.
_SWITCHES = ("net/ipv4/ip_forward", *(
    f"net/ipv6/conf/{scope}/{name}" for scope in ("all", "default")
    for name in ("forwarding", "accept_ra", "use_tempaddr", "disable_ipv6")
))


def _set_switch(path: Path, value: str) -> None:
    if path.read_text().strip() != value:  # a write of "all" reaches every link
        path.write_text(value)


class _PoolDnsmasq(Dnsmasq):
    """dnsmasq with a pool, and by name ``terms`` and ``mac`` that may change between ``kill`` and ``start``."""

    terms = Terms()
    mac = ""

    def configuration(self) -> dict[str, str]:
        """dnsmasq(8)."""
        terms = self.terms
        lines = [
            "port=0", "no-ping", "log-dhcp", "log-facility=-", "bind-interfaces", f"interface={self.interface}",
            "except-interface=lo", "user=root", "dhcp-authoritative", f"pid-file={self.folder}/pid",
            f"dhcp-leasefile={self.folder}/leases",
            f"dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,{terms.lease_time}",
            f"dhcp-option=3,{SERVER}", f"dhcp-option=6,{SERVER}", "dhcp-option=15,guests.example",
        ]
        if terms.t1 is not None:
            lines.append(f"dhcp-option-force=58,{terms.t1}")
        if terms.t2 is not None:
            lines.append(f"dhcp-option-force=59,{terms.t2}")
        if terms.pinned:
            lines.append(f"dhcp-host={self.mac},{PINNED}")
        return {"dnsmasq.conf": "\n".join([*lines, *_IPV6[terms.ipv6], *terms.extra]) + "\n"}


class _Tap(Witness):
    """Reads one port, as long as that is there, into ``wire``."""

    def __init__(self, net: Net, wire: WireLog) -> None:
        self._wire, self._turn = wire, threading.Lock()
        super().__init__(net.server.run(lambda: packet_socket(PORT, ETH_P_ALL)), "packets")

    def _read(self) -> None:
        with self._turn:
            self._take()

    def caught_up(self) -> None:
        """Read what has come so far: the thread may not have had its turn since."""
        with self._turn:
            while not self._closed:
                try:
                    self._take()
                except BlockingIOError:
                    return
                except OSError:  # the link has gone down, which is said once
                    continue

    def _take(self) -> None:
        frame, at = receive(self._source)
        for port in (67, 68):
            message = parse_request(frame, at, port=port)
            if message is not None:
                self._wire.add(message.seen)


class PacketLog:
    """Every DHCP message at the guest's port, both ways, those that a fault then drops included. ``sent`` and
    ``received`` tell all that has come until they are called."""

    def __init__(self) -> None:
        self.wire = WireLog()
        self._taps: list[_Tap] = []

    def listen(self, net: Net) -> None:
        """The port is there, or another one is."""
        self._taps.append(_Tap(net, self.wire))

    def close(self) -> None:
        """Stop; what was seen stays readable."""
        for tap in self._taps:
            tap.close()

    def sent(self, *kinds: str, since: float = 0.0) -> list[Seen]:
        """The guest's messages, of these kinds ("DISCOVER", "REQUEST", ...) or of all."""
        return [
            seen for seen in self._all()
            if seen.direction == "in" and seen.at >= since and (not kinds or seen.kind in kinds)
        ]

    def received(self, *kinds: str, since: float = 0.0) -> list[Seen]:
        """The server's messages, of these kinds ("OFFER", "ACK", "NAK") or of all."""
        return [
            seen for seen in self._all()
            if seen.direction == "out" and seen.at >= since and (not kinds or seen.kind in kinds)
        ]

    def _all(self) -> list[Seen]:
        for tap in self._taps:
            tap.caught_up()
        return self.wire.all()


def client_id(seen: Seen) -> bytes | None:
    """Option 61 as sent, or None when the message had none."""
    value = seen.options.get("client_id")
    return None if value is None else bytes.fromhex(value)


class Net(Site):
    """One guest's network. A context manager; a guest makes its own when it is not given one."""

    def __init__(
        self, folder: Path, *, mac: str, virtual_machine: bool, terms: Terms | None = None, second: str | None = None
    ) -> None:
        self.folder = folder
        self.mac = mac
        self.second = second  # the MAC of a container's second card
        self._virtual_machine = virtual_machine
        self._stack = ExitStack()
        self.packets = PacketLog()
        super().__init__(f"{SERVER}/24")
        self._stack.callback(super().close)
        try:
            # A bridge takes the lowest address of its ports, if not told: a new plug would be another gateway.
            self.on_server("ip", "link", "set", BRIDGE, "address", "02:00:00:00:77:01")
            if terms is not None and terms.ipv6 is not None:
                # Else it says that it is no router, and guests that have asked for its MAC give its default route up.
                self.server.run(partial(_set_switch, Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/forwarding"), "1"))
                self.on_server("ip", "address", "add", f"{SERVER6}/64", "dev", BRIDGE, "nodad")
            self.dhcp = _PoolDnsmasq(self.server, BRIDGE, folder, Service())
            self.dhcp.terms, self.dhcp.mac = terms or Terms(), mac
            self._stack.callback(self.dhcp.kill)
            self.dhcp.start()
            self._stack.callback(self.packets.close)
        except BaseException:
            self.close()
            raise

    def plug(self, mac: str | None = None) -> None:
        """Make the guest's port, and in a container its interface, with checksums filled in."""
        if self._virtual_machine:
            self.on_server("ip", "tuntap", "add", "dev", PORT, "mode", "tap")
        else:
            peer = ("peer", "name", "peer0", "address", mac or self.mac)
            self.on_server("ip", "link", "add", PORT, "type", "veth", *peer)
            self.on_server("ip", "link", "set", "peer0", "netns", self.client.path, "name", LINK)
            self.client.run(lambda: no_offload(LINK))
            if self.second is not None:
                self._plug_second(self.second)
        with suppress(OSError):  # a tap has no such thing until somebody opens it
            self.server.run(lambda: no_offload(PORT))
        self.on_server("ip", "link", "set", PORT, "master", BRIDGE, "up")
        if self.second is not None:
            self.on_server("ip", "link", "set", PORT, "type", "bridge_slave", "isolated", "on")
        self.packets.listen(self)

    def _plug_second(self, mac: str) -> None:
        """A container's second card; what one sends the other does not see, nor do our witnesses at the first."""
        peer = ("peer", "name", "peer1", "address", mac)
        self.on_server("ip", "link", "add", SECOND_PORT, "type", "veth", *peer)
        self.on_server("ip", "link", "set", "peer1", "netns", self.client.path, "name", SECOND)
        self.client.run(lambda: no_offload(SECOND))
        self.on_server("ip", "link", "set", SECOND_PORT, "master", BRIDGE, "up")
        self.on_server("ip", "link", "set", SECOND_PORT, "type", "bridge_slave", "isolated", "on")

    def forget_boot(self) -> None:
        """Put a container's network back to what a kernel has at its start: no links but ``lo``, no rules, no nftables,
        and the switches of a namespace that nobody has touched."""
        for link in json.loads(self.on_client("ip", "-json", "link")):
            if link["ifname"] != "lo" and link["ifname"] in self.on_client("ip", "-brief", "link"):  # not with another
                self.on_client("ip", "link", "delete", link["ifname"])
        self.on_client("nft", "flush", "ruleset")
        for family, tables in (("-4", ("main", "default")), ("-6", ("main",))):
            self.on_client("ip", family, "rule", "flush")
            for number, table in enumerate(tables, start=32766):
                rule = ("lookup", table, "priority", str(number), "protocol", "kernel")  # networkd removes others
                self.on_client("ip", family, "rule", "add", *rule)
        for key in _SWITCHES:
            untouched = self.server.run(Path("/proc/sys", key).read_text).strip()
            self.client.run(partial(_set_switch, Path("/proc/sys", key), untouched))

    def client_mac(self) -> str:
        """The hardware address of the guest's interface."""
        return self.mac

    def change_terms(self, **terms: Any) -> None:
        """Restart the server with other terms; it remembers its leases."""
        self.dhcp.kill()
        self.dhcp.terms = self.dhcp.terms._replace(**terms)
        self.dhcp.start()

    def given(self) -> str | None:
        """The address that the server has last given to this MAC."""
        for line in reversed(self.dhcp.lease_files()[0].read_text().splitlines() if self.dhcp.lease_files() else []):
            fields = line.split()
            if len(fields) >= 3 and fields[1] == self.mac:
                return fields[2]
        return None

    def probe(self, *addresses: str) -> GuestProbe:
        """Ask for these addresses 20 times a second from now on."""
        probe = GuestProbe(self.server, *addresses)
        self._stack.callback(probe.finish)
        return probe

    def watch(self) -> NetlinkWatch:
        """Netlink events in a container's network, seen from outside."""
        assert not self._virtual_machine, "nobody can look into a virtual machine's kernel"
        watch = NetlinkWatch(self.client)
        self._stack.callback(watch.close)
        return watch

    def serve_http(self, folder: Path, port: int = 80) -> str:
        """Serve the files of ``folder`` at the server's address; the URL, with a slash at its end."""
        handler = partial(_QuietHandler, directory=str(folder))
        server = self.server.run(lambda: http.server.ThreadingHTTPServer((SERVER, port), handler))
        thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._stack.callback(stop)
        return f"http://{SERVER}:{port}/" if port != 80 else f"http://{SERVER}/"

    def close(self) -> None:
        """Everything stops and is gone."""
        self._stack.close()

    def __enter__(self) -> Net:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class GuestProbe(Probe):
    """Call ``finish`` first, then ask what was missed."""

    def longest_gap(self, address: str, start: float = 0.0, end: float = float("inf")) -> float:
        """The longest time in seconds that ``address`` was seen without an answer; 0 when none was missed."""
        longest, last = 0.0, None
        for number, (at, asked) in list(self.sent.items()):
            if asked != address or not start <= at <= end:
                continue
            if number in self.answered:
                last = at
            elif last is not None:
                longest = max(longest, at - last)
        return longest


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Says nothing about each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


__all__ = ["PINNED", "SERVER", "GuestProbe", "IPv6", "Net", "PacketLog", "Terms", "client_id"]
