"""Captures what a client's files do not contain: its REQUEST, and the server's reply.

The client is asked to renew, and both are read from the interface (AF_PACKET, with a filter for DHCP). A server that
does not answer the unicast REQUEST gets the same message by broadcast, as the agent would send it. The reply has the
client's transaction id, so client and take-over both receive it.
"""

from __future__ import annotations

import secrets
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from math import inf

from holdfast.control import client
from holdfast.control.interface import GUARD, guard_path
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Lease
from holdfast.core.replies import duration, normal_times
from holdfast.core.requests import request_reboot, request_renew
from holdfast.sockets import filters
from holdfast.sockets.reader import LONGEST, ask_auxdata, read_packet
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, ForeignLease, Found, RenewalTrigger
from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.frame import Instruction, build_udp

ETH_P_ALL, ETH_P_IP = 3, 0x0800
#: Linux's own in a filter: the packet's protocol (linux/filter.h, SKF_AD_OFF + SKF_AD_PROTOCOL).
_PROTOCOL = 0xFFFFF000
#: Seconds for the client to send its REQUEST, and for the server to answer each REQUEST.
ASK_PATIENCE, ANSWER_PATIENCE = 5.0, 2.0
#: Seconds for a guard that runs here to say what it has heard.
GUARD_PATIENCE = 3.0

#: SOCK_DGRAM, so offset 0 is the IP header: IPv4, UDP, not a fragment, a port that is 68 at one end.
_FILTER: list[Instruction] = [
    (0x28, 0, 0, _PROTOCOL), (0x15, 0, 10, ETH_P_IP),
    (0x30, 0, 0, 9), (0x15, 0, 8, 17),
    (0x28, 0, 0, 6), (0x45, 6, 0, 0x3FFF),
    (0xB1, 0, 0, 0),
    (0x48, 0, 0, 0), (0x15, 2, 0, 68),
    (0x48, 0, 0, 2), (0x15, 0, 1, 68),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
]


class DhcpListener:
    """Receives and sends DHCP messages on one interface whose client goes on running. A context manager."""

    def __init__(self, host: Host, ifname: str) -> None:
        link = host.link(ifname)
        self._mac, self._ifname = link.mac, ifname
        try:
            # Bound last, and with protocol 0 until then: no packet gets in before the filter.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
            filters.attach(self._socket, _FILTER)
            ask_auxdata(self._socket)
            self._socket.bind((ifname, ETH_P_ALL))
        except OSError as error:
            raise TakeoverError(f"{ifname} cannot be listened to: {error.strerror}; run as root") from None

    def __enter__(self) -> DhcpListener:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, patience: float) -> tuple[msg.Message, IPv4Address] | None:
        """The next REQUEST of this interface's client that renews a lease, and its IP destination; None when there is
        none within ``patience`` seconds."""

        def fits(message: msg.Message) -> bool:
            return (message.op == msg.BOOTREQUEST and message.message_type == msg.REQUEST
                    and message.ciaddr != msg.ANY)

        return self._hear(fits, patience)

    def answer(self, request: msg.Message, patience: float) -> msg.Message | None:
        """The ACK to ``request``, None when there is none within ``patience`` seconds. A NAK is ignored: on some
        links other servers send one, and after a NAK of its own server no ACK comes either."""

        def fits(message: msg.Message) -> bool:
            return message.op == msg.BOOTREPLY and message.xid == request.xid and message.message_type == msg.ACK

        heard = self._hear(fits, patience)
        return None if heard is None else heard[0]

    def broadcast(self, request: msg.Message) -> None:
        """Send the same message to 255.255.255.255. TakeoverError when the kernel refuses."""
        packet = build_udp(request.ciaddr, msg.BROADCAST, msg.CLIENT_PORT, msg.SERVER_PORT, msg.encode(request))
        try:
            self._socket.sendto(packet, (self._ifname, ETH_P_IP, 0, 1, b"\xff" * 6))
        except OSError as error:
            raise TakeoverError(f"{self._ifname}: nothing can be sent: {error.strerror}") from None

    def _hear(
        self, fits: Callable[[msg.Message], bool], patience: float
    ) -> tuple[msg.Message, IPv4Address] | None:
        """The next message to or from us that fits, None after ``patience`` seconds."""
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                heard = self._read()
                if heard is not None and heard[0].chaddr == self._mac and fits(heard[0]):
                    return heard
        return None

    def _read(self) -> tuple[msg.Message, IPv4Address] | None:
        try:
            packet, ancillary, flags, address = self._socket.recvmsg(LONGEST, 256)
            received = read_packet(packet, ancillary, flags, address[2])
        except (WireError, OSError):
            return None
        return received.message, received.destination


