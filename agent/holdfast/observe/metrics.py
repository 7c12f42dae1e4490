"""Prometheus metrics as a file for node_exporter's textfile collector, one for each interface.

The file is written when something happens, not on a clock: an idle agent does not wake up. So
every time is a Unix timestamp, which stays true while nothing is written. A dead agent is visible: the lease's
expiry passes, and the last success gets older (rule 75).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from math import inf

from holdfast import __version__
from holdfast.core.actions import DropReason
from holdfast.core.lease import Lease
from holdfast.core.outcome import Outcome, Via
from holdfast.observe import ids
from holdfast.state import atomic
from holdfast.wire.record import NamedTuple

STATES = (
    "INIT", "INIT-REBOOT", "REBOOTING", "SELECTING", "REQUESTING", "PROBING",
    "BOUND", "RENEWING", "REBINDING", "STOPPED",
)
#: Why a message is ignored; "malformed" is no message at all.
DROPS = (*(reason.value for reason in DropReason), "malformed")


class Facts(NamedTuple):
    """What is known now. ``now`` and ``last_success`` are boot-time seconds, ``wall`` Unix seconds."""

    interface: str
    state: str
    now: float
    wall: float
    lease: Lease | None
    last_success: float | None
    last: Outcome | None
    drops: Mapping[str, int]
    results: Mapping[str, int]
    paths: Mapping[str, int]
    notices: Mapping[str, int]
    log_lines_lost: int = 0


#: Samples of one family: labels beside the interface, and the value.
Samples = list[tuple[dict[str, str], float]]
#: Name, kind and meaning of a family, and its samples.
Family = tuple[str, str, str, Samples]


class Textfile:
    """``<directory>/holdfast_<ifname>.prom``, replaced as a whole each time. ``kind`` is what ``holdfast`` stands
    for."""

    def __init__(self, directory: str, ifname: str, kind: str = "holdfast") -> None:
        self.path = os.path.join(directory, f"{kind}_{ifname}.prom")

    def write(self, facts: Facts) -> None:
        """Write ``facts``. Raises OSError; the former file is there then."""
        self.replace(render(facts))

    def replace(self, text: str) -> None:
        """Write ``text``. Raises as ``write`` does."""
        # The collector is another user, and often the folder's owner; it reads *.prom only.
        atomic.write(self.path, text.encode(), 0o644, anyones=True, durable=False)


def render(facts: Facts) -> str:
    """``facts`` as text."""
    return exposition(facts.interface, _families(facts))


def exposition(interface: str, families: Iterable[Family]) -> str:
    """The text exposition format, version 0.0.4."""
    lines: list[str] = []
    for name, kind, meaning, samples in families:
        if samples:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_labels(interface, extra)} {_number(value)}" for extra, value in samples]
    return "\n".join(lines) + "\n"


def _families(facts: Facts) -> Iterator[Family]:
    # Every counter exists from the start with 0: Prometheus' increase() does not count a first value of 1.
    yield ("holdfast_build_info", "gauge", "Version of the agent.", [({"version": __version__}, 1)])
    yield ("holdfast_updated_timestamp_seconds", "gauge", "When this file was written.", [({}, facts.wall)])
    yield ("holdfast_state", "gauge", "1 for the state of RFC 2131 figure 5 that the client is in.",
           [({"state": state}, int(state == facts.state)) for state in STATES])
    yield from _lease_families(facts)
    yield from _last_families(facts)
    yield ("holdfast_outcomes_total", "counter", "Acquisitions and renewals that ended, by result.",
           by("result", {**dict.fromkeys(ids.RESULTS, 0), **facts.results}))
    yield ("holdfast_answers_total", "counter", "Those that were answered, by the way of the message.",
           by("path", {**{via.value: 0 for via in Via}, **facts.paths}))
    yield ("holdfast_dropped_total", "counter", "Messages that were ignored, by reason.",
           by("reason", {**dict.fromkeys(DROPS, 0), **facts.drops}))
    yield ("holdfast_notices_total", "counter", "Notices, by code.",
           by("code", {**dict.fromkeys(ids.NOTICES, 0), **facts.notices}))
    yield ("holdfast_log_lines_lost_total", "counter", "Log lines that nobody took.",
           [({}, facts.log_lines_lost)])


def _lease_families(facts: Facts) -> Iterator[Family]:
    lease = facts.lease
    to_wall = facts.wall - facts.now
    yield ("holdfast_lease_valid", "gauge", "1 while a valid lease is in use, when this was written.",
           [({}, int(lease is not None and not lease.ended(facts.now)))])
    yield ("holdfast_address_held", "gauge", "1 while the address of an ended lease is held (on_expiry = \"hold\").",
           [({}, int(lease is not None and lease.ended_at is not None and lease.valid(facts.now)))])
    if lease is None:
        return
    yield ("holdfast_lease_info", "gauge", "The lease's address and its server, which is empty when it named none.",
           [({"address": str(lease.address), "server": str(lease.server_id or "")}, 1)])
    yield ("holdfast_lease_expiry_timestamp_seconds", "gauge", "When the lease ends.",
           [({}, (lease.expires_at if lease.ended_at is None else lease.ended_at) + to_wall)])
    yield ("holdfast_lease_renewal_timestamp_seconds", "gauge", "T1: when its renewal is due.",
           [({}, lease.t1_at + to_wall)])
    yield ("holdfast_lease_duration_seconds", "gauge", "How long the server gave it for.",
           [({}, lease.lease_time)])


def _last_families(facts: Facts) -> Iterator[Family]:
    if facts.last_success is not None:
        yield ("holdfast_last_success_timestamp_seconds", "gauge", "When a server last said ACK.",
               [({}, facts.last_success + facts.wall - facts.now)])
    last = facts.last
    if last is None:
        return
    yield ("holdfast_last_outcome_timestamp_seconds", "gauge", "When the last acquisition or renewal ended.",
           [({}, last.ended_at + facts.wall - facts.now)])
    yield ("holdfast_last_outcome_lease_left_seconds", "gauge", "Lease that was left then.",
           [({}, max(0.0, last.seconds_left))])
    if last.latency is not None:
        yield ("holdfast_last_outcome_latency_seconds", "gauge", "First message to answer, of the last one.",
               [({}, last.latency)])


def by(label: str, counts: Mapping[str, int]) -> Samples:
    """A sample for each of ``counts``."""
    return [({label: key}, counts[key]) for key in sorted(counts)]


def _labels(interface: str, labels: Mapping[str, str]) -> str:
    pairs = {"interface": interface, **labels}
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
