"""One interface, its lease and its outcomes as the control socket tells of them.

Each function builds one type of control/io.holdfast.varlink, with every member that is declared there; a test holds
the two together. ``now`` is CLOCK_BOOTTIME seconds, ``wall`` Unix seconds at the same moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.client import Snapshot
    from holdfast.core.outcome import Outcome
    from holdfast.network.spec import NetworkSpec
    from holdfast.observe.observations import Observations, SeenClaim, SeenServer
    from holdfast.runtime.ports import ServedInterface


def client(served: ServedInterface, now: float, wall: float) -> Mapping[str, object]:
    """A Client."""
    shot, spec = served.snapshot(), served.spec
    return {
        "interface": served.name,
        "state": shot.state,
        "present": served.link is not None,
        "online": served.online,
        "yielded": served.yielded,
        "rival": served.rival,
        "lease": _lease(shot, now, wall),
        "network": None if spec is None else _network(spec),
        "hears_unicast": None if shot.server is None else shot.server.hears_unicast,
        "round_trip": None if shot.server is None else shot.server.srtt,
        "gateway": None if shot.gateway is None else f"{shot.gateway.address} {shot.gateway.mac.hex(':')}",
        "last_outcome": None if shot.last_outcome is None else record(served, shot.last_outcome, now, wall),
        "drops": shot.drops,
        "carrier": served.link is not None and shot.carrier,
        "exchange": _exchange(served.observations, shot, now, wall),
        "servers": [_server(server, now, wall) for server in served.observations.servers],
        "claims": [_claim(claim, now, wall) for claim in served.observations.claims],
        "notices": _notices(served.observations, now, wall),
        "problems": dict(served.problems),
        "strangers": served.observations.strangers,
        "tagged": served.observations.tagged,
        "filtered": served.filtered,
        "fallback": None if served.fallback is None else str(served.fallback.address),
    }


def _exchange(seen: Observations, shot: Snapshot, now: float, wall: float) -> Mapping[str, object]:
    """An Exchange."""
    at = shot.next_deadline
    return {
        "since": None if seen.since is None else _instant(seen.since, now, wall),
        "sent": seen.sent,
        "heard": seen.heard,
        "next": None if at is None else _instant(at, now, wall),
    }


def _server(server: SeenServer, now: float, wall: float) -> Mapping[str, object]:
    """A Server."""
    return {
        "identifier": None if server.identifier is None else str(server.identifier),
        "source": str(server.source),
        "heard": server.heard,
        "offered": [str(address) for address in server.offered],
        "last": _instant(server.last_at, now, wall),
    }


def _claim(claim: SeenClaim, now: float, wall: float) -> Mapping[str, object]:
    """A Claim."""
    return {
        "address": str(claim.address), "by": claim.by.hex(":"), "count": claim.count,
        "last": _instant(claim.last_at, now, wall),
    }


def _notices(seen: Observations, now: float, wall: float) -> list[Mapping[str, object]]:
    """Notices, the latest first."""
    latest = sorted(seen.notices.items(), key=lambda item: -item[1].last_at)
    return [{"code": code, "count": one.count, "text": one.text, "last": _instant(one.last_at, now, wall)}
            for code, one in latest]


def _lease(shot: Snapshot, now: float, wall: float) -> Mapping[str, object] | None:
    """A Lease, None without one."""
    lease = shot.lease
    if lease is None:
        return None
    return {
        "address": str(lease.address),
        "server": None if lease.server_id is None else str(lease.server_id),
        "verified": lease.verified,
        "duration": None if lease.lease_time == inf else lease.lease_time,
        "started": _instant(lease.started_at, now, wall),
        "renewal": _instant(lease.t1_at, now, wall),
        "rebinding": _instant(lease.t2_at, now, wall),
        "expiry": _instant(lease.expires_at if lease.ended_at is None else lease.ended_at, now, wall),
        "held_until": None if lease.ended_at is None else _instant(lease.expires_at, now, wall),
        "options": options(lease.options),
    }


def options(values: Mapping[int, bytes]) -> dict[str, str]:
    """Options by number, each value in hex."""
    return {str(code): value.hex() for code, value in sorted(values.items())}


def _instant(at: float, now: float, wall: float) -> Mapping[str, object] | None:
    """An Instant, None for infinity."""
    from holdfast.observe.outcomes import iso_time  # noqa: PLC0415

    if at == inf:
        return None
    seconds = at - now
    return {"time": iso_time(wall + seconds), "seconds": round(seconds, 3)}


def record(served: ServedInterface, outcome: Outcome, now: float, wall: float) -> Mapping[str, object]:
    """An Outcome: ``outcome`` as a line of the history."""
    from holdfast.observe.outcomes import as_record  # noqa: PLC0415

    # The wall clock of when it ended, as the history has it unless the clock was set since then.
    ended = wall - now + outcome.ended_at
    return as_record(outcome, served.name, boottime=outcome.ended_at, wall=ended)


def event(
    served: ServedInterface, kind: str, text: str, code: str | None, outcome: Outcome | None, now: float, wall: float
) -> Mapping[str, object]:
    """An Event."""
    from holdfast.observe.outcomes import iso_time  # noqa: PLC0415

    return {
        "time": iso_time(wall), "interface": served.name, "kind": kind, "text": text, "state": served.snapshot().state,
        "code": code, "outcome": None if outcome is None else record(served, outcome, now, wall),
    }


def _network(spec: NetworkSpec) -> Mapping[str, object]:
    """A Network."""
    return {
        "address": str(spec.address),
        "routes": [str(route) for route in spec.routes],
        "dns": [str(server) for server in spec.dns],
        "search": list(spec.search),
        "mtu": spec.mtu,
        "ntp": [str(server) for server in spec.ntp],
        "captive_portal": spec.captive_portal,
        "notices": list(spec.notices),
    }
