"""Proxy ARP: a router that answers for every address also answers for the one that we are about to take (rule 83).

Its claim is no conflict, but only its hardware address shows that it is the router's. So the routers that an OFFER
names are asked for by ARP before its address is probed, from 0.0.0.0, as a probe is. While one of them is still
silent, for ``schedule.ROUTER_GAPS`` at most, a claim to the offered address is held back, and so is the ACK.

What is known is in ``Machine.routers``, which only this file writes; a question is under way while Timer.ROUTERS runs.
"""

from __future__ import annotations

from holdfast.core import schedule
from holdfast.core.actions import NoticeCode, Probe
from holdfast.core.events import AddressConflict
from holdfast.core.machine import Machine, Timer
from holdfast.core.states import Routers
from holdfast.wire import WireError
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, Message
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address

#: Routers of an OFFER that are asked for. One that names more is not followed any further.
ROUTERS_MAX = 4


def ask(m: Machine, offer: Message, now: float) -> None:
    """Ask who the routers of ``offer`` are, unless its address is not going to be probed."""
    m.timers.stop(Timer.ROUTERS)
    m.routers = Routers()
    if m.config.acd == "off" or (m.lease is not None and m.lease.address == offer.yiaddr):
        return
    m.routers = Routers(tuple(hop for hop in hops(offer.options) if hop != offer.yiaddr)[:ROUTERS_MAX])
    on_timer(m, now)


def hops(options: Mapping[int, bytes]) -> tuple[IPv4Address, ...]:
    """The next hops that ``options`` name: those of options 121 and 249, then the routers of option 3; each once."""
    found: list[IPv4Address] = []
    for code in (opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS, opt.ROUTER):
        try:
            value = options[code]
            found += opt.addresses(value) if code == opt.ROUTER else [hop for _, hop in opt.classless_routes(value)]
        except (KeyError, WireError):
            continue
    return tuple(dict.fromkeys(hop for hop in found if hop != ANY))


def on_timer(m: Machine, now: float) -> None:
    """Timer ROUTERS: ask those again that are silent, or be done with it."""
    routers = m.routers
    if not routers.silent or routers.asked == len(schedule.ROUTER_GAPS):
        return
    m.timers.set(Timer.ROUTERS, now + schedule.ROUTER_GAPS[routers.asked])
    m.routers = routers._replace(asked=routers.asked + 1)
    m.watch()  # listen before asking
    for address in routers.silent:
        m.emit(Probe(address))


def asking(m: Machine) -> bool:
    """True while a router may still answer."""
    return m.timers.at(Timer.ROUTERS) is not None


def heard(m: Machine, event: AddressConflict) -> bool:
    """True when ``event`` is about the address of a router that is being asked for; its answer is remembered."""
    routers = m.routers
    if not asking(m) or event.address not in routers.silent:
        return False
    if event.answer:  # anything else may be a host that asks for the router, as we do
        silent = tuple(address for address in routers.silent if address != event.address)
        m.routers = routers._replace(silent=silent, macs=(*routers.macs, event.by))
        if not silent:
            m.timers.stop(Timer.ROUTERS)
    return True


def is_router(m: Machine, mac: bytes) -> bool:
    """True for the hardware address of the lease's gateway, and of a router of the last OFFER."""
    return mac in m.routers.macs or _is_gateway(m, mac)


def tell(m: Machine, mac: bytes, address: IPv4Address) -> None:
    """A claim of ``mac``, which is a router's, to ``address`` is no conflict."""
    who = "the gateway" if _is_gateway(m, mac) else "a router of the lease"
    m.notice(NoticeCode.CONFLICT_IGNORED, f"{mac.hex(':')} claims {address}, and is {who}")


def _is_gateway(m: Machine, mac: bytes) -> bool:
    return m.gateway is not None and m.gateway.mac == mac
