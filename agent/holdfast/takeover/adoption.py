"""Converts a foreign lease to the agent's lease file, so that the agent starts in BOUND and changes nothing."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace as replaced
from ipaddress import IPv4Interface
from math import inf

from holdfast.core.lease import Binding, Lease
from holdfast.core.replies import duration
from holdfast.network.plan import Address
from holdfast.state import folder as folders
from holdfast.state.identity import read_identity
from holdfast.state.lease_store import LeaseStore
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import ForeignLease
from holdfast.wire import options as opt


def to_lease(foreign: ForeignLease, held: Address, now: float) -> Lease:
    """The lease in the core's terms. ``held`` is its address as the kernel has it, whose lifetime is used,
    because steps of the wall clock do not change it. TakeoverError when the lease has ended."""
    asked = foreign.options.get(opt.LEASE_TIME)
    lasts = duration(int.from_bytes(asked, "big") if asked is not None and len(asked) == 4 else None)
    expires = now + held.valid if held.valid < inf else foreign.expires_at
    if expires == inf and lasts is not None and lasts < inf:
        expires = now + lasts  # a client that sets no lifetimes; the renewal that follows gives the right one
    if expires <= now:
        raise TakeoverError(f"the lease of {foreign.address.ip} has ended ({foreign.source}); start the client anew")
    if expires == inf:
        return _lease(foreign, min(foreign.started_at, now), (inf, inf, inf), inf)
    lasts = expires - min(foreign.started_at, now) if lasts is None or lasts == inf else max(lasts, 1.0)
    started = min(expires - lasts, now)
    expires = started + lasts
    shift = expires - foreign.expires_at if foreign.expires_at < inf else 0.0
    t2 = min(max(foreign.t2_at + shift, started), expires)
    t1 = min(max(foreign.t1_at + shift, started), t2)
    return _lease(foreign, started, (t1, t2, expires), lasts)


def _lease(foreign: ForeignLease, started: float, times: tuple[float, float, float], lasts: float) -> Lease:
    options = dict(foreign.options)
    options.setdefault(opt.SUBNET_MASK, foreign.address.netmask.packed)
    options = {code: value for code, value in options.items() if len(value) <= 2048}
    return Lease(foreign.address.ip, foreign.server_id, started, *times, lasts, options)


def from_lease(lease: Lease, foreign: ForeignLease) -> ForeignLease:
    """The agent's lease as a ForeignLease; client-id, class and names of the client stay as they were."""
    mask = lease.options.get(opt.SUBNET_MASK, b"")
    length = bin(int.from_bytes(mask, "big")).count("1") if len(mask) == 4 else foreign.address.network.prefixlen
    return replaced(
        foreign, address=IPv4Interface((lease.address, length)), server_id=lease.server_id or foreign.server_id,
        started_at=lease.started_at, t1_at=lease.t1_at, t2_at=lease.t2_at, expires_at=lease.expires_at,
        options=lease.options, source="the agent's lease file",
    )


def store(host: Host, state_dir: str, ifname: str, say: Callable[[int, str], None]) -> LeaseStore:
    """The agent's own lease file."""
    identity = read_identity(host.mac(ifname))
    return LeaseStore(host.path(state_dir), ifname, identity, host, say)


def write(host: Host, state_dir: str, ifname: str, lease: Lease, client_id: bytes) -> None:
    """Write ``lease`` as the agent would, for the agent's user."""
    file = store(host, state_dir, ifname, lambda _priority, _text: None)
    try:
        file.save(Binding(lease, client_id=client_id))  # a new file, which goes to the folder's owner
    except OSError as error:
        raise TakeoverError(f"the lease file {file.path} cannot be written: {error.strerror}") from None


def prepare_folder(host: Host, state_dir: str) -> None:
    """Create the state folder for the daemon's user, before the daemon's first start."""
    real = host.path(state_dir)
    try:
        folders.make(real)
        with suppress(KeyError):
            user = pwd.getpwnam(folders.AGENT_USER)
            if host.systemd:
                folders.give(real, user.pw_uid, user.pw_gid)
    except OSError as error:
        raise TakeoverError(f"{state_dir} cannot be made: {error.strerror}; run as root") from None


def remembered(host: Host, state_dir: str, ifname: str) -> Binding | None:
    """The binding that the agent last stored, None when there is none that can be used."""
    return store(host, state_dir, ifname, lambda _priority, _text: None).load()


def forget(host: Host, state_dir: str, ifname: str) -> None:
    """Remove the agent's lease file: another client has the lease now."""
    with suppress(OSError):
        store(host, state_dir, ifname, lambda _priority, _text: None).forget()
