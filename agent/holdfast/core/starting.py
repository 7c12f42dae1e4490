"""The start: a remembered lease, INIT-REBOOT and REBOOTING (RFC 2131 section 3.2; RFC 4436).

Beside the REQUEST the known gateway is asked by ARP which network this is (``gateway``). A server's answer counts
more than any of that. When none comes, the lease is used all the same, for it is ours until it ends: after the first
wait when its gateway has answered, after the last, unverified, when nobody has. Only when another machine answers
for the gateway, and the known one does not, it is not: that is another network, where we start anew (rule 49).
"""

from __future__ import annotations

from holdfast.core import acquiring, binding, conflict, gateway, overtime, renewing, requests, schedule
from holdfast.core.actions import Configure, DropReason, Forget, NoticeCode, Transmit
from holdfast.core.events import Cached, Start
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine, Network
from holdfast.core.outcome import Outcome, Path, Result
from holdfast.core.states import Bound, Exchange, InitReboot, Probing, Rebooting, Renewal
from holdfast.core.timers import Timer
from holdfast.wire.message import ANY, BROADCAST, Message


def on_start(m: Machine, event: Start, now: float) -> None:
    """The first event: carry on with a remembered lease, ask about it, or start from nothing. Only once."""
    if m.started:
        return
    m.started, m.carrier = True, event.carrier
    cached = event.cached
    if cached is None or not cached.lease.valid(now):
        _start_anew(m, cached, now)
        return
    m.path, m.gateway, m.hint = cached.path, cached.gateway, cached.lease.address
    if cached.on_link:
        m.emit(Configure(cached.lease, None))
        m.enter(Bound(cached.lease), "start: the remembered lease is on the link", now)
        if m.gateway is None and m.carrier:
            gateway.learn(m, cached.lease, now)  # from a file that does not have it
    elif m.carrier:
        reboot(m, cached.lease, "start: a valid lease is remembered", now)
    else:
        m.enter(InitReboot(cached.lease), "start: a valid lease is remembered, no carrier", now)


def _start_anew(m: Machine, cached: Cached | None, now: float) -> None:
    """DISCOVER. An ended lease is only a hint (rule 50), and its address goes if it is still there, unless it was
    being held when we were stopped and still may be."""
    held = None
    if cached is not None:
        m.hint = cached.lease.address
        if cached.on_link:
            m.gateway = cached.gateway
            held = overtime.extend(m, cached.lease, now)
            if held is None:
                m.remove_ended(cached.lease, now)
    delay = schedule.start_delay(m.rng) if m.config.start_delay else 0.0
    acquiring.ask(m, now, "start: DISCOVER", cause="start", held=held, delay=delay)
    if held is not None:
        overtime.begin(m, held, now)


def reboot(m: Machine, cached: Lease, on: str, now: float) -> None:
    """Enter REBOOTING: ask whether ``cached`` still holds."""
    exchange = Exchange("reboot", "start", m.new_xid(), now, now)
    m.enter(Rebooting(cached, exchange), on, now)
    send(m, now)
    gateway.verify(m, cached, now)


def send(m: Machine, now: float) -> None:
    """Send (again) the REQUEST of REBOOTING; when there was time for an answer, see what the gateway says."""
    state = m.state
    assert isinstance(state, Rebooting)
    exchange, cached = state.exchange, state.cached
    wait = schedule.request_wait(exchange.tries + 1, schedule.REBOOT_WAITS, m.rng)
    if not cached.valid(now):
        _give_up(m, "the remembered lease ended", now)
    elif exchange.tries and m.network is Network.KNOWN and not state.refused_by_other:
        _keep(m, state, now)
    elif exchange.tries and m.network is Network.OTHER:
        _give_up(m, "another gateway answers: another network", now)
    elif wait is not None:
        secs = requests.secs_since(exchange.started_at, now)
        message = requests.request_reboot(m.config, exchange.xid, secs, cached.address)
        m.emit(Transmit(message, Path.BROADCAST, ANY, BROADCAST))
        exchange = exchange._replace(attempts=exchange.attempts + 1, tries=exchange.tries + 1)
        m.update(state._replace(exchange=exchange))
        m.timers.set(Timer.RETRANSMIT, now + wait)
    elif state.refused_by_other:
        _give_up(m, "NAK of another server, and no ACK", now)
    else:
        _keep(m, state, now)


