"""The start: a remembered lease, INIT-REBOOT and REBOOTING (RFC 2131 section 3.2; RFC 4436).

While the REQUEST is out, the known gateway is asked by ARP which network this is (``arp``). A server's answer counts
more than any of that. When none comes, the lease is used all the same, for it is ours until it ends: after the first
wait when its gateway has answered, after the last, unverified, when nobody has. Only when another machine answers
for the gateway, and the known one does not, it is not: that is another network, where we start anew (rule 49).
"""

from __future__ import annotations

from holdfast.core import acquisition, arp, bound, expiry_hold, renewal, requests, schedule
from holdfast.core.actions import DeconfigureReason, DropReason, Forget, NoticeCode, Transmit
from holdfast.core.events import Cached, Start
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Cause, Outcome, Purpose, Result, Via
from holdfast.core.states import Bound, Exchange, Init, InitReboot, Network, Probing, Rebooting, Renewal
from holdfast.core.transitions import Reason
from holdfast.wire.message import ANY, BROADCAST, Message


def on_start(m: Machine, event: Start, now: float) -> None:
    """The first event: carry on with a remembered lease, ask about it, or start from nothing. Only once."""
    if m.started:
        return
    m.started = True
    m.set_carrier(event.carrier)
    cached = event.cached
    if cached is None or not cached.binding.lease.valid(now):
        _start_anew(m, cached, now)
        return
    lease = cached.binding.lease
    bound.learn_server(m, cached.binding.server)
    arp.adopt_gateway(m, cached.binding.gateway)
    if cached.on_link:
        m.configure(lease)
        m.enter(Bound(lease), Reason.START_ON_LINK, now)
        if m.carrier and m.timers.at(Timer.CHECK) is not None:
            m.timers.set(Timer.CHECK, now + m.rng.uniform(0.0, schedule.CHECK_START))
        if m.gateway is None and m.carrier:
            arp.learn_gateway(m, lease, now)  # from a file that does not have it
    elif m.carrier:
        reboot(m, lease, Reason.START_REMEMBERED, now)
    else:
        m.enter(InitReboot(lease), Reason.START_NO_CARRIER, now)


def _start_anew(m: Machine, cached: Cached | None, now: float) -> None:
    """DISCOVER. An ended lease is only a hint (rule 50), and its address goes if it is still there, unless it was
    being held when we were stopped and still may be."""
    held = None
    if cached is not None:
        ended = cached.binding.lease
        m.set_hint(ended.address)
        if cached.on_link:
            arp.adopt_gateway(m, cached.binding.gateway)
            held = expiry_hold.extend(m, ended, now)
            if held is None:
                m.enter(Init(), Reason.START, now, DeconfigureReason.EXPIRED, found=ended)
    delay = schedule.start_delay(m.rng) if m.config.start_delay else 0.0
    acquisition.ask(m, now, Reason.START, cause=Cause.START.value, held=held, delay=delay)
    if held is not None:
        expiry_hold.begin(m, held, now)


def reboot(m: Machine, cached: Lease, on: Reason, now: float) -> None:
    """Enter REBOOTING: ask whether ``cached`` still holds."""
    exchange = Exchange(Purpose.REBOOT, Cause.START.value, m.new_xid(), now, now)
    m.enter(Rebooting(cached, exchange), on, now)
    send(m, now)
    arp.verify_network(m, cached, now)


def send(m: Machine, now: float) -> None:
    """Send (again) the REQUEST of REBOOTING; when there was time for an answer, see what the gateway says."""
    state = m.state
    assert isinstance(state, Rebooting)
    exchange, cached = state.exchange, state.cached
    wait = schedule.request_wait(exchange.tries + 1, schedule.REBOOT_WAITS, m.rng)
    if not cached.valid(now):
        _give_up(m, Reason.REMEMBERED_ENDED, now)
    elif exchange.tries and m.arp.network is Network.KNOWN and not state.refused_by_other:
        _keep(m, state, now)
    elif exchange.tries and m.arp.network is Network.OTHER:
        _give_up(m, Reason.OTHER_NETWORK, now)
    elif wait is not None:
        secs = requests.secs_since(exchange.started_at, now)
        message = requests.request_reboot(m.config, exchange.xid, secs, cached.address)
        m.emit(Transmit(message, Via.BROADCAST, ANY, BROADCAST))
        exchange = exchange._replace(attempts=exchange.attempts + 1, tries=exchange.tries + 1)
        m.update(state._replace(exchange=exchange))
        m.timers.set(Timer.RETRANSMIT, now + wait)
    elif state.refused_by_other:
        _give_up(m, Reason.NAK_OF_OTHER, now)
    else:
        _keep(m, state, now)


