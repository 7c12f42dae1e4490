"""The gateway's hardware address: which network we are on (RFC 4436, "Detecting Network Attachment in IPv4").

Learned by ARP when a lease comes into use or is renewed, and kept with the lease: no polling. Asked for
where nobody can say whether the lease still fits the place: beside an INIT-REBOOT, after carrier came
back, after sleep. The question goes to the known gateway alone and names our address, as section 4.1
of the RFC has it; only when it stays silent is everybody asked, from 0.0.0.0, so that no neighbour
learns an address from us that may be another's by now.

Three answers. The known gateway: the lease still fits. Another machine, and not the known one: another
network, or a gateway that was replaced, so we ask anew, and whatever a server says counts more than
ARP. Nobody: nothing was learned. ARP is not authenticated: no answer to it ever takes an address away
or overrules a server.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from holdfast.core import schedule
from holdfast.core.actions import AskGateway, NoticeCode, Persist
from holdfast.core.events import GatewaySeen
from holdfast.core.lease import Gateway, Lease
from holdfast.core.machine import Asking, AskingWhy, Machine, Network
from holdfast.core.timers import Timer
from holdfast.wire import WireError
from holdfast.wire import options as opt
from holdfast.wire.message import ANY


def default_gateway(lease: Lease) -> IPv4Address | None:
    """The next hop of the default route that ``lease`` gives: options 121, 249, 3 in this order (RFC 3442)."""
    for code in (opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS, opt.ROUTER):
        try:
            if code == opt.ROUTER:
                hops = opt.addresses(lease.options[code])
            else:
                hops = tuple(hop for net, hop in opt.classless_routes(lease.options[code]) if net.prefixlen == 0)
        except (KeyError, WireError):
            continue
        hop = next(iter(hops), ANY)
        return None if hop in (ANY, lease.address) else hop
    return None


def forget_other(m: Machine, lease: Lease) -> None:
    """``lease`` was just won: what is known of another gateway than its own is of no more use."""
    if m.gateway is not None and (m.gateway.address != default_gateway(lease) or m.network is Network.OTHER):
        m.gateway = None


def learn(m: Machine, lease: Lease, now: float) -> None:
    """``lease`` has just been won or renewed: find out, or check, who its gateway is."""
    address = default_gateway(lease)
    m.network = Network.UNKNOWN
    stop(m)
    if address is not None:
        ask(m, AskingWhy.LEARN, address, lease.address, schedule.LEARN_GAPS, now)


def verify(m: Machine, lease: Lease, now: float) -> None:
    """Which network is this? Nothing is asked when the lease's gateway was never heard of."""
    m.network = Network.UNKNOWN
    stop(m)
    if m.gateway is not None:
        ask(m, AskingWhy.VERIFY, m.gateway.address, lease.address, schedule.VERIFY_GAPS, now)


def ask(
    m: Machine, why: AskingWhy, address: IPv4Address, source: IPv4Address, gaps: tuple[float, ...], now: float
) -> None:
    """Begin to ask for ``address``."""
    known = m.gateway.mac if m.gateway is not None and m.gateway.address == address else None
    m.asking = Asking(why, address, known, source, gaps)
    m.watch()  # listen before asking
    on_timer(m, now)


def stop(m: Machine) -> None:
    """No longer ask."""
    m.asking = None
    m.timers.stop(Timer.GATEWAY)


def on_timer(m: Machine, now: float) -> AskingWhy | None:
    """Timer GATEWAY: the next request; or, when there is none left, what the gateway was asked for in vain."""
    asking = m.asking
    assert asking is not None  # whoever ends it stops the timer
    if asking.asked == len(asking.gaps):
        stop(m)
        return asking.why
    alone = asking.why is AskingWhy.HOLD or asking.asked < schedule.ASKED_ALONE
    mac = asking.known if alone else None
    # The remembered address goes to the gateway alone (RFC 4436 section 4.1.1); one just granted is ours to name.
    source = asking.source if mac is not None or asking.why is AskingWhy.LEARN else ANY
    m.emit(AskGateway(asking.address, mac, source))
    m.asking = asking._replace(asked=asking.asked + 1)
    m.timers.set(Timer.GATEWAY, now + asking.gaps[asking.asked])
    return None


def heard(m: Machine, event: GatewaySeen) -> AskingWhy | None:
    """Somebody answered for the gateway's address. The answer: what we asked it for, when it is the one we know."""
    asking = m.asking
    if asking is None or event.address != asking.address:
        return None
    expected = asking.known in (None, event.mac)
    if asking.why is AskingWhy.LEARN:
        if expected or asking.asked > schedule.ASKED_ALONE:
            stop(m)
            _remember(m, Gateway(event.address, event.mac))
        return None
    if expected:
        stop(m)
        m.network = Network.KNOWN
        return asking.why
    if asking.why is AskingWhy.VERIFY and m.network is Network.UNKNOWN:
        m.network = Network.OTHER
        was = (asking.known or b"").hex(":")
        m.notice(NoticeCode.OTHER_NETWORK, f"{event.mac.hex(':')} answers for the gateway {event.address}, not {was}")
    return None


def _remember(m: Machine, gateway: Gateway) -> None:
    former, lease = m.gateway, m.lease
    if gateway == former or lease is None or lease.ended_at is not None:
        return
    m.gateway = gateway
    if former is not None:
        m.notice(NoticeCode.GATEWAY_CHANGED, f"{gateway.address} is {gateway.mac.hex(':')}, was {former.mac.hex(':')}")
    m.emit(Persist(lease, m.path, gateway))
