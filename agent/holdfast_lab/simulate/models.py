"""How other clients retransmit: small models of their schedules, one table at the end.

Read from their sources and manuals; only what decides when a message goes out and by which way is modelled. A gap is
what a client waits after a message; ``Wait`` is all it may depend on. Two clients (udhcpc, Talos) follow no such
pattern and have a plan of their own. Where a source leaves a number open, the comment says what was assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from math import inf
from random import Random
from typing import NamedTuple


class How(Enum):
    """What a step of a plan is."""

    UNICAST = "unicast"  # REQUEST to the server
    BROADCAST = "broadcast"  # REQUEST to everyone
    DISCOVER = "discover"  # DISCOVER, the address still in use
    QUIT = "quit"  # nothing is sent: the address is given up


class Wait(NamedTuple):
    """Messages sent in this phase, the last gap, and seconds left of the phase and its whole length."""

    tries: int
    last: float
    left: float
    span: float


Gap = Callable[[Wait, Random], float]
#: (T1, T2, end of the lease, random generator) to the steps of a renewal, in order of time.
Plan = Callable[[float, float, float, Random], Iterator[tuple[float, How]]]


def halving(floor: float, spread: float = 0.0, *, stops: bool = False) -> Gap:
    """Half of what is left of the phase, at least ``floor`` (``stops``: none when under it), +- ``spread``."""

    def gap(wait: Wait, rng: Random) -> float:
        half = wait.left / 2
        if half < floor:
            return inf if stops else floor + rng.uniform(-spread, spread)
        return half + rng.uniform(-spread, spread)

    return gap


def shrinking(floor: float) -> Gap:
    """Half of the phase, then a quarter, an eighth, ..., at least ``floor``."""
    return lambda wait, _: max(wait.span / 2.0 ** min(wait.tries, 60), floor)


def growing(first: float, ceiling: float, *, factor: float = 2.0, spread: float = 0.0, share: float = 0.0) -> Gap:
    """``first`` times ``factor`` for each message, at most ``ceiling``; +- ``spread`` s, +- ``share`` of itself."""

    def gap(wait: Wait, rng: Random) -> float:
        base = min(first * factor ** min(wait.tries - 1, 60), ceiling)
        return base * (1 + rng.uniform(-share, share)) + rng.uniform(-spread, spread)

    return gap


def steady(seconds: float, more: float = 0.0) -> Gap:
    """Always the same, and up to ``more`` on top."""
    return lambda _, rng: seconds + rng.uniform(0, more)


def cycle(*gaps: float) -> Gap:
    """These gaps, over and over."""
    return lambda wait, _: gaps[(wait.tries - 1) % len(gaps)]


def wandering(first: float, ceiling: float) -> Gap:
    """``first``, then between one and two times the last, at most ``ceiling``."""
    return lambda wait, rng: first if wait.last == 0 else min(rng.uniform(wait.last, 2 * wait.last), ceiling)


def dhclient_backoff(wait: Wait, rng: Random) -> float:
    """ISC dhclient: 3 s, then up to three times the last; over 15 s it becomes 7.5-22.5 s."""
    if wait.last == 0:
        return 3.0
    longer = wait.last + rng.uniform(0, 2 * min(wait.last, 1e3))
    return longer if longer <= 15 else rng.uniform(7.5, 22.5)


def dhclient_discover(wait: Wait, rng: Random) -> float:
    """The same for `timeout` (60 s, about six messages), then a pause of `retry` (300 s)."""
    return 300.0 if wait.tries % 6 == 0 else dhclient_backoff(wait._replace(last=wait.last % 300), rng)


def udhcpc_plan(t1: float, _t2: float, end: float, _rng: Random) -> Iterator[tuple[float, How]]:
    """One unicast at T1, waits 3 s, then at half of what is left, and so on; when 30 s or less are left three
    broadcasts 3 s apart, and 3 s later the lease is given up, however much of it is left."""
    at = t1
    yield at, How.UNICAST
    while end - (at := at + 3) > 30:
        at += (end - at) / 2
        yield at, How.UNICAST
    for _ in range(3):
        yield at, How.BROADCAST
        at += 3
    yield min(at, end), How.QUIT


def talos_plan(t1: float, _t2: float, end: float, _rng: Random) -> Iterator[tuple[float, How]]:
    """Unicast at half the lease, three tries; then DISCOVER, three tries, after a quarter of the lease, an
    eighth, ..., at least 5 s."""
    how, at, pause = How.UNICAST, t1, (end - t1) / 2
    while at < end:
        for wait in (5.0, 10.0, 20.0):
            yield at, how
            at += wait
        at += pause
        how, pause = How.DISCOVER, max(pause / 2, 5.0)


class Model(NamedTuple):
    """One client. ``t1_from``: T1 is drawn between this part of it and the whole; ``t1_spread``: T1 +- seconds.
    ``t2``: its part of the lease. ``late_t2``: T2 does not cut a wait short; what comes after it is a broadcast."""

    name: str
    discover: Gap
    renewing: Gap
    rebinding: Gap
    t1_from: float = 1.0
    t1_spread: float = 0.0
    t2: float = 0.875
    late_t2: bool = False
    own_plan: Plan | None = None

    def plan(self, t1: float, t2: float, end: float, rng: Random) -> Iterator[tuple[float, How]]:
        """The messages of a renewal that nobody answers."""
        if self.own_plan is not None:
            yield from self.own_plan(t1, t2, end, rng)
            return
        at, tries, last = t1, 0, 0.0
        while at < t2:
            yield at, How.UNICAST
            tries += 1
            last = self.renewing(Wait(tries, last, t2 - at, t2 - t1), rng)
            at += last
        if not self.late_t2:
            at, last = t2, 0.0
        tries = 0
        while at < end:
            yield at, How.BROADCAST
            tries += 1
            last = self.rebinding(Wait(tries, last, end - at, end - t2), rng)
            at += last


_RFC_DISCOVER = growing(4, 64, spread=1)
_RFC_HALVING = halving(60)

MODELS: tuple[Model, ...] = (
    # RFC 2131 sections 4.1 and 4.4.5; the "fuzz" of T1 is not quantified there: +-1 s, as for retransmission.
    Model("RFC 2131", _RFC_DISCOVER, _RFC_HALVING, _RFC_HALVING, t1_spread=1),
    # systemd (Fuchsia's core is the same in this): sd-dhcp-client.c, client_timeout_resend and client_timeout_t1.
    Model("systemd", _RFC_DISCOVER, _RFC_HALVING, _RFC_HALVING, t1_spread=1),
    # dhcpcd: src/dhcp.c, send_message: 4 s doubling to 64 s, +-1 s, in every state.
    Model("dhcpcd", _RFC_DISCOVER, _RFC_DISCOVER, _RFC_DISCOVER),
    # n-dhcp4 (NetworkManager): n-dhcp4-c-probe.c and n-dhcp4-c-connection.c, once a minute plus up to a second.
    Model("n-dhcp4", lambda w, r: min(2.0 ** min(w.tries, 6), 64) + r.random(), steady(60, 1), steady(60, 1)),
    # mozim: client.rs, the remaining time halved, at least 60 s.
    Model("mozim", _RFC_DISCOVER, _RFC_HALVING, _RFC_HALVING),
    # pyroute2: dhcp/client.py, randomized_increasing_backoff; its T1 has a jitter, taken here as +-1 s.
    Model("pyroute2", wandering(4, 32), wandering(4, 32), wandering(4, 32), t1_spread=1),
    # udhcpc: networking/udhcp/dhcpc.c; DISCOVER three times 3 s apart, then -A 20 s.
    Model("udhcpc", cycle(3, 3, 23), _RFC_HALVING, _RFC_HALVING, own_plan=udhcpc_plan),
    # ISC dhclient: client/dhclient.c, send_request and send_discover; clparse.c for the defaults; T1 0.75-1.0.
    Model("dhclient", dhclient_discover, dhclient_backoff, dhclient_backoff, t1_from=0.75, late_t2=True),
    # dhcpleased (OpenBSD, 2021): engine.c; the slowest DISCOVER is not known, taken as 64 s.
    Model("dhcpleased", growing(1, 64), shrinking(60), shrinking(0), late_t2=True),
    # Android: DhcpClient.java, PacketRetransmittingState: 1 s doubling to 512 s, +-10 %.
    Model("Android", growing(1, 512, share=0.1), growing(1, 512, share=0.1), growing(1, 512, share=0.1)),
    # Apple: bootp/IPConfiguration dhcp.c; DISCOVER 1 s to 8 s, +-10 %, taken to go on like that after nine tries.
    Model("Apple", growing(1, 8, share=0.1), _RFC_HALVING, _RFC_HALVING, late_t2=True),
    # wicked: dhcp4/fsm.c and protocol.c: halved, but never under 4 s, +-1 s.
    Model("wicked", _RFC_DISCOVER, halving(4, 1), halving(4, 1)),
    # connman: gdhcp/client.c: halved until 60 s are left of the phase; its DISCOVER is not known, taken as the RFC's.
    Model("connman", _RFC_DISCOVER, halving(60, stops=True), halving(60, stops=True)),
    # monogon: osbase dhcp4c: 1.4 s times 1.5 up to 5 min, +-20 %; T2 at 0.85.
    Model("monogon", *(growing(1.4, 300, factor=1.5, share=0.2),) * 3, t2=0.85),
    # Talos: operator/dhcp4.go with nclient4: tries of 5, 10, 20 s; between two rounds of DISCOVER 5 s.
    Model("Talos", cycle(5, 10, 25), _RFC_HALVING, _RFC_HALVING, own_plan=talos_plan),
)


BY_NAME = {model.name: model for model in MODELS}
