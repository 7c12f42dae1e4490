"""A NAK that the same server contradicts: an ACK to the REQUEST that was refused a moment ago (rule 29).

A server says one or the other. Who sees the REQUEST on the wire can say NAK in its name, and be first; so what was
refused is remembered for ``schedule.NAK_DOUBT`` seconds, in which the ACK counts as if there had been no NAK. Meanwhile
a new lease is asked for, as after every NAK. What is known is in ``Machine.refused``, which only this file writes.
"""

from __future__ import annotations

from holdfast.core import arp, replies, schedule
from holdfast.core.actions import NoticeCode
from holdfast.core.machine import Machine, Timer, lease_in_use
from holdfast.core.states import Init, Rebinding, Refused, Renewing, Requesting, Selecting
from holdfast.core.transitions import Reason
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message


def note(m: Machine, state: Renewing | Rebinding | Requesting, nak: Message, now: float) -> None:
    """``nak`` ends the exchange of ``state``, which is the present one."""
    m.refused = Refused(state, nak.xid, nak.options.get(opt.SERVER_ID, b""), now)


def withdraw(m: Machine, ack: Message, now: float) -> None:
    """Go back to what was refused a moment ago when ``ack`` is the same server's answer to it; else do nothing."""
    refused, state = m.refused, m.state
    if refused is None or ack.message_type != msg.ACK:
        return
    former = refused.state
    if not isinstance(state, Selecting) and not (isinstance(state, Init) and isinstance(former, Requesting)):
        return
    asked = former.offer.yiaddr if isinstance(former, Requesting) else former.lease.address
    if (
        now - refused.at > schedule.NAK_DOUBT
        or replies.refusal(ack, m.config, (refused.xid,)) is not None
        or ack.options.get(opt.SERVER_ID, b"") != refused.server
        or ack.yiaddr != asked
        or m.lease != lease_in_use(former)
    ):
        return
    m.refused = None
    m.timers.stop(Timer.START, Timer.OFFERS)
    arp.forget_probes(m)
    m.enter(former, Reason.NAK_CONTRADICTED, now)
    m.timers.set(Timer.RETRANSMIT, now + schedule.GAP_MIN)  # should the ACK be none that can be used
    m.notice(NoticeCode.FOREIGN_NAK, (
        f"{ack.server_id or 'a server without a name'} refuses {asked} and grants it in one exchange: another server "
        "has its identifier, or somebody says NAK in its name; the ACK counts"
    ))
