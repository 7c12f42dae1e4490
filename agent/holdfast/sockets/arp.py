"""ARP on one link: probes, announcements and questions out, claims and answers of other hosts in (RFCs 5227, 4436)."""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER

from holdfast.sockets.filters import arp_claims, attach
from holdfast.sockets.reader import ask_auxdata, check_auxdata
from holdfast.wire import WireError
from holdfast.wire.arp import REPLY, build_announcement, build_probe, build_request, parse
from holdfast.wire.frame import BROADCAST_MAC, ETHERTYPE_ARP
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Address


class Claim(NamedTuple):
    """``by`` (a hardware address) uses ``address``; ``probe``: it only asks whether another host does. ``gateway``: it
    is the gateway that we asked for, and answers us. ``answer``: a reply to us, as one to a probe of ours is."""

    address: IPv4Address
    by: bytes
    probe: bool
    gateway: bool = False
    answer: bool = False


class ArpSocket:
    """Open only while it is needed. The constructor and every sending method may raise OSError."""

    def __init__(self, ifname: str, mac: bytes) -> None:
        self._ifname, self._mac = ifname, mac
        self._watched: tuple[IPv4Address, ...] = ()
        self._gateway: IPv4Address | None = None
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            self.watch(())
            ask_auxdata(self._socket)
            self._socket.bind((ifname, ETHERTYPE_ARP))
        except OSError:
            self._socket.close()
            raise

    def rename(self, ifname: str) -> None:
        """Send on ``ifname``, the new name of the same link."""
        self._ifname = ifname

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def watch(self, addresses: tuple[IPv4Address, ...], gateway: IPv4Address | None = None) -> None:
        """Receive claims to ``addresses`` from now on, and what ``gateway`` answers."""
        self._watched, self._gateway = addresses, gateway
        wanted = addresses if gateway is None else (*addresses, gateway)
        attach(self._socket, arp_claims(self._mac, tuple(address.packed for address in wanted)))

    def probe(self, address: IPv4Address) -> None:
        """Send a probe for ``address``."""
        self._send(build_probe(self._mac, address))

    def announce(self, address: IPv4Address) -> None:
        """Claim ``address``."""
        self._send(build_announcement(self._mac, address))

    def ask(self, gateway: IPv4Address, mac: bytes | None, source: IPv4Address) -> None:
        """Ask ``mac`` (None: everybody) for the hardware address of ``gateway``, on behalf of ``source``."""
        self._send(build_request(self._mac, source, gateway), mac or BROADCAST_MAC)

    def _send(self, packet: bytes, to: bytes = BROADCAST_MAC) -> None:
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # the link may have been down meanwhile
        self._socket.sendto(packet, (self._ifname, ETHERTYPE_ARP, 0, 0, to))

    def receive(self) -> Claim | None:
        """The next claim, or None when there is no more. Anything unreadable is passed over. OSError:
        ENETDOWN, once when the link goes down."""
        while True:
            try:
                packet, ancillary, flags, address = self._socket.recvmsg(256, 128)
            except BlockingIOError:
                return None
            try:
                check_auxdata(ancillary, flags, address[2])
                arp = parse(packet)
            except WireError:
                continue
            if arp.sha == self._mac:
                continue
            answer = (arp.op, arp.tha) == (REPLY, self._mac)
            if arp.spa == self._gateway:
                if answer:
                    return Claim(arp.spa, arp.sha, probe=False, gateway=True)
            elif arp.spa in self._watched:
                return Claim(arp.spa, arp.sha, probe=False, answer=answer)
            elif int(arp.spa) == 0 and arp.tpa in self._watched:
                return Claim(arp.tpa, arp.sha, probe=True)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
