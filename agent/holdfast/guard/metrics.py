"""What guard tells Prometheus of one interface: a file of its own beside the agent's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdfast import __version__
from holdfast.guard.actions import NoticeCode, Verdict
from holdfast.observe.metrics import Family, by, exposition
from holdfast.wire.record import NamedTuple, record

#: The start of the file's name.
KIND = "holdfast_guard"


@record
class Facts(NamedTuple):
    """What is known now. Instants are Unix seconds, None where there is none; ``results`` and ``notices`` are counts
    by Verdict and NoticeCode."""

    interface: str
    client: str
    wall: float
    expiry: float | None
    last_answer: float | None
    results: Mapping[str, int]
    notices: Mapping[str, int]
    rebroadcasts: int
    others: int


def render(facts: Facts) -> str:
    """The text exposition format, version 0.0.4."""
    return exposition(facts.interface, _families(facts))


def _families(facts: Facts) -> Iterator[Family]:
    # Every counter exists from the start with 0: Prometheus' increase() does not count a first value of 1.
    yield (f"{KIND}_build_info", "gauge", "Version of guard, and the client that it stands beside.",
           [({"version": __version__, "client": facts.client}, 1)])
    yield (f"{KIND}_updated_timestamp_seconds", "gauge", "When this file was written.", [({}, facts.wall)])
    if facts.expiry is not None:
        yield (f"{KIND}_lease_expiry_timestamp_seconds", "gauge", "When the client's lease ends.",
               [({}, facts.expiry)])
    if facts.last_answer is not None:
        yield (f"{KIND}_last_answer_timestamp_seconds", "gauge", "When a server last answered the client.",
               [({}, facts.last_answer)])
    yield (f"{KIND}_outcomes_total", "counter", "Exchanges of the client's that ended, by result.",
           by("result", {**dict.fromkeys((one.value for one in Verdict), 0), **facts.results}))
    yield (f"{KIND}_notices_total", "counter", "Notices, by code.",
           by("code", {**dict.fromkeys((one.value for one in NoticeCode), 0), **facts.notices}))
    yield (f"{KIND}_rebroadcasts_total", "counter", "Packets that guard sent.", [({}, facts.rebroadcasts)])
    yield (f"{KIND}_other_servers", "gauge", "Other DHCP servers that answered in this boot.", [({}, facts.others)])
