"""ARP: is an address free (RFC 5227), and which network is this (RFC 4436).

**Conflict.** "optimistic" asks while the REQUEST is under way and for a few seconds after the address is
configured, so that a boot is not delayed; "strict" asks first, in PROBING. A conflict that shows
up in that time, before the address is in use, is declined (RFC 2131 section 4.4.1). A router that answers for every
address is none (``proxy_arp``).

**Contest.** Once an address is in use, one frame proves nothing: anyone on the link could end a lease by a forged ARP
packet. While conflict detection goes on, and while a lease is held against its server's NAK, whoever claims the address
is asked by probes of our own, and must answer two of them (rule 84, within RFC 5227 section 2.4). At any other time a
claim is not even looked at. Renewals are never probed (rule 71).

**The gateway's hardware address** is learned by ARP when a lease comes into use or is renewed, and kept with the
lease: no polling. It is asked for where nobody can say whether the lease still fits the place: beside an INIT-REBOOT,
after carrier came back, after sleep. The question goes to the known gateway alone and names our address, as section
4.1 of RFC 4436 has it; only when it stays silent is everybody asked, from 0.0.0.0, so that no neighbour learns an
address from us that may be another's by now.

Three answers. The known gateway: the lease still fits. Another machine, and not the known one: another
network, or a gateway that was replaced, so we ask anew, and whatever a server says counts more than
ARP. Nobody: nothing was learned, but a server that is plainly of another network may be believed
(``parallel_discover``). ARP is not authenticated: no answer to it ever takes an address away
or overrules a server.

What is under way is in ``Machine.arp``, a region beside the state, and ``Machine.gateway``; only this file writes
them. The functions return what an answer means for the state.
"""

from __future__ import annotations

from holdfast.core import proxy_arp, requests, schedule
from holdfast.core.actions import Announce, AskGateway, DeconfigureReason, Forget, NoticeCode, Persist, Probe, Transmit
from holdfast.core.events import AddressConflict, GatewaySeen
from holdfast.core.lease import Gateway, Lease
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.core.states import (
    Acd,
    Contest,
    GatewayQuery,
    Init,
    Network,
    Probing,
    QueryPurpose,
    Requesting,
    Selecting,
)
from holdfast.core.transitions import Reason
from holdfast.wire import WireError
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address


def stop(m: Machine) -> None:
    """Stop all ARP questions, and forget those under way. The caller stops the timers."""
    m.arp = m.arp._replace(acd=None, contest=None, query=None)


# Conflict detection


def start_probing(m: Machine, address: IPv4Address, now: float) -> None:
    """Begin to ask the link for ``address``, unless detection is off, under way, or the address is in use by us."""
    lease, acd = m.lease, m.arp.acd
    if m.config.acd == "off" or (lease is not None and lease.address == address):
        return
    if acd is not None and acd.address == address:
        return
    _probe_anew(m, Acd(address), now)


def probe_again(m: Machine, address: IPv4Address, now: float) -> None:
    """As ``start_probing``, for an address that we use and are no longer sure of: a conflict that shows up now is
    believed, as if it had just been taken."""
    if m.config.acd != "off":
        _probe_anew(m, Acd(address, announced=schedule.ANNOUNCE_COUNT), now)


def _probe_anew(m: Machine, acd: Acd, now: float) -> None:
    _set_acd(m, acd)
    m.watch()  # listen before asking
    on_probe_timer(m, now)


def _set_acd(m: Machine, acd: Acd | None) -> None:
    m.arp = m.arp._replace(acd=acd)


def on_probe_timer(m: Machine, now: float) -> bool:
    """Timer PROBE: the next probe or announcement. True when PROBING is over and nobody answered."""
    acd = m.arp.acd
    if acd is None:
        return False
    if isinstance(m.state, Probing) and not m.carrier:
        # Nobody could answer, so silence would prove nothing: carrier starts it over, if the lease lasts so long.
        m.timers.set(Timer.PROBE, m.state.lease.expires_at)
        return not m.state.lease.valid(now)
    lease = m.lease
    if acd.probes < schedule.PROBE_COUNT:
        m.emit(Probe(acd.address))
        _set_acd(m, acd._replace(probes=acd.probes + 1))
        last = acd.probes + 1 == schedule.PROBE_COUNT
        gap = schedule.PROBE_LAST_WAIT if last else m.rng.uniform(*schedule.PROBE_GAP)
        m.timers.set(Timer.PROBE, now + gap)
    elif isinstance(m.state, Probing):
        return True
    elif lease is not None and lease.address == acd.address:
        m.arp = m.arp._replace(conflicts=0)
        if acd.announced < schedule.ANNOUNCE_COUNT:
            announce(m, now)
        else:
            _set_acd(m, None)
    elif isinstance(m.state, Requesting):
        m.timers.set(Timer.PROBE, now + schedule.PROBE_LAST_WAIT)  # a slow server; look again
    else:
        _set_acd(m, None)  # the address was not granted after all
    return False


