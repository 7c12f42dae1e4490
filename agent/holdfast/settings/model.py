"""The settings as records, with their defaults; those of the protocol are ``core.config``'s.

NamedTuples, not dataclasses: this module is imported before the first DISCOVER. What each key
means and allows is in ``schema.py``, which the configuration reader and ``holdfast config`` use.
"""

from __future__ import annotations

from holdfast.core.config import ClientConfig
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: The protocol's own defaults, with a placeholder as hardware address.
_PROTOCOL = ClientConfig(chaddr=b"")


class SettingsError(Exception):
    """One or more settings are wrong. ``problems`` holds a line for each: ``FILE: key a.b.c: what``."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@record
class InterfaceSettings(NamedTuple):
    """What can differ from interface to interface: ``[defaults]`` and ``[interfaces.NAME]``.

    ``client_id`` None means: the one stored with the lease, else "mac". ``user_class`` and
    ``vendor_class`` are texts; ``request`` adds option numbers to those that are always asked
    for. ``metric`` None: chosen so that no two interfaces have the same. Durations are seconds.
    """

    client_id: str | None = None
    hostname: str | None = None
    vendor_class: str | None = None
    user_class: tuple[str, ...] = ()
    request: tuple[int, ...] = ()
    fqdn: str | None = None
    send_options: tuple[str, ...] = ()
    allow_servers: tuple[str, ...] = ()
    deny_servers: tuple[str, ...] = ()
    require: tuple[int, ...] = ()
    lease_time_limit: int | None = None
    default_lease_time: int | None = None
    fallback_address: str | None = None
    fallback_gateway: str | None = None
    fallback_after: float = 60.0
    metric: int | None = None
    subnet_metric: int | None = None
    route_table: int | None = None
    router_routes: tuple[str, ...] = ()
    route_metrics: tuple[str, ...] = ()
    address_label: str | None = None
    use_routes: bool = True
    use_dns: bool = True
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    use_mtu: bool = True
    use_domains: bool = True
    use_domain_name: bool = False
    dotted_search: bool = False
    route_domains: bool = False
    routes_to_dns: bool = False
    routes_to_ntp: bool = False
    option_edits: tuple[str, ...] = ()
    use_ntp: bool = True
    use_gateway: bool = True
    acd: str = _PROTOCOL.acd
    nak: str = _PROTOCOL.nak
    on_expiry: str = _PROTOCOL.on_expiry
    ipv6_only: bool = False
    rapid_commit: bool = _PROTOCOL.rapid_commit
    broadcast_flag: bool = _PROTOCOL.broadcast_flag
    anonymize: bool = _PROTOCOL.anonymize
    start_delay: bool = _PROTOCOL.start_delay
    discover_ceiling: float = _PROTOCOL.discover_ceiling
    wait_for: str = ""


@record
class GuardSettings(NamedTuple):
    """``[guard]``: ``holdfast guard`` and holdfast-guard.service. No ``interfaces`` are all of them."""

    interfaces: tuple[str, ...] = ()
    rebroadcast: bool = False
    nflog_group: int = 6867
    metrics_dir: str | None = None


@record
class Settings(NamedTuple):
    """Everything that was configured; ``Settings()`` is an agent without a configuration file.

    The first fields are ``[agent]``, ``guard`` is ``[guard]``. ``interfaces`` are the tables of exact names in the
    administrator's own files; such a link is served. ``tables`` are all tables that apply to links, from the weakest to
    the strongest: a name or pattern, and its keys. ``files`` were read, in order; ``origins`` maps a dotted key to the
    file that set it. ``warnings``: files of the overlay that cannot be used, a line each.
    """

    state_dir: str | None = None
    runtime_dir: str | None = None
    serve: tuple[str, ...] = ()
    hooks_dir: str | None = None
    metrics_dir: str | None = None
    control_group: str | None = None
    log: str = "auto"
    log_level: str = "info"
    guard: GuardSettings = GuardSettings()
    defaults: InterfaceSettings = InterfaceSettings()
    interfaces: Mapping[str, InterfaceSettings] = {}
    tables: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    files: tuple[str, ...] = ()
    origins: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()

    @property
    def log_priority(self) -> int:
        """The highest syslog priority that is written to stderr."""
        return 7 if self.log_level == "debug" else 6

    def interface(self, name: str) -> InterfaceSettings:
        """The settings of one interface, configured by its name, by a pattern, or not at all."""
        if name in self.interfaces or not self.tables:
            return self.interfaces.get(name, self.defaults)
        return self._resolved(name)

    def with_weaker(self, name: str, keys: Mapping[str, Any]) -> Settings:
        """The same, with ``keys`` for the link ``name`` where nothing else sets them."""
        if not keys:
            return self
        weaker = self._replace(tables=((name, keys), *self.tables))
        if name not in self.interfaces:
            return weaker
        return weaker._replace(interfaces={**self.interfaces, name: weaker._replace(interfaces={}).interface(name)})

    def _resolved(self, name: str) -> InterfaceSettings:
        from fnmatch import fnmatchcase  # noqa: PLC0415 - only with tables

        keys: dict[str, Any] = {}
        for fits, table in self.tables:
            if fits == name or fnmatchcase(name, fits):
                keys.update(table)
        return InterfaceSettings(**keys)
