"""Carrying out a plan and reading back what came of it: the same for the kernel and for the fake.

The order is promise 5: whatever is to be there is there before anything goes. When something could not
be added, nothing is removed; the error is told, and trying again does the rest.
"""

from __future__ import annotations

import errno
from math import inf
from typing import Protocol

from holdfast.network import KernelError
from holdfast.network.ops import AddRoute, DeleteAddress, DeleteRoute, Observed, Op, PutAddress, SetMtu
from holdfast.network.plan import missing, plan, plan_removal, wanted_address
from holdfast.network.spec import NetworkSpec, Route


class Port(Protocol):
    """What carrying out needs of a kernel. Every method raises KernelError."""

    def observe(self) -> Observed: ...
    def promote(self) -> None: ...
    def perform(self, op: Op) -> None: ...


def apply(
    port: Port, desired: NetworkSpec, former: NetworkSpec | None, now: float, *, keep: bool = False
) -> tuple[str, ...]:
    """Make it so; see ``Kernel.apply``."""
    observed, notices = _observe_promoting(port)
    refused: list[Route] = []
    failures: list[KernelError] = []
    for op in plan(observed, desired, former, now, keep=keep):
        if failures and isinstance(op, (DeleteRoute, DeleteAddress)):
            break
        try:
            port.perform(op)
        except KernelError as error:
            if isinstance(op, SetMtu):
                notices.append(f"{error}: the link keeps {observed.mtu}")
            elif isinstance(op, AddRoute) and error.errno == errno.EINVAL:
                # The kernel finds it nonsensical, and will again: the rest of the lease is fine.
                refused.append(op.route)
                notices.append(str(error))
            elif isinstance(op, PutAddress) and op.address.interface == desired.address:
                raise  # without it no route can be added either
            else:
                failures.append(error)
    if failures:
        why = "" if observed.up else "the link is down: "
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise KernelError(f"{why}{failures[0]}{others}", failures[0].errno)
    absent = _absent(port, desired, refused, now)
    if absent:
        raise KernelError(f"read back after applying, not there: {', '.join(absent)}")
    return tuple(notices)


def refresh(port: Port, spec: NetworkSpec, now: float) -> bool:
    """Move the address's lifetimes; see ``Kernel.refresh``. One without an end is an administrator's own."""
    observed = port.observe()
    held = observed.find(spec.address)
    if held is not None and held.valid < inf:
        port.perform(PutAddress(wanted_address(observed, spec, now)))
    return held is not None


def remove(port: Port, spec: NetworkSpec, *, yielded: bool = False) -> None:
    """Take it away; see ``Kernel.remove``. Goes on after an error, and raises the first."""
    observed, _ = _observe_promoting(port)
    held = observed.find(spec.address)
    if yielded and held is not None and held.valid == inf and spec.valid_until < inf:
        return  # made permanent by the administrator: see refresh
    _perform_all(port, plan_removal(observed, spec))
    if port.observe().find(spec.address) is not None:
        raise KernelError(f"read back after removing, still there: address {spec.address}")


def _perform_all(port: Port, ops: list[Op]) -> None:
    failures: list[KernelError] = []
    for op in ops:
        try:
            port.perform(op)
        except KernelError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _observe_promoting(port: Port) -> tuple[Observed, list[str]]:
    """What is there, promote_secondaries switched on: from now on no removal of ours, and no expiry in
    the kernel after our death, takes a neighbour's address along (rule 58)."""
    observed = port.observe()
    if observed.promotes:
        return observed, []
    try:
        port.promote()
        observed = port.observe()
    except KernelError as error:
        return observed, [f"{error}: addresses are swapped by hand instead"]
    if observed.promotes:
        return observed, []
    return observed, ["promote_secondaries does not stay on: addresses are swapped by hand instead"]


def _absent(port: Port, desired: NetworkSpec, refused: list[Route], now: float) -> list[str]:
    absent = missing(port.observe(), desired, now)
    excused = {f"route {route}" for route in refused}
    return [what for what in absent if what not in excused]