def forget_probes(m: Machine) -> None:
    """A new REQUEST is a new question to the link too: what an earlier one met with is not known of it."""
    lease, acd = m.lease, m.arp.acd
    if acd is not None and (lease is None or lease.address != acd.address):
        _set_acd(m, None)


def forget_address(m: Machine, address: IPv4Address) -> None:
    """``address`` is no longer ours: no probe or announcement of it is under way any more."""
    if m.arp.acd is not None and m.arp.acd.address == address:
        _set_acd(m, None)


def announce_new(m: Machine, address: IPv4Address, now: float) -> None:
    """``address`` has just been configured: say so on the link, and go on listening for a conflict (RFC 5227 2.3)."""
    if m.config.acd == "off":
        m.emit(Announce(address))
        return
    if m.arp.acd is None or m.arp.acd.address != address:
        _set_acd(m, Acd(address))
        m.watch()
        m.timers.set(Timer.PROBE, now)
    announce(m, now)


def announce(m: Machine, now: float) -> None:
    """Tell the link that the address just configured is ours: twice, 2 s apart (RFC 5227 section 2.3)."""
    acd = m.arp.acd
    assert acd is not None
    m.emit(Announce(acd.address))
    _set_acd(m, acd._replace(announced=acd.announced + 1))
    if acd.probes >= schedule.PROBE_COUNT:
        m.timers.set(Timer.PROBE, now + schedule.ANNOUNCE_GAP)


def heard_claim(m: Machine, event: AddressConflict, now: float) -> Lease | None:
    """Somebody else claims an address. One that we are about to take is declined.

    Returns the lease in use when it is that one's address; what becomes of it is not said here.
    """
    state, lease = m.state, m.lease
    who = event.by.hex(":")
    if proxy_arp.is_router(m, event.by):  # rules 71, 83: it answers for every address
        proxy_arp.tell(m, event.by, event.address)
    elif lease is not None and event.address == lease.address:
        return lease
    elif isinstance(state, Requesting) and event.address == state.offer.yiaddr and m.arp.acd is not None:
        m.update(state._replace(conflict=event.by))  # declined when the ACK makes it ours to decline
    elif isinstance(state, Probing) and event.address == state.lease.address:
        if proxy_arp.asking(m):
            m.update(state._replace(conflict=event.by))
        else:
            decline(m, state.lease, who, now)
    else:
        m.notice(NoticeCode.CONFLICT_IGNORED, f"{who} claims {event.address}, which is not ours")
    return None


def doubted(m: Machine, lease: Lease) -> bool:
    """True while a claim to the address of ``lease``, which is in use, is looked at: it was just taken, may be used by
    a copy of this machine, or is held against its server's NAK."""
    acd = m.arp.acd
    return not m.bound or m.contest is not None or (acd is not None and acd.address == lease.address)


def contested(m: Machine, lease: Lease, event: AddressConflict, now: float) -> bool:
    """Ask who claims the address of ``lease``, which is in use. True when they have answered two probes of ours: then
    it is theirs too, unless they may be a router that has not been heard yet. While one is asked, other claimants are
    passed over."""
    contest, acd = m.contest, m.arp.acd
    if contest is None:
        probed = acd is not None and acd.address == lease.address and acd.probes > 0
        _ask_claimant(m, Contest(lease.address, event.by, answers=int(probed and event.answer)), now)
        return False
    if event.by == contest.by and event.answer and contest.open:
        contest = contest._replace(answers=contest.answers + 1, open=False)
        m.arp = m.arp._replace(contest=contest)
    return contest.proven and not _routers_awaited(m)


def _routers_awaited(m: Machine) -> bool:
    """True while the gateway of the lease, whose hardware address is not known yet, may still answer (rule 83)."""
    query = m.arp.query
    learning = query is not None and query.purpose is QueryPurpose.LEARN and query.known is None
    return learning or proxy_arp.asking(m)