def complete(host: Host, adapter: Adapter, found: Found, lease: ForeignLease) -> ForeignLease:
    """``lease`` with everything that was missing. TakeoverError when the client or its server sends nothing."""
    if lease.client_id is not None:
        return lease
    if not isinstance(adapter, RenewalTrigger):
        raise TakeoverError(
            f"the client-id that {found.name} sends on {found.ifname} is written in a way that cannot be read; "
            "name it in its configuration as a plain value"
        )
    with DhcpListener(host, found.ifname) as ear:
        began = host.boottime()
        adapter.ask_renewal(host, found)
        heard = ear.request(ASK_PATIENCE)
        if heard is None:
            raise TakeoverError(
                f"{found.name} (pid {found.pids[0]}) sent no REQUEST when made to renew, so its messages are not "
                f"known; see whether it is bound and whether its server {lease.server_id or ''} answers ARP"
            )
        request, destination = heard
        answer = ear.answer(request, ANSWER_PATIENCE)
        if answer is None and destination != msg.BROADCAST:
            ear.broadcast(request)
            answer = ear.answer(request, ANSWER_PATIENCE)
    if request.ciaddr != lease.address.ip:  # of several on the interface, this is the client's
        lease = replace(lease, address=IPv4Interface(request.ciaddr))
    learned = _as_asked(lease, request, "a renewal heard on the wire")
    if answer is None or not answer.lease_time:
        return _unanswered(found, learned, host.boottime())
    return _renewed(learned, answer, began)


def seen_by_guard(host: Host, ifname: str, lease: ForeignLease, runtime_dirs: Iterable[str]) -> ForeignLease | None:
    """``lease`` completed by what the guard of the interface has heard; None where none runs in ``runtime_dirs``, or it
    has not heard this lease. Guard is another user, so what it says is to be confirmed by the server."""
    for folder in runtime_dirs:
        try:
            said = client.call(guard_path(folder), "Heard", {"interface": ifname}, timeout=GUARD_PATIENCE,
                               interface=GUARD)
            request, ack = (msg.decode(bytes.fromhex(said[name])) for name in ("request", "ack"))
        except (client.ControlError, WireError, ValueError):
            continue
        at = host.boottime() - max(0.0, said["age"])
        if request.chaddr == host.mac(ifname) and ack.yiaddr == lease.address.ip and ack.lease_time:
            seen = _renewed(_as_asked(lease, request, "what guard has heard"), ack, at)
            return seen if seen.expires_at > host.boottime() else None
    return None


def _as_asked(lease: ForeignLease, request: msg.Message, where: str) -> ForeignLease:
    """``lease`` with what the client sends."""
    return replace(
        lease, client_id=request.client_id or b"", vendor_class=request.options.get(opt.VENDOR_CLASS_ID),
        hostname=_text(request.options.get(opt.HOST_NAME)), source=f"{lease.source}, and {where}",
    )


def _unanswered(found: Found, lease: ForeignLease, now: float) -> ForeignLease:
    """TakeoverError unless the lease is complete from the client's files: there is no ACK."""
    if lease.expires_at <= now:
        raise TakeoverError(
            f"no server answered {found.name}'s renewal of {lease.address.ip}, and no file says how long its "
            "lease lasts; try again when one does"
        )
    return lease


def _renewed(lease: ForeignLease, ack: msg.Message, began: float) -> ForeignLease:
    """The lease as the server just gave it."""
    lasts = duration(ack.lease_time) or 0.0
    t1, t2, _ = normal_times(lasts, ack.renewal_time, ack.rebinding_time)
    if ack.yiaddr != lease.address.ip:
        raise TakeoverError(
            f"the server gave {ack.yiaddr} instead of {lease.address.ip} just now; try again when the client has "
            "settled"
        )
    return replace(
        lease, server_id=ack.server_id or lease.server_id, started_at=began,
        t1_at=began + t1, t2_at=began + t2, expires_at=began + lasts, options=ack.options,
    )


def _text(value: bytes | None) -> str | None:
    return value.decode("ascii", "replace") if value else None


def answered(host: Host, ifname: str, lease: ForeignLease) -> bool:
    """True when a server acknowledges the lease now. Asked as the client would ask (its client-id, class and name),
    by broadcast, then from 0.0.0.0 as some virtual networks require; the client ignores the reply."""
    held = Lease(lease.address.ip, lease.server_id, 0.0, inf, inf, inf, inf, {})
    with DhcpListener(host, ifname) as ear:
        config = ClientConfig(
            chaddr=host.mac(ifname), client_id=lease.client_id or None, hostname=lease.hostname,
            vendor_class=lease.vendor_class,
        )
        xid = secrets.randbits(32)
        for request in (request_renew(config, xid, 0, held), request_reboot(config, xid, 0, lease.address.ip)):
            ear.broadcast(request)
            answer = ear.answer(request, ANSWER_PATIENCE)
            if answer is not None:
                return answer.yiaddr == lease.address.ip
    return False
