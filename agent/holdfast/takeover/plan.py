"""The plan of a take-over: what is there, and what is to be done. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.core.lease import Lease
from holdfast.managers.model import Value
from holdfast.network.plan import Observed
from holdfast.network.spec import NetworkSpec, spec_from_lease
from holdfast.settings import SettingsError
from holdfast.settings.client import client_config
from holdfast.settings.dirs import search_guard_runtime_dirs
from holdfast.settings.model import InterfaceSettings, Settings
from holdfast.settings.schema import INTERFACE
from holdfast.takeover import adoption, capture, link_state
from holdfast.takeover.adapters import process
from holdfast.takeover.agent import Agent, unit_for
from holdfast.takeover.detection import ADAPTERS, CLIENTS, find_client
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, Command, ForeignLease, Found, Ownership, RenewalTrigger, SettingsSource
from holdfast.takeover.settings_override import SettingsOverride, check_default_route, override_settings


@dataclass(frozen=True)
class TakeoverTarget:
    """The interface of a take-over, and the agent's configuration and folders. ``dns_dir``: where the
    publisher of name servers keeps what it replaced; ``takeover_dir``: where the journal is. ``config``: the file that
    was named instead of the usual ones."""

    ifname: str
    settings: Settings
    state_dir: str
    runtime_dir: str
    dns_dir: str
    takeover_dir: str
    config: str | None = None


@dataclass(frozen=True)
class Plan:
    """One take-over, complete. ``lease`` is the foreign one, ``ours`` the same as the agent will have it (None when
    a part of it is yet to be learned on the wire: only in a dry run), ``settings`` are the agent's then."""

    target: TakeoverTarget
    adapter: Adapter
    found: Found
    lease: ForeignLease
    ours: Lease | None
    ownership: Ownership
    before: Observed
    agent_unit: str
    agent_enabled: bool
    settings: InterfaceSettings

    @property
    def spec(self) -> NetworkSpec:
        """What the agent will make of the lease."""
        assert self.ours is not None
        return _spec(self.ours, self.settings)


def require_own_folder(host: Host, target: TakeoverTarget) -> None:
    """TakeoverError when users other than root could replace our journal: it contains command lines that root runs."""
    found = host.weakness(target.takeover_dir, missing=True)
    if found:
        raise TakeoverError(
            f"{target.takeover_dir} can be written by others than root ({found}): it is not believed, and nothing was "
            "done"
        )


def _spec(lease: Lease, settings: InterfaceSettings) -> NetworkSpec:
    return spec_from_lease(
        lease, metric=settings.metric, use_mtu=settings.use_mtu, use_dns=settings.use_dns,
        use_routes=settings.use_routes, use_domains=settings.use_domains, use_ntp=settings.use_ntp,
        use_gateway=settings.use_gateway, dns=settings.dns, own_search=settings.search,
        use_domain_name=settings.use_domain_name, route_domains=settings.route_domains, edits=settings.option_edits,
        dotted_search=settings.dotted_search, router_routes=settings.router_routes,
        route_metrics=settings.route_metrics, address_label=settings.address_label,
        routes_to_dns=settings.routes_to_dns, routes_to_ntp=settings.routes_to_ntp, table=settings.route_table,
    )


def _checked(settings: Mapping[str, Value]) -> dict[str, Any]:
    """The overlay's settings as the agent will read them."""
    try:
        return {key: INTERFACE[key].check(list(value) if isinstance(value, tuple) else value)
                for key, value in settings.items()}
    except ValueError as error:
        raise TakeoverError(f"a setting of the former client's cannot be one of the agent's: {error}") from None