def _ask_claimant(m: Machine, contest: Contest, now: float) -> None:
    m.arp = m.arp._replace(contest=contest._replace(probes=contest.probes + 1, open=True))
    m.watch()  # listen before asking
    m.emit(Probe(contest.address))
    m.timers.set(Timer.CONTEST, now + schedule.CONTEST_GAP)


def on_contest_timer(m: Machine, now: float) -> None:
    """Timer CONTEST: ask the claimant again, or let the claim be none, or true."""
    contest, lease = m.contest, m.lease
    router = contest is not None and proxy_arp.is_router(m, contest.by)
    if contest is not None and lease is not None and contest.proven and not router:
        if _routers_awaited(m):
            m.timers.set(Timer.CONTEST, now + schedule.CONTEST_GAP)
        else:
            give_up(m, lease, contest.by, now)
        return
    if contest is not None and contest.probes < schedule.CONTEST_PROBES and not router:
        _ask_claimant(m, contest, now)
        return
    m.arp = m.arp._replace(contest=None)
    if contest is not None and router:
        proxy_arp.tell(m, contest.by, contest.address)
        return
    if contest is not None:
        detail = f"{contest.by.hex(':')} claimed {contest.address}, and did not answer twice when asked; it is kept"
        m.notice(NoticeCode.CONFLICT_IGNORED, detail)


def give_up(m: Machine, lease: Lease, by: bytes, now: float) -> None:
    """The address of ``lease``, in use, is proven to be somebody else's too: it goes (promise 2, rule 84)."""
    state, who = m.state, by.hex(":")
    if m.bound:
        decline(m, lease, who, now)
        return
    assert isinstance(state, (Init, Selecting, Requesting, Probing))  # held against its server's NAK
    m.emit(Forget())  # never to be used unverified after a restart
    m.drop_hint(lease.address)
    cause = f"{who} has {lease.address}"
    m.conclude(_conflict(Purpose.HOLD, lease.server_id, lease.address, lease.seconds_left(now), cause, None, now))
    if isinstance(state, Requesting) and state.offer.yiaddr == lease.address:
        state = state._replace(conflict=by)
    m.enter(state._replace(held=None), Reason.HELD_CONFLICT, now, DeconfigureReason.CONFLICT)


def decline(m: Machine, granted: Lease, who: str, now: float) -> None:
    """DECLINE the address of ``granted`` as taken by ``who`` (RFC 2131 section 4.4.1), and stay away for 10 s
    (rule 43)."""
    state, lease, address = m.state, m.lease, granted.address
    losing = lease if lease is not None and lease.address == address else None
    held = None if losing is not None else lease
    in_hand = state.in_hand if isinstance(state, Probing) else lease
    conflicts = m.arp.conflicts + 1
    m.arp = m.arp._replace(acd=None, conflicts=conflicts)
    m.timers.stop(Timer.PROBE)
    xid = m.new_xid()
    message = requests.decline(m.config, xid, address, requests.named_server(granted))
    m.emit(Transmit(message, Via.BROADCAST, ANY, BROADCAST))
    if held is None:
        m.emit(Forget())  # else what is stored is the held lease
    cause = f"{who} has {address}"
    left = in_hand.seconds_left(now) if in_hand is not None else 0.0
    m.conclude(_conflict(Purpose.ACQUIRE, granted.server_id, address, left, cause, xid, now))
    m.drop_hint(address)
    on = Reason.ACK_DECLINED if isinstance(state, Requesting) else Reason.DECLINED
    why = DeconfigureReason.CONFLICT if losing is not None else None
    m.enter(Init(held, Purpose.ACQUIRE, cause), on, now, why)
    m.timers.set(Timer.START, now + schedule.conflict_wait(conflicts))


def _conflict(
    purpose: Purpose, server_id: IPv4Address | None, address: IPv4Address, left: float, cause: str, xid: int | None,
    now: float,
) -> Outcome:
    """The record of the end of ``address``, which somebody else has too; ``left`` seconds were left of its lease."""
    return Outcome(
        purpose=purpose, result=Result.CONFLICT, via=None, attempts=0, latency=None, server=server_id, address=None,
        former_address=address, lease_time=None, seconds_left=left, cause=cause, xid=xid, started_at=now, ended_at=now,
    )


# The gateway


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


def adopt_gateway(m: Machine, gateway: Gateway | None) -> None:
    """``gateway`` was remembered with the lease that is taken up at start."""
    m.gateway = gateway


def forget_other_gateway(m: Machine, lease: Lease) -> None:
    """``lease`` was just won: what is known of another gateway than its own is of no more use."""
    if m.gateway is not None and (m.gateway.address != default_gateway(lease) or m.arp.network is Network.OTHER):
        m.gateway = None


