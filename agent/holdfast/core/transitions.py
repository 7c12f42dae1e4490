"""From which state to which, and on what: the whole machine. ``machine.Machine.enter`` refuses a change that is not
in the table, and docs/states.md is drawn from it.
"""

from __future__ import annotations

from holdfast.core.states import NAMES
from holdfast.wire.record import Enum


class Reason(str, Enum):
    """On what a state changes: the labels of the diagram, as the log shows them."""

    START = "start: DISCOVER"
    START_REMEMBERED = "start: a valid lease is remembered"
    START_NO_CARRIER = "start: a valid lease is remembered, no carrier"
    START_ON_LINK = "start: the remembered lease is on the link"
    CARRIER_UP = "carrier up"
    CARRIER_LOST = "carrier lost"
    OFFER = "OFFER chosen"
    ACK = "ACK"
    ACK_RAPID = "ACK, rapid commit"
    ACK_PROBED_FIRST = "ACK, strict conflict detection"
    ACK_DECLINED = "ACK of an address that somebody else has: DECLINE"
    PROBED = "nobody else has the address"
    DECLINED = "somebody else has the address: DECLINE"
    NAK = "NAK"
    NAK_CONTRADICTED = "ACK of the server that has just said NAK"
    NAK_OF_OTHER = "NAK of another server, and no ACK"
    NO_ANSWER = "no answer"
    KEPT = "no answer: the lease is still ours"
    KEPT_PROBED_FIRST = "no answer, strict conflict detection"
    KEPT_UNTIL_T1 = "no answer, and T1 has not come"
    OTHER_NETWORK = "another gateway answers: another network"
    IPV6_ONLY = "the network is IPv6-only"
    CHECK = "T1 is far away: a check, once a day"
    T1 = "T1"
    T2 = "T2"
    RESUMED = "resumed"
    RESTORED = "restored"
    OPERATOR = "operator"
    LEASE_ENDED = "the lease ended"
    REMEMBERED_ENDED = "the remembered lease ended"
    PROBING_ENDED = "the lease ended while probing"
    HELD = "the lease ended, its address is held"
    HELD_ON = "the gateway answers: the address is held on"
    HELD_ENDED = "the held lease ended"
    HELD_CONFLICT = "the held address belongs to somebody else"
    STOP = "stop"
    RELEASE = "release"