def on_gateway(m: Machine, state: Rebooting, now: float) -> None:
    """The known gateway answered. A server has its first wait to answer too, and after that none."""
    if state.exchange.tries > 1:
        send(m, now)


def _give_up(m: Machine, why: str, now: float) -> None:
    gateway.stop(m)
    acquiring.ask(m, now, why, cause=why)


def on_ack(m: Machine, ack: Message, now: float) -> None:
    """REBOOTING: the remembered lease holds (or another address is granted instead)."""
    state = m.state
    assert isinstance(state, Rebooting)
    exchange = state.exchange
    if acquiring.ipv6_only(m, exchange, None, ack, now):
        m.emit(Forget())
        return
    lease = binding.accept_ack(
        m, ack, sent_at=exchange.sent_at, fallback_time=state.cached.lease_time, now=now
    )
    if lease is not None:
        binding.acquired(m, lease, exchange, Path.BROADCAST, "ACK", now, cached=state.cached)


def on_nak(m: Machine, nak: Message, now: float) -> None:
    """REBOOTING: from the lease's server the end of it; from another only a reason to doubt."""
    state = m.state
    assert isinstance(state, Rebooting)
    cause = acquiring.nak_cause(nak)
    if nak.server_id is None or nak.server_id != state.cached.server_id:
        m.drop(DropReason.NAK_UNVERIFIED if nak.server_id is None else DropReason.OTHER_SERVER, nak, "NAK")
        m.notice(NoticeCode.FOREIGN_NAK, f"{cause}; the lease of {state.cached.address} is {state.cached.server_id}'s")
        m.update(state._replace(refused_by_other=True))
        return
    m.naks += 1
    gateway.stop(m)
    m.emit(Forget())  # never to be used unverified after a restart
    m.conclude(acquiring.refused(state.exchange, nak, cause, None, now))
    acquiring.ask(m, now, "NAK", cause=cause, delay=schedule.nak_wait(m.naks, m.rng))


def _keep(m: Machine, state: Rebooting, now: float) -> None:
    """No server answered: the lease is still ours (RFC 2131 section 3.2)."""
    known = m.network is Network.KNOWN
    cause = "no answer; verified by the gateway" if known else "no answer; the lease is used unverified"
    lease, exchange = state.cached._replace(verified=known), state.exchange._replace(cause=cause)
    m.timers.stop(Timer.RETRANSMIT)
    if m.config.acd == "strict":
        probing = Probing(lease, exchange, Path.BROADCAST, cached=lease, unanswered=True)
        m.enter(probing, "no answer, strict conflict detection", now)
        conflict.start_probing(m, lease.address, now)
    else:
        _use(m, lease, exchange, "no answer: the lease is still ours", now)


def on_probed(m: Machine, state: Probing, now: float) -> None:
    """PROBING for a remembered lease is over and nobody has answered."""
    if not state.lease.valid(now):
        acquiring.on_probed(m, state, now)
        return
    _use(m, state.lease, state.exchange, "nobody else has the address", now)
    conflict.announce(m, now)


def _use(m: Machine, lease: Lease, exchange: Exchange, on: str, now: float) -> None:
    """Use a remembered lease that nobody has confirmed or refused, and go on asking."""
    binding.configure(m, lease, None)
    m.conclude(Outcome(
        purpose=exchange.purpose, result=Result.KEPT, path=Path.BROADCAST, attempts=exchange.attempts, latency=None,
        server=lease.server_id, address=lease.address, former_address=None, lease_time=lease.lease_time,
        seconds_left=lease.seconds_left(now), cause=exchange.cause, xid=exchange.xid,
        started_at=exchange.started_at, ended_at=now,
    ))
    conflict.start_probing(m, lease.address, now)  # strict detection is over by now
    renewing.begin(m, lease, Renewal("reboot", "to verify the remembered lease"), on, now, delay=schedule.GAP_MIN)
