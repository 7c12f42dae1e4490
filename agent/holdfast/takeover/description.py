"""A plan as text for people: what `--dry-run` prints."""

from __future__ import annotations

import difflib
from math import inf

from holdfast.core.lease import Lease
from holdfast.escape import printable
from holdfast.takeover.host import Host
from holdfast.takeover.model import Change, FileChange, ForeignLease, Found, ListEntry
from holdfast.takeover.plan import Plan
from holdfast.wire import options as opt

_INDENT = " " * 14


def describe(host: Host, plan: Plan) -> list[str]:
    """Every step, every file with its new content, as escaped lines: names and contents come from other programs."""
    ifname, found = plan.target.ifname, plan.found
    rows = [("client", f"{found.name}: {found.evidence}"), *_lease_rows(plan.lease, plan.ours, host.boottime())]
    lines = [f"{name:<12}  {text}" for name, text in rows]
    start = f"start {plan.agent_unit}" if plan.agent_unit else "become the agent, in the foreground"
    learning = plan.lease.client_id is None
    steps: list[str] = [
        *([f"make {found.client} renew once, and hear on the wire what it sends (a dry run does not)"] if learning
          else ["ask the server once whether it confirms the lease (a dry run does not)"]),
        f"write the journal {plan.target.takeover_dir}/{ifname}.json",
        "arm the dead-man: everything is taken back by itself unless the take-over is confirmed",
        *_changes(host, plan.ownership.volatile),
        _stop(found),
        f"write the lease file {plan.target.state_dir}/{ifname}.lease.json",
        start,
        "renew the lease once, to prove it; else everything is taken back",
        *_changes(host, plan.ownership.persistent),
        "disarm the dead-man",
    ]
    lines += ["", *plan.ownership.lost] if plan.ownership.lost else []
    lines += ["", "Nothing was changed. A take-over would:"]
    lines += [f"{number:>4}. {step}" for number, step in enumerate(steps, 1)]
    return [printable(line) for text in lines for line in text.split("\n")]


def _stop(found: Found) -> str:
    """How the client is stopped. A manager of several interfaces is not killed: ``facts`` of its adapter say what is
    done."""
    if "lets_go_by" in found.facts:
        return f"make {found.manager} let go of {found.ifname}: {found.facts['lets_go_by']}"
    return f"stop {found.client} by SIGKILL: pid {', '.join(map(str, found.pids))}"


def _lease_rows(lease: ForeignLease, ours: Lease | None, now: float) -> list[tuple[str, str]]:
    rows = [("lease", f"{lease.address}, from {lease.source}")]
    if lease.server_id is not None:
        rows.append(("server", str(lease.server_id)))
    if ours is not None:
        rows.append(("times left", ", ".join(
            f"{name} {_left(instant - now)}"
            for name, instant in (("T1", ours.t1_at), ("T2", ours.t2_at), ("end", ours.expires_at))
        )))
    unknown = "not known yet"
    rows.append(("client-id", unknown if lease.client_id is None else lease.client_id.hex(":") or "none is sent"))
    if lease.vendor_class:
        rows.append(("vendor class", lease.vendor_class.decode("ascii", "backslashreplace")))
    if lease.hostname:
        rows.append(("host name", lease.hostname))
    for code, value in sorted(lease.options.items()):
        rows.append((f"option {code}", f"{value.hex()}  {opt.NAMES.get(code, '')}".rstrip()))
    return rows


def _left(seconds: float) -> str:
    return "never" if seconds == inf else f"{max(0.0, seconds):.0f} s"


def _changes(host: Host, changes: tuple[Change, ...]) -> list[str]:
    return [_change(host, each) for each in changes]


def _change(host: Host, change: Change) -> str:
    if isinstance(change, FileChange):
        return _file(host, change)
    if isinstance(change, ListEntry):
        return f"write {change.entry} into {change.path}"
    return f"run {' '.join(change.argv)}"


def _file(host: Host, change: FileChange) -> str:
    """The content of a new file, the difference of a changed one."""
    before = host.read(change.path)
    if change.content is None:
        return f"remove {change.path}"
    after = change.content.decode("utf-8", "replace").splitlines()
    if before is None:
        body, verb = after, "write"
    else:
        former = before.decode("utf-8", "replace").splitlines()
        body, verb = list(difflib.unified_diff(former, after, lineterm="", n=2))[2:], "change"
    head = f"{verb} {change.path} (mode {change.mode:04o})"
    return "\n".join([head, *(f"{_INDENT}{line}".rstrip() for line in body)])