#: (from, to, on).
TRANSITIONS: tuple[tuple[str, str, Reason], ...] = (
    ("INIT", "SELECTING", Reason.START),
    ("INIT", "INIT-REBOOT", Reason.START_NO_CARRIER),
    ("INIT", "REBOOTING", Reason.START_REMEMBERED),
    ("INIT", "BOUND", Reason.START_ON_LINK),
    ("INIT", "INIT", Reason.START),
    ("INIT", "INIT", Reason.HELD_ENDED),
    ("INIT", "INIT", Reason.HELD_CONFLICT),
    ("INIT-REBOOT", "REBOOTING", Reason.CARRIER_UP),
    ("INIT-REBOOT", "SELECTING", Reason.REMEMBERED_ENDED),
    ("REBOOTING", "INIT-REBOOT", Reason.CARRIER_LOST),
    ("REBOOTING", "BOUND", Reason.ACK),
    ("REBOOTING", "PROBING", Reason.ACK_PROBED_FIRST),
    ("REBOOTING", "RENEWING", Reason.KEPT),
    ("REBOOTING", "REBINDING", Reason.KEPT),
    ("REBOOTING", "SELECTING", Reason.NAK),
    ("REBOOTING", "SELECTING", Reason.NAK_OF_OTHER),
    ("REBOOTING", "SELECTING", Reason.REMEMBERED_ENDED),
    ("REBOOTING", "SELECTING", Reason.OTHER_NETWORK),
    ("REBOOTING", "PROBING", Reason.KEPT_PROBED_FIRST),
    ("REBOOTING", "REBOOTING", Reason.RESTORED),
    ("REBOOTING", "INIT", Reason.IPV6_ONLY),
    ("SELECTING", "REQUESTING", Reason.OFFER),
    ("SELECTING", "BOUND", Reason.ACK_RAPID),
    ("SELECTING", "PROBING", Reason.ACK_PROBED_FIRST),
    ("SELECTING", "INIT", Reason.CARRIER_LOST),
    ("SELECTING", "INIT", Reason.IPV6_ONLY),
    ("SELECTING", "SELECTING", Reason.RESTORED),
    ("SELECTING", "SELECTING", Reason.HELD_ENDED),
    ("SELECTING", "SELECTING", Reason.HELD_CONFLICT),
    ("REQUESTING", "BOUND", Reason.ACK),
    ("REQUESTING", "PROBING", Reason.ACK_PROBED_FIRST),
    ("REQUESTING", "INIT", Reason.ACK_DECLINED),
    ("REQUESTING", "INIT", Reason.NAK),
    ("REQUESTING", "SELECTING", Reason.NAK),
    ("REQUESTING", "SELECTING", Reason.NO_ANSWER),
    ("REQUESTING", "SELECTING", Reason.RESTORED),
    ("REQUESTING", "INIT", Reason.CARRIER_LOST),
    ("REQUESTING", "REQUESTING", Reason.HELD_ENDED),
    ("REQUESTING", "REQUESTING", Reason.HELD_CONFLICT),
    ("PROBING", "BOUND", Reason.PROBED),
    ("PROBING", "RENEWING", Reason.PROBED),
    ("PROBING", "REBINDING", Reason.PROBED),
    ("PROBING", "INIT", Reason.DECLINED),
    ("PROBING", "SELECTING", Reason.PROBING_ENDED),
    ("PROBING", "INIT", Reason.PROBING_ENDED),
    ("PROBING", "PROBING", Reason.HELD_ENDED),
    ("PROBING", "PROBING", Reason.HELD_CONFLICT),
    ("BOUND", "RENEWING", Reason.T1),
    ("BOUND", "REBINDING", Reason.T2),
    ("BOUND", "RENEWING", Reason.CHECK),
    ("BOUND", "RENEWING", Reason.CARRIER_UP),
    ("BOUND", "REBINDING", Reason.CARRIER_UP),
    ("BOUND", "RENEWING", Reason.RESUMED),
    ("BOUND", "REBINDING", Reason.RESUMED),
    ("BOUND", "RENEWING", Reason.RESTORED),
    ("BOUND", "REBINDING", Reason.RESTORED),
    ("BOUND", "RENEWING", Reason.OPERATOR),
    ("BOUND", "REBINDING", Reason.OPERATOR),
    ("BOUND", "INIT", Reason.DECLINED),
    ("BOUND", "SELECTING", Reason.LEASE_ENDED),
    ("BOUND", "INIT", Reason.LEASE_ENDED),
    ("RENEWING", "BOUND", Reason.ACK),
    ("RENEWING", "BOUND", Reason.KEPT_UNTIL_T1),
    ("RENEWING", "REBINDING", Reason.T2),
    ("RENEWING", "REBINDING", Reason.OPERATOR),
    ("RENEWING", "SELECTING", Reason.NAK),
    ("RENEWING", "INIT", Reason.NAK),
    ("RENEWING", "INIT", Reason.DECLINED),
    ("RENEWING", "PROBING", Reason.ACK_PROBED_FIRST),
    ("RENEWING", "SELECTING", Reason.LEASE_ENDED),
    ("RENEWING", "INIT", Reason.LEASE_ENDED),
    ("REBINDING", "BOUND", Reason.ACK),
    ("REBINDING", "BOUND", Reason.KEPT_UNTIL_T1),
    ("REBINDING", "SELECTING", Reason.NAK),
    ("REBINDING", "INIT", Reason.NAK),
    ("REBINDING", "INIT", Reason.DECLINED),
    ("REBINDING", "PROBING", Reason.ACK_PROBED_FIRST),
    ("REBINDING", "SELECTING", Reason.LEASE_ENDED),
    ("REBINDING", "INIT", Reason.LEASE_ENDED),
    ("INIT", "REQUESTING", Reason.NAK_CONTRADICTED),
    *(("SELECTING", former, Reason.NAK_CONTRADICTED) for former in ("REQUESTING", "RENEWING", "REBINDING")),
    *((name, "SELECTING", Reason.HELD) for name in ("BOUND", "RENEWING", "REBINDING")),
    *((name, name, on) for name in ("INIT", "SELECTING", "REQUESTING", "PROBING")
      for on in (Reason.HELD, Reason.HELD_ON)),
    *((name, "STOPPED", on) for name in NAMES.values() for on in (Reason.STOP, Reason.RELEASE) if name != "STOPPED"),
    ("STOPPED", "INIT", Reason.OPERATOR),
    ("STOPPED", "SELECTING", Reason.OPERATOR),
)