def learn_gateway(m: Machine, lease: Lease, now: float) -> None:
    """``lease`` has just been won or renewed: find out, or check, who its gateway is."""
    address = default_gateway(lease)
    if address is None:
        _end_query(m, Network.UNKNOWN)
        return
    m.arp = m.arp._replace(network=Network.UNKNOWN)
    _ask(m, QueryPurpose.LEARN, address, lease.address, schedule.LEARN_GAPS, now)


def verify_network(m: Machine, lease: Lease, now: float) -> None:
    """Ask which network this is. Nothing is asked when the lease's gateway is not known."""
    _end_query(m, Network.UNKNOWN)
    if m.gateway is not None:
        _ask(m, QueryPurpose.VERIFY, m.gateway.address, lease.address, schedule.VERIFY_GAPS, now)


def ask_for_hold(m: Machine, lease: Lease, gaps: tuple[float, ...], now: float) -> None:
    """Is the gateway there, so that the address of ``lease`` may be held? ``gaps``: seconds after each request."""
    assert m.gateway is not None
    _ask(m, QueryPurpose.HOLD, m.gateway.address, lease.address, gaps, now)


def _ask(
    m: Machine, purpose: QueryPurpose, address: IPv4Address, source: IPv4Address, gaps: tuple[float, ...], now: float
) -> None:
    """Ask for ``address`` from now on, instead of any earlier address."""
    known = m.gateway.mac if m.gateway is not None and m.gateway.address == address else None
    _send_query(m, GatewayQuery(purpose, address, known, source, gaps), now)


def stop_asking(m: Machine) -> None:
    """No longer ask for the gateway."""
    _end_query(m, m.arp.network)


def _end_query(m: Machine, network: Network) -> None:
    m.arp = m.arp._replace(query=None, network=network)
    m.timers.stop(Timer.GATEWAY)


def on_gateway_timer(m: Machine, now: float) -> QueryPurpose | None:
    """Timer GATEWAY: the next request; or, when there is none left, what the gateway was asked for in vain."""
    query = m.arp.query
    assert query is not None  # whoever ends it stops the timer
    if query.asked == len(query.gaps):
        unheard = query.purpose is QueryPurpose.VERIFY and m.arp.network is Network.UNKNOWN
        _end_query(m, Network.SILENT if unheard else m.arp.network)
        return query.purpose
    _send_query(m, query, now)
    return None


def _send_query(m: Machine, query: GatewayQuery, now: float) -> None:
    alone = query.purpose is QueryPurpose.HOLD or query.asked < schedule.ASKED_ALONE
    mac = query.known if alone else None
    # The remembered address goes to the gateway alone (RFC 4436 section 4.1.1); one just granted is ours to name.
    source = query.source if mac is not None or query.purpose is QueryPurpose.LEARN else ANY
    m.arp = m.arp._replace(query=query._replace(asked=query.asked + 1))
    m.watch()  # listen before asking
    m.emit(AskGateway(query.address, mac, source))
    m.timers.set(Timer.GATEWAY, now + query.gaps[query.asked])


def heard_gateway(m: Machine, event: GatewaySeen) -> QueryPurpose | None:
    """Somebody answered for the gateway's address. Returns what it was asked for, when it is the one we know."""
    query = m.arp.query
    if query is None or event.address != query.address:
        return None
    expected = query.known in (None, event.mac)
    if query.purpose is QueryPurpose.LEARN:
        if expected or query.asked > schedule.ASKED_ALONE:
            stop_asking(m)
            _remember(m, Gateway(event.address, event.mac))
        return None
    if expected:
        _end_query(m, Network.KNOWN)
        return query.purpose
    if query.purpose is QueryPurpose.VERIFY and m.arp.network is Network.UNKNOWN:
        m.arp = m.arp._replace(network=Network.OTHER)
        was = (query.known or b"").hex(":")
        m.notice(NoticeCode.OTHER_NETWORK, f"{event.mac.hex(':')} answers for the gateway {event.address}, not {was}")
    return None


def _remember(m: Machine, gateway: Gateway) -> None:
    former, lease = m.gateway, m.lease
    if gateway == former or lease is None or lease.ended_at is not None:
        return
    m.gateway = gateway
    if former is not None:
        m.notice(NoticeCode.GATEWAY_CHANGED, f"{gateway.address} is {gateway.mac.hex(':')}, was {former.mac.hex(':')}")
    m.emit(Persist(m.binding(lease)))
