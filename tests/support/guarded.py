"""One guarded client on the virtual clock."""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf

from holdfast.guard.actions import Action, Noticed, Rebroadcast, Recorded
from holdfast.guard.events import AddressGone, ClientFound, Event, LeaseStored, Lifetime, Replied, Seen, Sent
from holdfast.guard.machine import Guard
from holdfast.wire import message as m
from holdfast.wire import options as opt

MAC = bytes.fromhex("020000000001")
OURS, SERVER, OTHER = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
LEASE = 60
FOREVER = inf


class Scene:
    """A guard, the instant, and everything that it asked for."""

    def __init__(self, client: str = "networkd", *, rebroadcast: bool = True, others: tuple[IPv4Address, ...] = ()):
        self.guard = Guard(rebroadcast=rebroadcast, others=others)
        self.now = 1000.0
        self.actions: list[tuple[float, Action]] = []
        self.feed(ClientFound(client, f"{client} (pid 7)"))

    def feed(self, event: Event) -> None:
        self._add(self.guard.handle(event, self.now))

    def sleep(self, seconds: float) -> None:
        """Serve every deadline on the way."""
        until = self.now + seconds
        for _ in range(1000):
            at = self.guard.next_deadline()
            if at is None or at > until:
                break
            self.now = max(self.now, at)
            self._add(self.guard.handle_timer(self.now))
        else:
            raise AssertionError("a deadline never passes")
        self.now = until

    def stop(self) -> None:
        self._add(self.guard.stop(self.now))

    def _add(self, actions: list[Action]) -> None:
        self.actions += [(self.now, action) for action in actions]

    # -- what happens

    def send(self, kind: int = m.REQUEST, *, ciaddr: IPv4Address = OURS, to: IPv4Address = SERVER, xid: int = 1,
             seen: Seen = Seen.WIRE, secs: int = 0) -> None:
        message = m.Message(m.BOOTREQUEST, xid, secs=secs, ciaddr=ciaddr, chaddr=MAC,
                            options={opt.MESSAGE_TYPE: bytes([kind])})
        self.feed(Sent(message, m.encode(message), ciaddr, to, seen))

    def reply(self, kind: int = m.ACK, *, xid: int = 1, server: IPv4Address = SERVER, chaddr: bytes = MAC,
              lease: int = LEASE) -> None:
        options = {opt.MESSAGE_TYPE: bytes([kind]), opt.SERVER_ID: server.packed,
                   opt.LEASE_TIME: lease.to_bytes(4, "big")}
        self.feed(Replied(m.Message(m.BOOTREPLY, xid, yiaddr=OURS, chaddr=chaddr, options=options), server))

    def configured(self, seconds: float = LEASE) -> None:
        """The client gave the address that lifetime."""
        self.feed(Lifetime(OURS, self.now + seconds))

    def stored(self, *, ago: float = 0.0, server: IPv4Address | None = SERVER) -> None:
        """The client's file has a lease of that age."""
        self.feed(LeaseStored(OURS, server, self.now - ago, self.now - ago + LEASE))

    def removed(self) -> None:
        self.feed(AddressGone(OURS))

    def acquire(self, lifetime: float = LEASE) -> None:
        """DISCOVER to a configured address."""
        self.send(m.DISCOVER, ciaddr=m.ANY, to=m.BROADCAST, xid=9)
        self.reply(m.OFFER, xid=9)
        self.send(ciaddr=m.ANY, to=m.BROADCAST, xid=9)
        self.reply(xid=9)
        self.configured(lifetime)

    def bound(self, lifetime: float = LEASE) -> Scene:
        """A lease, half of it gone."""
        self.acquire(lifetime)
        self.sleep(LEASE / 2)
        self.actions.clear()
        return self

    # -- what came of it

    @property
    def repeats(self) -> list[tuple[float, Rebroadcast]]:
        return [(at, action) for at, action in self.actions if isinstance(action, Rebroadcast)]

    @property
    def records(self) -> list[Recorded]:
        return [action for _, action in self.actions if isinstance(action, Recorded)]

    @property
    def notices(self) -> list[str]:
        return [action.code.value for _, action in self.actions if isinstance(action, Noticed)]
