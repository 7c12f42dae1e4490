"""Two witnesses: netlink events on the client's machine, and ARP probes from the server's side of the cable.

The first reads netlink octet by octet on purpose: it bears witness to what ``holdfast.network`` and pyroute2 do, so it
shares no code with them.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from typing import NamedTuple

from holdfast_lab.testbed.fair_time import wait_on
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.witness.wirelog import ETH_P_ARP, boottime, packet_socket, receive

RTM_NEWLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE = 16, 20, 21, 24, 25
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 1, 0x10, 0x40
RTM_GETLINK, NLM_F_REQUEST = 18, 1
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, FOREVER = 1, 2, 6, 0xFFFFFFFF
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RT_TABLE_MAIN, RTN_UNICAST = 1, 4, 5, 6, 254, 1
IFF_RUNNING = 0x40
#: Probes go out this often. Frequent enough to see a gap of a tenth of a second, rare enough to cost nothing.
PROBE_GAP = 0.05
#: A machine in the next namespace answers within a millisecond; this long without an answer is no answer.
PATIENCE = 0.25
#: nlmsghdr and ifinfomsg: a question about interface 1, which every namespace has.
_QUESTION = struct.Struct("=IHHII" "BxHiII")


class Event(NamedTuple):
    """One change on the client's machine. ``at`` is CLOCK_BOOTTIME.

    ``kind``: "address+", "address-", "route+", "route-", "up", "down". ``what`` is "192.0.2.50/24" or
    "0.0.0.0/0 via 192.0.2.1 proto 16". ``valid``: seconds of an address's lifetime, None for one without end.
    """

    at: float
    kind: str
    what: str
    ifindex: int
    valid: int | None = None


class Witness:
    """A thread that reads one socket until it is closed."""

    def __init__(self, source: socket.socket, name: str) -> None:
        self._source = source
        self._source.setblocking(False)
        self._closed = False
        self._changed = threading.Condition()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._source, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select(self._tick())]
                if self._wake_read in ready:
                    return
                if self._source in ready:
                    try:
                        self._read()
                    except OSError:  # the link is down: nothing to read now
                        continue

    def _tick(self) -> float | None:
        """Called before each wait; how long it may be."""
        return None

    def _read(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Stop; what was seen stays readable."""
        if not self._closed:
            self._closed = True
            os.write(self._wake_write, b"x")
            self._thread.join()
            self._source.close()
            os.close(self._wake_read)
            os.close(self._wake_write)


class NetlinkWitness(Witness):
    """Reads what the kernel tells of the addresses, routes and links of ``namespace``.

    ``caught_up`` is a barrier: it asks the kernel a question on the same socket, whose answer is queued behind all that
    was told before, and returns when the thread has read the answer.
    """

    def __init__(self, namespace: Namespace, name: str) -> None:
        self._question, self._answered = 0, 0
        source = namespace.run(self._subscribe)
        self._port: int = source.getsockname()[0]
        super().__init__(source, name)

    @staticmethod
    def _subscribe() -> socket.socket:
        source = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        source.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE))
        return source

    def caught_up(self) -> None:
        """Return when all that the kernel has told until now has been read; at once after ``close`` and for the reading
        thread itself."""
        if self._closed or threading.current_thread() is self._thread:
            return
        with self._changed:
            self._question += 1
            wanted = self._question
            question = (_QUESTION.size, RTM_GETLINK, NLM_F_REQUEST, wanted, 0, 0, 0, 1, 0, 0)
            self._source.send(_QUESTION.pack(*question))
            assert wait_on(self._changed, lambda: self._answered >= wanted, 60), "the witness of netlink does not read"

    def _read(self) -> None:
        data = self._source.recv(1 << 16)
        at = boottime()
        number, port = struct.unpack_from("=II", data, 8)
        if port == self._port:  # the answer to our question
            with self._changed:
                self._answered = number
                self._changed.notify_all()
        else:
            self._take(data, at)

    def _take(self, data: bytes, at: float) -> None:
        """Called in the reading thread with each datagram and when it was read (CLOCK_BOOTTIME)."""
        raise NotImplementedError


class NetlinkWatch(NetlinkWitness):
    """Records what happens to addresses, unicast routes and links in ``namespace``."""

    def __init__(self, namespace: Namespace) -> None:
        self._events: list[Event] = []
        super().__init__(namespace, f"netlink-{namespace.name}")

    def _take(self, data: bytes, at: float) -> None:
        found = list(_events(data, at))
        with self._changed:
            self._events += found
            self._changed.notify_all()

    def events(self, *kinds: str) -> list[Event]:
        """All that the kernel has told until now, of these kinds (of all without any)."""
        self.caught_up()
        with self._changed:
            return [event for event in self._events if not kinds or event.kind in kinds]

    def wait_for(self, wanted: Callable[[Event], bool], timeout: float, *, since: float = 0.0) -> Event:
        """The first event after ``since`` that is ``wanted``; AssertionError after ``timeout`` fair seconds."""

        def find() -> Event | None:
            return next((event for event in self._events if event.at > since and wanted(event)), None)

        with self._changed:
            found = wait_on(self._changed, find, timeout)
            if found is None:
                raise AssertionError(f"not seen within {timeout} s; netlink's last words: {self._events[-8:]}")
            return found