def make(
    host: Host, target: TakeoverTarget, *, foreground: bool, dry: bool = False, adapters: Sequence[Adapter] = ADAPTERS,
    holder: Callable[[], str] | None = None,
) -> Plan:
    """Find, read and check. Raises TakeoverError; nothing was changed then. ``dry``: send nothing on the wire
    either."""
    ifname = target.ifname
    host.link(ifname)
    if Agent(host, ifname, target.runtime_dir, "").serving:
        raise TakeoverError(f"Holdfast serves {ifname} already; see `holdfast status {ifname}`")
    adapter, found = find_client(host, ifname, adapters, holder)
    process.check_named(host, found)
    lease = adapter.read(host, found)
    if not dry:
        lease = _complete(host, target, adapter, found, lease)
    before = link_state.interesting(host.observe(ifname))
    held = next((held for held in before.addresses if held.interface.ip == lease.address.ip), None)
    if held is None:
        raise TakeoverError(
            f"{found.name} has a lease of {lease.address.ip} ({lease.source}), and {ifname} has no such address; "
            "nothing was changed. See what has taken it, and start that client anew"
        )
    lease = replace(lease, address=held.interface)
    ours = None if dry and lease.client_id is None else adoption.to_lease(lease, held, host.boottime())
    theirs = adapter.own(host, found, lease)
    target = replace(target, settings=target.settings.with_weaker(ifname, _checked(theirs.settings)))
    _check_settings(host, target, lease)
    if theirs.overlaid:
        override = SettingsOverride(target.settings.interface(ifname), None)
    else:
        decided = adapter.decided(host, found) if isinstance(adapter, SettingsSource) else {}
        override = override_settings(host, ifname, target.settings, lease, decided, before)
    if ours is not None:
        check_default_route(ifname, before, _spec(ours, override.settings))
    unit = "" if foreground else unit_for(
        host, target.settings, ifname, named=override.file is not None, listed=theirs.overlaid)
    if not foreground:
        _check_unit(host, unit, ifname)
    enabled = bool(unit) and host.unit_enabled(unit) == "enabled"
    volatile, persistent = theirs.volatile, theirs.persistent
    if override.file is not None:
        volatile = (override.file, *volatile)
    if unit and not enabled and not theirs.overlaid:
        # First, and undone last: after a power loss in between, two clients boot, and not none.
        persistent = (Command(("systemctl", "enable", unit), ("systemctl", "disable", unit)), *persistent)
    ownership = replace(theirs, volatile=volatile, persistent=persistent)
    return Plan(target, adapter, found, lease, ours, ownership, before, unit, enabled, override.settings)


def _complete(
    host: Host, target: TakeoverTarget, adapter: Adapter, found: Found, lease: ForeignLease
) -> ForeignLease:
    """Learn from guard or on the wire what is not known, and ask the server to confirm the lease before the client is
    stopped: most take-overs that would fail are refused here."""
    if lease.client_id is None:
        folders = search_guard_runtime_dirs(target.settings.runtime_dir)
        seen = capture.seen_by_guard(host, found.ifname, lease, folders)
        if seen is not None and capture.answered(host, found.ifname, seen):
            return seen
        # A manager's adapter leaves the asking to its client's.
        own = next((each for each in CLIENTS if each.name == found.client), adapter)
        return capture.complete(host, adapter if isinstance(adapter, RenewalTrigger) else own, found, lease)
    if not capture.answered(host, found.ifname, lease):
        raise TakeoverError(
            f"no server answered a REQUEST for {lease.address.ip} on {found.ifname}, so a take-over could not be "
            f"proven. Nothing was changed, {found.name} goes on; try again when the server is there"
        )
    return lease


def _check_settings(host: Host, target: TakeoverTarget, lease: ForeignLease) -> None:
    """The configuration must not ask for another client-id: that would be another lease."""
    if lease.client_id is None:
        return
    settings, link = target.settings.interface(target.ifname), host.link(target.ifname)
    try:
        config = client_config(settings, link.mac, link.htype, lease.client_id, ifname=target.ifname)
    except SettingsError as error:
        raise TakeoverError(str(error)) from None
    if (config.client_id or b"") != lease.client_id:
        raise TakeoverError(
            f"the configuration sets a client-id for {target.ifname} that is not the present client's "
            f"({lease.client_id.hex(':') or 'none'}): the server would give another address. Remove client_id (or "
            "anonymize) from the configuration; the present one is then kept"
        )


def _check_unit(host: Host, unit: str, ifname: str) -> None:
    if not unit:
        raise TakeoverError(f"there is no systemd to start the agent by; use `holdfast run {ifname} --takeover`")
    if host.run(["systemctl", "cat", unit]).status != 0:
        raise TakeoverError(
            f"{unit} is not installed; install Holdfast's package, or use `holdfast run {ifname} --takeover`"
        )
