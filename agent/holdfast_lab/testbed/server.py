"""A DHCP server that does what a test tells it to, faults included.

It runs as a thread; its sockets live in the namespace that it is given. Messages are read and built with
scapy, so that the server is an oracle that shares no code with ``holdfast.wire``. Faults may be changed
while it runs: ``server.faults = replace(server.faults, unicast=Unicast.SILENT)``.
"""

from __future__ import annotations

import heapq
import os
import random
import selectors
import socket
import threading
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease, Unicast, Window, within
from holdfast_lab.testbed.messages import (
    ANY,
    BROADCAST,
    OPTION_NAMES,
    Request,
    encode_reply,
    malformed_reply,
    parse_request,
)
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.witness.wirelog import ETH_P_IP, Seen, WireLog, boottime, packet_socket, receive

#: The host number of the first address that a server gives, unless told otherwise.
FIRST_HOST = 50
#: The identity of the server that is not ours, in faults that need one.
FOREIGN_SERVER = "192.0.2.200"


class LabServer:
    """One server on link ``link`` of ``namespace``; ``address`` (with prefix length) is its own there.

    ``identity``: its server identifier (option 54) when that is not its address, as behind a relay.
    """

    def __init__(
        self,
        namespace: Namespace,
        link: str = "srv0",
        *,
        address: str = "192.0.2.1/24",
        identity: str | None = None,
        first: str | None = None,
        lease: Lease | None = None,
        faults: Faults = NO_FAULTS,
        seed: int = 1,
        log: Path | None = None,
    ) -> None:
        self.lease = lease or Lease()
        self.faults = faults
        self.wire = WireLog(log)
        self.interface = IPv4Interface(address)
        self.identity = identity or str(self.interface.ip)
        self.first_ack_at: float | None = None
        #: Every address that an ACK has given so far.
        self.given: tuple[str, ...] = ()
        self._first = IPv4Address(first) if first is not None else self.interface.network[FIRST_HOST]
        self._leases: dict[str, str] = {}
        self._forgotten: set[str] = set()
        self._declined: set[str] = set()
        self._moved = False
        self._lost_memory = False
        self._random = random.Random(seed)
        self._outgoing: list[tuple[float, int, bytes, Seen | None]] = []
        self._sequence = 0
        self._link = link
        self._tap, self._sink = namespace.run(self._open)
        self._mac: bytes = self._tap.getsockname()[4]
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._serve, name=f"dhcp-{self.identity}", daemon=True)
        self._thread.start()

    def _open(self) -> tuple[socket.socket, socket.socket]:
        tap = packet_socket(self._link, ETH_P_IP)
        tap.setblocking(False)
        return tap, self._open_sink()

    def _open_sink(self) -> socket.socket:
        """A socket on port 67 that nobody reads, so that the kernel sends no ICMP for what we ignore."""
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        if self.faults.unicast is not Unicast.ICMP:
            sink.bind(("", 67))
        return sink

    @property
    def thread(self) -> int | None:
        """The kernel's number of the thread that answers."""
        return self._thread.native_id

    @property
    def elapsed(self) -> float:
        """Seconds since the first ACK; 0 before it."""
        return 0.0 if self.first_ack_at is None else boottime() - self.first_ack_at

    def address_of(self, mac: str) -> str | None:
        """The address that the server thinks ``mac`` has."""
        return self._leases.get(mac)

    def forget(self) -> None:
        """Lose every lease now, as a restart with an empty lease file does."""
        self._forgotten.update(self._leases)
        self._leases.clear()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._tap, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while True:
                wait = max(0.0, self._outgoing[0][0] - boottime()) if self._outgoing else None
                ready = [key.fileobj for key, _ in selector.select(wait)]
                if self._wake_read in ready:
                    return
                if self._tap in ready:
                    self._hear()
                while self._outgoing and self._outgoing[0][0] <= boottime():
                    self._put_on_wire(*heapq.heappop(self._outgoing)[2:])

    def _hear(self) -> None:
        try:
            frame, at = receive(self._tap)
        except OSError:  # the link went down; the next packet comes when it is up again
            return
        request = parse_request(frame, at)
        if request is None:
            return
        self._keep_calendar()
        if self._random.random() < self.faults.loss:
            self.wire.add(replace(request.seen, note="lost on the way"))
            return
        note = self._decide(request)
        self.wire.add(replace(request.seen, note=note))

    def _keep_calendar(self) -> None:
        """Carry out the faults that happen once, at a time after the first ACK."""
        if self.first_ack_at is None:
            return
        if self.faults.forget_at is not None and self.elapsed >= self.faults.forget_at and not self._lost_memory:
            self._lost_memory = True
            self.forget()

    def _decide(self, request: Request) -> str:
        """Answer or not; what was done, in a word."""
        faults, seen = self.faults, request.seen
        if self._in(faults.silent) or seen.kind in faults.ignores:
            return "silent"
        if faults.only_from_any and seen.source != ANY:
            return "silent: not from 0.0.0.0"
        if seen.unicast_renewal:
            if seen.destination != self.identity:
                return "for another server"
            if faults.unicast in {Unicast.SILENT, Unicast.ICMP}:
                return str(faults.unicast.value)
            if faults.unicast is Unicast.FOREIGN_NAK:
                self._reply(request, "nak", identity=FOREIGN_SERVER)
                return "foreign NAK"
        if seen.kind == "INFORM":  # RFC 2131 section 4.3.5: no address, no times
            if seen.destination != BROADCAST and faults.unicast in {Unicast.SILENT, Unicast.ICMP}:
                return str(faults.unicast.value)
            self._reply(request, "ack", timeless=True)
            return "answered"
        if seen.kind == "DISCOVER":
            return self._discover(request)
        if seen.kind == "REQUEST":
            return self._request(request)
        if seen.kind in {"RELEASE", "DECLINE"}:
            self._leases.pop(seen.mac, None)
        if seen.kind == "DECLINE" and seen.requested:
            self._declined.add(seen.requested)
        return "noted"

    def _in(self, windows: tuple[Window, ...]) -> bool:
        """True inside one of ``windows``; before the first ACK only those that begin before 0 count."""
        return within(windows, -1.0 if self.first_ack_at is None else self.elapsed)

    def _choose(self, seen: Seen) -> str:
        """Where the client is moved to, what it has, what it asks for if free, or a new one."""
        faults = self.faults
        moved = faults.move_at is not None and self.first_ack_at is not None and self.elapsed >= faults.move_at
        if moved and faults.move_only in {None, seen.mac}:
            return faults.move_to
        if seen.mac in self._leases:
            return self._leases[seen.mac]
        taken = self._declined.union(self._leases.values())
        wanted = seen.requested or seen.ciaddr
        if IPv4Address(wanted) in self.interface.network and wanted not in taken:
            return wanted
        return next(str(self._first + n) for n in range(256) if str(self._first + n) not in taken)

    def _discover(self, request: Request) -> str:
        self._reply(request, "offer", address=self._choose(request.seen))
        return "answered"

    def _request(self, request: Request) -> str:
        seen, faults = request.seen, self.faults
        if seen.server_id is not None and seen.server_id != self.identity:
            return "for another server"
        if self._in(faults.nak):
            self._reply(request, "nak")
            return "NAK"
        wanted = seen.requested if seen.ciaddr == ANY else seen.ciaddr
        selecting = seen.server_id is not None
        if seen.mac in self._forgotten and not selecting:
            if faults.forgotten == "nak":
                self._reply(request, "nak")
                return "forgotten, NAK"
            return "forgotten, silent"
        address = self._choose(seen)
        if address != wanted and (selecting or seen.ciaddr == ANY or faults.move_by != "ack"):
            self._reply(request, "nak")
            return "NAK, the address is another"
        self._forgotten.discard(seen.mac)
        self._leases[seen.mac] = address
        renewal = seen.ciaddr != ANY
        if faults.nak_before_ack and renewal:
            self._reply(request, "nak", identity=FOREIGN_SERVER)
        identity = faults.answer_as if seen.broadcast_renewal else faults.ack_as if selecting else None
        self._reply(request, "ack", address=address, identity=identity)
        return "answered"

    def _reply(
        self, request: Request, kind: str, *, address: str = ANY, identity: str | None = None, timeless: bool = False
    ) -> None:
        faults, seen = self.faults, request.seen
        server = identity or self.identity
        options: list[Any] = [("message-type", kind), ("server_id", server)]
        if kind != "nak":
            options += [one for one in self._lease_options() if not (timeless and str(one[0]).endswith("_time"))]
        options = [option for option in options if option[0] not in {OPTION_NAMES.get(code) for code in faults.omit}]
        twice = {code for number in faults.repeats for code in (number, OPTION_NAMES.get(number))}
        options += [option for option in options if option[0] in twice]
        destination = self._destination(seen, kind, address)
        delay = faults.delay + (0.5 if self._random.random() < faults.reorder else 0.0)
        source = str(self.interface.ip) if faults.relayed else server
        for _ in range(faults.malformed):
            self._later(delay, malformed_reply(request, self._mac, source, destination, self._random), None)
        frame, sent = encode_reply(request, self._mac, source, destination, address=address, options=options)
        if self._random.random() < faults.loss:
            self.wire.add(replace(sent, at=boottime(), note="lost on the way"))
            return
        for copy in range(faults.duplicates + 1):
            self._later(delay, frame, replace(sent, note="duplicate" if copy else ""))

    def _lease_options(self) -> list[Any]:
        faults, lease = self.faults, self.lease
        options: list[Any] = [("lease_time", lease.time)]
        if lease.t1 is not None:
            options.append(("renewal_time", lease.t1))
        if lease.t2 is not None:
            options.append(("rebinding_time", lease.t2))
        options += [
            ("subnet_mask", str(self.interface.netmask)),
            ("broadcast_address", str(self.interface.network.broadcast_address)),
            ("router", str(self.interface.ip)),
        ]
        replaced = {OPTION_NAMES.get(code) for code in faults.options}
        options = [option for option in options if option[0] not in replaced]
        for code, value in faults.options.items():  # split as RFC 3396 says
            options += [(code, value[n : n + 255]) for n in range(0, max(len(value), 1), 255)]
        return options

    def _destination(self, seen: Seen, kind: str, address: str) -> str:
        """RFC 2131 section 4.1: to ciaddr when set, else broadcast if asked or NAK, else to yiaddr."""
        if self.faults.unicast is Unicast.WRONG_DESTINATION and seen.ciaddr != ANY:
            return seen.destination
        if kind == "nak":
            return BROADCAST
        if seen.ciaddr != ANY:
            return seen.ciaddr
        return BROADCAST if seen.flags & 0x8000 else address

    def _later(self, delay: float, frame: bytes, sent: Seen | None) -> None:
        self._sequence += 1
        heapq.heappush(self._outgoing, (boottime() + delay, self._sequence, frame, sent))

    def _put_on_wire(self, frame: bytes, sent: Seen | None) -> None:
        with self.wire.written():  # who reads the log because the client has acted on a message finds the message
            at = boottime()  # before: the client may have acted on it before send returns to us
            try:
                self._tap.send(frame)
            except OSError as error:  # no carrier: as on a real wire, the answer is lost
                if sent is not None:
                    self.wire.add(replace(sent, at=at, note=f"not sent: {error}"))
                return
            if sent is not None:
                if sent.kind == "ACK" and self.first_ack_at is None:
                    self.first_ack_at = at
                if sent.kind == "ACK" and sent.yiaddr not in self.given:
                    self.given += (sent.yiaddr,)
                self.wire.add(replace(sent, at=at))

    def close(self) -> None:
        """Stop serving. What was seen stays readable."""
        os.write(self._wake_write, b"x")
        self._thread.join()
        for resource in (self._tap, self._sink):
            resource.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self.wire.close()

    def __enter__(self) -> LabServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
