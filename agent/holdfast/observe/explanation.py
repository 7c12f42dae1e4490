"""One renewal in sentences: why it was asked, what happened on the way, how it ended, and whether that is a worry.

Pure: records of the history go in. They may be of a file that is damaged; what is missing is not spoken of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.observe.words import counted, duration, latency

Record = Mapping[str, Any]

#: Renewals with which the last one is compared.
COMPARED = 20
_ASKED = {
    "acquire": "there was no lease, so every server was asked for one (DISCOVER)",
    "reboot": "a lease was remembered from before, so the server was asked whether it still holds (INIT-REBOOT)",
    "t1": "half of the lease was over (T1), so its server was asked to renew it",
    "t2": "the lease came near its end (T2), so every server was asked to renew it",
    "check": "the renewal is far away, so the server was asked whether it still knows the lease",
    "link-up": "the carrier came back, so the lease was checked",
    "resume": "the machine woke up or was paused, so the lease was checked",
    "restored": "this machine is a restored snapshot, or was moved, so the lease was checked",
    "operator": "somebody asked for it",
    "hold": "the lease had ended, and its address was held while the gateway answered",
}
_WAYS = {
    "unicast": "by unicast, as it should be",
    "broadcast": "by broadcast",
    "broadcast-any": "by broadcast from 0.0.0.0, the only form that some virtual networks answer",
    "discover": "by DISCOVER and REQUEST, as a new lease",
}


def explain(records: Sequence[Record]) -> list[str]:
    """Sentences about the last of ``records``, oldest first and of one interface; none without records."""
    if not records:
        return []
    last = records[-1]
    return [*_why(last), *_way(last), *_end(last), *_pattern(records)]


def _why(record: Record) -> Iterator[str]:
    asked = _ASKED.get(str(record.get("purpose")))
    if asked is not None:
        yield f"{asked[0].upper()}{asked[1:]}."


def _way(record: Record) -> Iterator[str]:
    cause, took, attempts = str(record.get("cause") or ""), record.get("latency"), record.get("attempts")
    server = record.get("server") or "a server"
    if "unicast unanswered" in cause:
        yield (f"{server} did not answer the unicast request; the same request went out by broadcast at once, not "
               "only at T2 as other clients do.")
    elif "NAK" in cause and record.get("result") != "refused":
        yield f"On the way a server said no ({cause})."
    if isinstance(took, (int, float)) and record.get("path") in _WAYS and record.get("result") != "refused":
        tries = f" to message {attempts}" if isinstance(attempts, int) and attempts > 1 else ""
        yield f"{server} answered{tries} after {latency(took)}, {_WAYS[str(record['path'])]}."
    elif took is None and isinstance(attempts, int) and attempts:
        yield f"Nobody answered {counted(attempts, 'message')}."


def _end(record: Record) -> Iterator[str]:
    left, address = record.get("seconds_left"), record.get("address") or record.get("former_address") or "the address"
    endless = not isinstance(left, (int, float))
    spare = "the lease has no end" if endless else f"{duration(float(left or 0.0))} of the lease"
    server = record.get("server") or "the server"
    match record.get("result"):
        case "acquired":
            yield f"{address} was taken into use."
        case "renewed":
            yield f"{address} is renewed; {spare}{'' if endless else ' were left'}, so nothing was lost."
        case "moved":
            yield (f"The server gave {address} instead of {record.get('former_address')}; the new address was there "
                   "before the old one went. Connections of the old one have ended.")
        case "kept":
            yield (f"{address} stays in use: {spare}{'' if endless else ' are left'}, and the server is asked again "
                   "and again until the end.")
            yield "Check the DHCP server and the network to it before that."
        case "refused":
            yield (f"{server} refused to renew {address} (NAK). The address is kept until it ends or a new lease is "
                   "there; a new one is asked for by DISCOVER.")
            yield "See in the server's log why: a lost lease file, or an address that was given to another machine."
        case "expired":
            yield f"{address} was removed when its lease ended, as the protocol demands; DISCOVER goes on."
            yield "Check the DHCP server and the network to it: `holdfast doctor` says what is seen of them."
        case "held":
            yield f'{address} is held beyond its lease while its gateway answers (on_expiry = "hold").'
        case "conflict":
            yield f"{address} was given up, because another machine uses it: {record.get('cause')}."
            yield "Find the machine with that hardware address."
        case "released":
            yield f"{address} was given back, because somebody said so."
        case "ipv6-only":
            yield "The network asks to do without IPv4 for some time (option 108)."
        case "stopped":
            yield f"The agent was stopped in the middle; {address} stays for as long as its lease lasts."


def _pattern(records: Sequence[Record]) -> Iterator[str]:
    """Whether that is how it always goes."""
    renewals = [record for record in records if record.get("purpose") in ("t1", "t2")][-COMPARED:]
    if len(renewals) < 3:
        return
    deaf = sum("unicast unanswered" in str(record.get("cause")) for record in renewals)
    unanswered = sum(record.get("result") in ("kept", "expired") for record in renewals)
    if deaf:
        yield (f"So it was in {deaf} of the last {len(renewals)} renewals: the server does not hear unicast, or not "
               "always. Renewals succeed by broadcast; the cause is on the DHCP host or in the network to it.")
    if unanswered:
        yield f"Of the last {len(renewals)} renewals {unanswered} got no answer at all."
    if not deaf and not unanswered:
        took = [float(record["latency"]) for record in renewals if isinstance(record.get("latency"), (int, float))]
        slowest = f"; the slowest took {latency(max(took))}" if took else ""
        yield f"All of the last {len(renewals)} renewals were answered at the first try{slowest}." if all(
            record.get("attempts") == 1 for record in renewals) else \
            f"All of the last {len(renewals)} renewals were answered{slowest}."
