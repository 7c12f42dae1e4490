"""What one link has shown so far, for ``status`` and ``doctor``: the exchange under way, the servers that answered,
the ARP claims, the notices.

Bounded whatever a peer sends: few servers, claims and addresses are kept, the oldest goes first; counters have keys of
ours. Instants are seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from holdfast.wire.message import ACK, BOOTREPLY, MESSAGE_NAMES
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from holdfast.core.actions import Noticed
    from holdfast.core.events import Received
    from holdfast.wire.message import Message

#: Servers and claims that are kept, offered addresses of one server, and transaction ids of ours.
KEPT = 8
XIDS = 16


class SeenServer:
    """A server that answered us. ``identifier`` is option 54, None without one; ``source`` the IP source of its last
    answer; ``heard`` counts its answers by kind; ``offered`` are the addresses of its OFFERs, newest last."""

    def __init__(self, identifier: IPv4Address | None, source: IPv4Address) -> None:
        self.identifier, self.source = identifier, source
        self.heard: dict[str, int] = {}
        self.offered: list[IPv4Address] = []
        self.last_at = 0.0


class SeenClaim:
    """Someone's ARP claim to an address that we asked for or use; ``by`` is a hardware address."""

    def __init__(self, address: IPv4Address, by: bytes) -> None:
        self.address, self.by = address, by
        self.count = 0
        self.last_at = 0.0


class SeenNotice:
    """The notices of one code: how many, and the last one."""

    def __init__(self) -> None:
        self.count = 0
        self.text = ""
        self.last_at = 0.0


class Observations:
    """``since`` is when the first message was sent after the last outcome, None while none was; ``sent`` and ``heard``
    count messages since then by kind. ``strangers`` counts ACKs that give our hardware address what we did not ask for;
    ``tagged`` frames with a VLAN tag on port 68."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.sent: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        self.servers: list[SeenServer] = []
        self.claims: list[SeenClaim] = []
        self.notices: dict[str, SeenNotice] = {}
        self.strangers = 0
        self.tagged = 0
        self._xids: list[int] = []
        self._chaddr = b""

    def on_sent(self, message: Message, now: float) -> None:
        """``message`` was sent, or tried to be."""
        if self.since is None:
            self.since = now
        _count(self.sent, _kind(message))
        self._chaddr = message.chaddr
        if message.xid not in self._xids:
            self._xids = [*self._xids[1 - XIDS:], message.xid]

    def on_received(self, received: Received, now: float) -> None:
        """A message came in, whoever it is for."""
        message = received.message
        if message.op != BOOTREPLY or message.chaddr != self._chaddr:
            return
        if message.xid not in self._xids:
            # An ACK without an address answers a DHCPINFORM, as doctor sends.
            self.strangers += message.message_type == ACK and bool(int(message.yiaddr))
            return
        kind = _kind(message)
        _count(self.heard, kind)
        server = self._server(message.server_id, received.source)
        server.source, server.last_at = received.source, now
        _count(server.heard, kind)
        if kind == "OFFER" and message.yiaddr not in server.offered:
            server.offered = [*server.offered[1 - KEPT:], message.yiaddr]

    def _server(self, identifier: IPv4Address | None, source: IPv4Address) -> SeenServer:
        for server in self.servers:
            if (server.identifier or server.source) == (identifier or source):
                return server
        server = SeenServer(identifier, source)
        self.servers = [*self.servers[1 - KEPT:], server]
        return server

    def on_claim(self, address: IPv4Address, by: bytes, now: float) -> None:
        """Somebody claims an address by ARP."""
        known = next((one for one in self.claims if (one.address, one.by) == (address, by)), None)
        if known is None:
            known = SeenClaim(address, by)
            self.claims = [*self.claims[1 - KEPT:], known]
        known.count += 1
        known.last_at = now

    def on_notice(self, action: Noticed, now: float) -> None:
        """The client says something worth a line."""
        notice = self.notices.setdefault(action.code.value, SeenNotice())
        notice.count, notice.text, notice.last_at = notice.count + 1, action.detail, now

    def on_outcome(self) -> None:
        """An acquisition or renewal has ended: what comes now belongs to the next one."""
        self.since, self.sent, self.heard = None, {}, {}


def _kind(message: Message) -> str:
    return MESSAGE_NAMES.get(message.message_type or 0, "other")


def _count(counters: dict[str, int], key: str) -> None:
    counters[key] = counters.get(key, 0) + 1