def _events(data: bytes, at: float) -> Iterator[Event]:
    """What the rtnetlink messages of one datagram say (rtnetlink(7)): nlmsghdr, a fixed header, attributes."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        body, data = data[16:length], data[(length + 3) & ~3 :]
        sign = "+" if kind in {RTM_NEWADDR, RTM_NEWROUTE} else "-"
        if kind in {RTM_NEWADDR, RTM_DELADDR}:
            yield _address(body, at, sign)
        elif kind in {RTM_NEWROUTE, RTM_DELROUTE}:
            if body[4] == RT_TABLE_MAIN and body[7] == RTN_UNICAST:
                yield _route(body, at, sign)
        elif kind == RTM_NEWLINK:
            index, flags = struct.unpack_from("=iI", body, 4)
            yield Event(at, "up" if flags & IFF_RUNNING else "down", "", index)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3FFF] = data[4:length]
        data = data[max((length + 3) & ~3, 4) :]
    return found


def _address(body: bytes, at: float, sign: str) -> Event:
    """struct ifaddrmsg: family, prefix length, flags, scope, index."""
    attributes = _attributes(body[8:])
    address = IPv4Address(attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS])
    valid = None
    if IFA_CACHEINFO in attributes:
        _preferred, seconds = struct.unpack_from("=II", attributes[IFA_CACHEINFO])
        valid = None if seconds == FOREVER else seconds
    return Event(at, f"address{sign}", f"{address}/{body[1]}", struct.unpack_from("=I", body, 4)[0], valid)


def _route(body: bytes, at: float, sign: str) -> Event:
    """struct rtmsg: family, destination's length, source's, tos, table, protocol, scope, type, flags."""
    attributes = _attributes(body[12:])
    gateway = attributes.get(RTA_GATEWAY)
    via = f" via {IPv4Address(gateway)}" if gateway else ""
    metric = int.from_bytes(attributes.get(RTA_PRIORITY, b""), sys.byteorder)
    words = f"{IPv4Address(attributes.get(RTA_DST, bytes(4)))}/{body[1]}{via} metric {metric} proto {body[5]}"
    return Event(at, f"route{sign}", words, int.from_bytes(attributes.get(RTA_OIF, b""), sys.byteorder))


class Probe(NamedTuple):
    """One ARP request for ``address`` at instant ``at``, and when it was answered (None: it was not)."""

    at: float
    address: str
    answered_at: float | None


class Prober(Witness):
    """Asks the wire for every address that ``targets`` names, twenty times a second, from the server's side.

    A probe that the prober itself was too late to send proves nothing and is not counted; so a busy machine
    makes the witness blind for a moment, but never a liar. ``only``: the MAC whose answers count; None for any.
    """

    def __init__(
        self,
        namespace: Namespace,
        targets: Callable[[], Iterable[str]],
        *,
        link: str = "srv0",
        source: str = "192.0.2.1",
        only: str | None = None,
    ) -> None:
        self._targets = targets
        self._only = None if only is None else bytes.fromhex(only.replace(":", ""))
        self._sender = IPv4Address(source).packed
        self._open: list[Probe] = []
        self._done: list[Probe] = []
        self._next = 0.0
        tap: socket.socket = namespace.run(lambda: packet_socket(link, ETH_P_ARP))
        self._mac: bytes = tap.getsockname()[4]
        super().__init__(tap, f"probe-{namespace.name}")

    def _tick(self) -> float:
        now = boottime()
        if now >= self._next:
            self._next = now + PROBE_GAP
            with suppress(OSError):  # what has arrived is read before anything counts as unanswered
                while True:
                    self._read()
            with self._changed:
                self._done += [probe for probe in self._open if now - probe.at > PATIENCE]
                self._open = [probe for probe in self._open if now - probe.at <= PATIENCE]
            for target in self._targets():
                self._ask(target, boottime())
        return max(0.0, self._next - boottime())

    def _ask(self, target: str, now: float) -> None:
        ethernet = b"\xff" * 6 + self._mac + struct.pack(">H", ETH_P_ARP)
        header = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
        body = self._mac + self._sender + bytes(6) + IPv4Address(target).packed
        try:
            self._source.send(ethernet + header + body)
        except OSError:  # no carrier: nobody can be asked
            return
        with self._changed:
            self._open.append(Probe(now, target, None))

    def _read(self) -> None:
        frame, at = receive(self._source)
        if frame[20:22] != b"\x00\x02" or frame[:6] != self._mac or self._only not in {None, frame[22:28]}:
            return
        address = str(IPv4Address(frame[28:32]))
        with self._changed:
            self._done += [probe._replace(answered_at=at) for probe in self._open if probe.address == address]
            self._open = [probe for probe in self._open if probe.address != address]

    def probes(self, address: str) -> list[Probe]:
        """The decided probes for ``address``, oldest first."""
        with self._changed:
            return sorted((probe for probe in self._done if probe.address == address), key=lambda probe: probe.at)

    def unanswered(self, address: str, start: float, end: float) -> list[Probe]:
        """The probes for ``address`` sent in that time (CLOCK_BOOTTIME) that nobody answered."""
        return [probe for probe in self.probes(address) if start <= probe.at <= end and probe.answered_at is None]
