"""Starts with whatever lease file there is, and an address that an earlier agent left in the kernel (promises 2, 3)."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.core.config import ClientConfig
from holdfast.core.lease import Binding, Gateway, Lease
from holdfast.core.schedule import HOLD_LIFETIME
from holdfast.network.spec import spec_from_lease
from holdfast.runtime.interface import Interface
from holdfast.state.identity import Identity
from holdfast.state.lease_store import LeaseStore
from holdfast_lab.testbed.virtual_host import MAC, NETWORK, NO_CARRIER, OURS, SERVER, Host

CLIENT_ID = b"\x01" + MAC
IDENTITY = Identity("a" * 32, "", MAC.hex(":"))
GATEWAY_MAC = bytes.fromhex("0200000000fe")
#: Seconds by which a kernel's whole seconds and a file's end may differ.
ROUNDING = 2.0

files = st.fixed_dictionaries({
    "fate": st.sampled_from(["whole", "whole", "whole", "cut", "newer", "gone", "gone with its client-id"]),
    "ours": st.sampled_from([True, True, True, False]),  # of the address that is there, or of another
    "lease_time": st.sampled_from([20.0, 120.0, 3600.0, inf]),
    "age": st.floats(0.0, 1.2),  # of its duration
    "boot": st.sampled_from(["this", "this", "another", "unknown"]),
    "clock": st.sampled_from([0.0, 0.0, -86400.0, -30.0, 30.0, 86400.0]),  # set since then
    "gateway": st.booleans(),
})
kernels = st.one_of(st.floats(3.0, 4000.0), st.just(inf))
hosts = st.fixed_dictionaries({
    "acd": st.sampled_from(["optimistic", "strict", "off"]),
    "on_expiry": st.sampled_from(["remove", "remove", "hold"]),
    "carrier": st.sampled_from([True, True, False]),
    "gateway_answers": st.booleans(),
})
#: Seconds after which the server answers; it knows the address as ours.
servers = st.one_of(st.just(inf), st.floats(0.0, 600.0))


class Start:
    """An agent's start on a machine where an earlier one left a file and an address, each with an end of its own."""

    def __init__(self, file: dict[str, Any], left: float, how: dict[str, Any]) -> None:
        config = ClientConfig(chaddr=MAC, client_id=CLIENT_ID, acd=how["acd"], on_expiry=how["on_expiry"])
        self.host = host = Host(config=config)
        self.began = host.clock.now
        self.boot_id = Path(host.folder, "boot_id")
        self._leave_file(file)
        self.stored = self.store().load() if file["fate"] == "whole" else None
        self._leave_address(left)
        assert host.link is not None
        host.link = host.link if how["carrier"] else host.link._replace(flags=NO_CARRIER)
        host.gateway_mac = GATEWAY_MAC if how["gateway_answers"] else None
        host.interface = Interface("eth0", host.loop, host.notes, host.deps()._replace(store=lambda _: self.store()))

    def store(self) -> LeaseStore:
        """The lease file as an agent that starts has it."""
        return LeaseStore(self.host.folder, "eth0", IDENTITY, self.host.clock, self.host.notes.line,
                          boot_id_path=str(self.boot_id))

    def _leave_file(self, file: dict[str, Any]) -> None:
        clock, duration = self.host.clock, file["lease_time"]
        passed = file["age"] * (1000.0 if duration == inf else duration)
        self.boot_id.write_text("b" * 32)
        clock.now -= min(passed, clock.now)  # a lease that is older began before the boot
        address = OURS if file["ours"] else OURS + 1
        times = (clock.now + duration * share for share in (0.5, 0.875, 1.0))
        lease = Lease(address, SERVER, clock.now, *times, duration, NETWORK)
        gateway = Gateway(SERVER, GATEWAY_MAC) if file["gateway"] else None
        store = self.store()
        store.save(Binding(lease, gateway=gateway, client_id=CLIENT_ID))
        clock.now += passed
        clock.stepped += file["clock"]
        self.boot_id.write_text({"this": "b" * 32, "another": "c" * 32, "unknown": ""}[file["boot"]])
        path, client_id = Path(store.path), Path(self.host.folder, "eth0.client-id")
        if file["fate"] == "cut":
            path.write_bytes(path.read_bytes()[:-40])
        elif file["fate"] == "newer":
            path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 9'))
        elif file["fate"] != "whole":
            path.unlink()
        if file["fate"].endswith("client-id"):
            os.unlink(client_id)

    def _leave_address(self, left: float) -> None:
        host, now = self.host, self.host.clock.now
        lease = Lease(OURS, SERVER, now, *(now + left * share for share in (0.5, 0.875, 1)), left, NETWORK)
        host.kernel.apply(spec_from_lease(lease), None, now)
        host.addresses_on_link = {OURS}
        self.began, self.ends = now, now + left

    def run(self, until: float, server_answers: float) -> None:
        """Start, and look a few times a minute, until an instant, whether the address is there."""
        host, answers_at = self.host, self.began + server_answers
        host.server.silent = True
        host.interface.begin()
        while host.clock.now < until:
            host.server.silent = host.clock.now < answers_at
            host.loop.run(min(7.0, until - host.clock.now))
            host.kernel.tick(host.clock.now)
            assert host.addresses == [OURS], f"{host.clock.now - self.began:.1f} s: {host.notes.lines[-3:]}"
            assert host.kernel.deleted_addresses == []


@given(file=files, left=kernels, how=hosts, server_answers=servers)
def test_an_address_stays_for_as_long_as_the_kernel_has_it(
    file: dict[str, Any], left: float, how: dict[str, Any], server_answers: float
) -> None:
    """Promise 2: whatever the file says, nothing that was heard ends the address before its own lifetime does."""
    start = Start(file, left, how)
    unsure = ROUNDING + (HOLD_LIFETIME if how["on_expiry"] == "hold" else 0.0)  # the last of it may be a held address
    start.run(min(start.ends, start.began + 5000.0) - unsure, server_answers)


@given(file=files, left=st.floats(3.0, 4000.0), how=hosts)
def test_an_address_goes_when_both_its_lifetime_and_its_lease_have_ended(
    file: dict[str, Any], left: float, how: dict[str, Any]
) -> None:
    """Promise 3: without a server, nothing of what a start finds makes an address last longer than it says."""
    start = Start(file, left, {**how, "on_expiry": "remove"})
    host = start.host
    ends = start.ends
    if start.stored is not None and start.stored.lease.address == OURS:
        ends = max(ends, start.stored.lease.expires_at)
    host.server.silent = True
    host.interface.begin()
    host.loop.run(min(ends, start.began + 8000.0) + 1.0 - host.clock.now)
    host.kernel.tick(host.clock.now)
    assert (OURS in host.addresses) == (ends > host.clock.now), f"{host.clock.now - start.began:.1f} s"
