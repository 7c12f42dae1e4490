"""What the scenarios share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from holdfast_lab.testbed.stage import LINK, Stage
from holdfast_lab.witness.exchanges import renewals
from holdfast_lab.witness.wirelog import Seen


def ack(seen: Seen) -> bool:
    """An ACK that reached the wire."""
    return seen.kind == "ACK" and not seen.note.startswith("lost")


def wait_acks(stage: Stage, count: int, timeout: float = 25) -> Seen:
    """The ``count``-th ACK of the run."""
    return stage.server.wire.wait_for(ack, timeout, count=count)


def assert_kept(stage: Stage, *promises: int, probes: int = 20, **options: Any) -> None:
    """Every promise that could be judged was kept, and those named were judged; at least ``probes`` were asked."""
    stage.wait_until(lambda: asked(stage) >= probes, 10)
    findings = stage.findings(**options)
    broken = [f"promise {finding.promise}: {finding.text}" for finding in findings if not finding.kept]
    assert not broken, "\n".join(broken)
    assert set(promises) <= {finding.promise for finding in findings}


def asked(stage: Stage) -> int:
    """How many probes of the client's addresses have been decided."""
    return sum(len(stage.prober.probes(address)) for address in stage.server.given)


def removals(stage: Stage) -> list[str]:
    """The addresses that were removed from the client's link, in order."""
    return [event.what for event in stage.watch.events("address-") if event.ifindex == stage.ifindex]


def wait_record(stage: Stage, result: str, timeout: float = 15) -> dict[str, Any]:
    """The first record with that result; polls the journal file, which the client writes after the wire."""
    return stage.wait_until(lambda: next((r for r in stage.records() if r["result"] == result), None), timeout)


def wait_stored(stage: Stage, wanted: Callable[[dict[str, Any]], object] = bool) -> None:
    """The lease file is there and as ``wanted``: a client that is killed now remembers that. A slow disk is not waited
    for, so the record may come before it."""
    path = stage.client.directory / "state" / f"{LINK}.lease.json"
    stage.wait_until(lambda: path.exists() and wanted(json.loads(path.read_text(encoding="utf-8"))), 15, "it is stored")


def wait_unicast(stage: Stage, count: int) -> None:
    """So many renewals were over by unicast. The server is a thread of the test: when it gets no processor for a
    quarter of a second, it is asked by broadcast, too."""
    stage.wait_until(lambda: sum(renewal.by_unicast for renewal in renewals(stage.wire())) >= count, 30,
                     f"{count} renewals by unicast")


def wait_control(stage: Stage) -> None:
    """Commands are answered: the lease comes before the socket."""
    stage.wait_until(lambda: stage.command("status", LINK).returncode == 0, 15, "the client can be asked")