def on_gateway(m: Machine, state: Rebooting, now: float) -> None:
    """The known gateway answered. A server has its first wait to answer too, and after that none."""
    if state.exchange.tries > 1:
        send(m, now)


def _give_up(m: Machine, on: Reason, now: float) -> None:
    arp.stop_asking(m)
    acquisition.ask(m, now, on, cause=on.value)


def on_ack(m: Machine, ack: Message, now: float) -> None:
    """REBOOTING: the remembered lease holds (or another address is granted instead)."""
    state = m.state
    assert isinstance(state, Rebooting)
    exchange = state.exchange
    if acquisition.ipv6_only(m, exchange, None, ack, now):
        m.emit(Forget())
        return
    lease = bound.accept_ack(
        m, ack, sent_at=exchange.sent_at, fallback_time=state.cached.lease_time, now=now
    )
    if lease is not None:
        bound.acquired(m, lease, exchange.answered(now), Via.BROADCAST, Reason.ACK, now, cached=state.cached)


def on_nak(m: Machine, nak: Message, now: float) -> None:
    """REBOOTING: from the lease's server the end of it; from another only a reason to doubt."""
    state = m.state
    assert isinstance(state, Rebooting)
    cause = acquisition.nak_cause(nak)
    if nak.server_id is None or nak.server_id != state.cached.server_id:
        m.drop(DropReason.NAK_UNVERIFIED if nak.server_id is None else DropReason.OTHER_SERVER, nak, "NAK")
        m.notice(NoticeCode.FOREIGN_NAK, f"{cause}; the lease of {state.cached.address} is {state.cached.server_id}'s")
        m.update(state._replace(refused_by_other=True))
        return
    arp.stop_asking(m)
    m.emit(Forget())  # never to be used unverified after a restart
    m.conclude(acquisition.refused(state.exchange, nak, cause, None, now))
    acquisition.ask(m, now, Reason.NAK, cause=cause, delay=m.nak_wait())


def _keep(m: Machine, state: Rebooting, now: float) -> None:
    """No server answered: the lease is still ours (RFC 2131 section 3.2)."""
    known = m.arp.network is Network.KNOWN
    cause = (Cause.VERIFIED if known else Cause.UNVERIFIED).value
    lease, exchange = state.cached._replace(verified=known), state.exchange._replace(cause=cause)
    m.timers.stop(Timer.RETRANSMIT)
    if m.config.acd == "strict":
        probing = Probing(lease, exchange, Via.BROADCAST, cached=lease, unanswered=True)
        m.enter(probing, Reason.KEPT_PROBED_FIRST, now)
        arp.start_probing(m, lease.address, now)
    else:
        _use(m, lease, exchange, Reason.KEPT, now)


def on_probed(m: Machine, state: Probing, now: float) -> None:
    """PROBING for a remembered lease is over and nobody has answered."""
    if not state.lease.valid(now):
        acquisition.on_probed(m, state, now)
        return
    _use(m, state.lease, state.exchange, Reason.PROBED, now)
    arp.announce(m, now)


def _use(m: Machine, lease: Lease, exchange: Exchange, on: Reason, now: float) -> None:
    """Use a remembered lease that nobody has confirmed or refused, and go on asking."""
    m.configure(lease)
    m.conclude(Outcome(
        purpose=exchange.purpose, result=Result.KEPT, via=Via.BROADCAST, attempts=exchange.attempts, latency=None,
        server=lease.server_id, address=lease.address, former_address=None, lease_time=lease.lease_time,
        seconds_left=lease.seconds_left(now), cause=exchange.cause, xid=exchange.xid,
        started_at=exchange.started_at, ended_at=now,
    ))
    arp.start_probing(m, lease.address, now)  # strict detection is over by now
    renewal.begin(m, lease, Renewal(Purpose.REBOOT, Cause.VERIFY.value), on, now, delay=schedule.GAP_MIN)
