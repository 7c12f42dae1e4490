"""Settings of one interface -> what the protocol needs to know (core.config.ClientConfig)."""

from __future__ import annotations

import os

from holdfast.core.config import DEFAULT_REQUEST_LIST, ClientConfig
from holdfast.settings.model import InterfaceSettings, SettingsError
from holdfast.wire.options import FQDN, IPV6_ONLY
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

MACHINE_ID: Final = "/etc/machine-id"

#: RFC 4702 section 2.1.
_S, _E = 0x01, 0x04
#: RFC 4361: the type byte of a client-id that holds an IAID and a DUID.
_IAID_AND_DUID = b"\xff"
#: RFC 2131 section 3.3: a lease without an end.
_FOREVER: Final = 0xFFFFFFFF
#: RFC 6355: a DUID that is a UUID.
_DUID_UUID = b"\x00\x04"


def client_config(
    settings: InterfaceSettings,
    mac: bytes,
    htype: int = 1,
    stored_client_id: bytes | None = None,
    *,
    ifname: str = "",
    machine_id: str = MACHINE_ID,
) -> ClientConfig:
    """The protocol's settings for the interface ``ifname`` with hardware address ``mac`` of type ``htype``.

    ``stored_client_id`` is what the stored binding used (rule 8): the whole option 61, ``b""`` when
    it used none, or None when nothing is stored. Raises SettingsError when ``client_id`` is "duid" or
    "networkd" and this machine has no machine-id.
    """
    anonymize = settings.anonymize
    return ClientConfig(
        chaddr=mac,
        htype=htype,
        client_id=_client_id(settings, mac, htype, stored_client_id, machine_id, ifname),
        request_list=tuple(dict.fromkeys((
            *DEFAULT_REQUEST_LIST, *((IPV6_ONLY,) if settings.ipv6_only else ()), *settings.request
        ))),
        hostname=None if anonymize else _hostname(settings.hostname),
        vendor_class=None if anonymize else _encoded(settings.vendor_class),
        user_class=None if anonymize else _user_class(settings.user_class),
        broadcast_flag=settings.broadcast_flag,
        rapid_commit=settings.rapid_commit,
        anonymize=anonymize,
        acd=settings.acd,
        nak=settings.nak,
        on_expiry=settings.on_expiry,
        start_delay=settings.start_delay,
        discover_ceiling=settings.discover_ceiling,
        allow_servers=_networks(settings.allow_servers),
        deny_servers=_networks(settings.deny_servers),
        send=_sent(settings),
        required=settings.require,
        lease_time_limit=settings.lease_time_limit,
        default_lease_time=_lease_time(settings.default_lease_time),
    )


def _networks(texts: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    if not texts:
        return ()
    from holdfast.settings.checks import server_network  # noqa: PLC0415 - seldom wanted

    return tuple(map(server_network, texts))


def _sent(settings: InterfaceSettings) -> tuple[tuple[int, bytes], ...]:
    """Options 81 and those of ``send_options``."""
    if settings.fqdn is None and not settings.send_options:
        return ()
    from holdfast.settings.checks import sent_option  # noqa: PLC0415

    name = _hostname(settings.fqdn)
    return (*(() if name is None else ((FQDN, _fqdn(name)),)), *map(sent_option, settings.send_options))


def _fqdn(name: str) -> bytes:
    """Option 81 (RFC 4702 section 2): the server is to update DNS (S), the name is in the form of DNS (E)."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.lower().split("."))
    return bytes([_S | _E, 0, 0]) + labels + (b"\0" if "." in name else b"")  # one label: the server adds its domain


def _client_id(
    settings: InterfaceSettings, mac: bytes, htype: int, stored: bytes | None, machine_id: str, ifname: str
) -> bytes | None:
    from_mac = bytes([htype]) + mac
    wanted = settings.client_id
    if settings.anonymize:  # RFC 7844 section 3.5: made of the link-layer address in use now
        return from_mac
    if wanted is None:
        return from_mac if stored is None else stored or None
    if wanted == "none":
        return None
    if wanted == "mac":
        return from_mac
    if wanted == "duid":
        return _IAID_AND_DUID + mac[-4:].rjust(4, b"\0") + _DUID_UUID + _machine_uuid(machine_id)
    if wanted.startswith("networkd"):
        from holdfast.settings import networkd_client_id  # noqa: PLC0415 - seldom wanted

        which, _, of_link = wanted.partition("/")
        own = which.partition(":")[2]
        duid = networkd_client_id.link_duid(mac, htype) if of_link else None
        return networkd_client_id.client_id(mac, ifname, machine_id, int(own) if own else None, link_duid=duid)
    return bytes.fromhex(wanted)


def _machine_uuid(path: str) -> bytes:
    """16 bytes that identify this machine: a hash, because machine-id(5) must not be sent on a network."""
    import hashlib  # noqa: PLC0415 - 4 ms, and only for client_id = "duid"
    import hmac  # noqa: PLC0415

    try:
        with open(path, encoding="ascii") as file:
            key = bytes.fromhex(file.read().strip())
    except (OSError, ValueError) as error:
        raise SettingsError((f'client_id = "duid" needs a machine-id, and {path} has none ({error}); '
                             'use "mac", or run systemd-machine-id-setup',)) from None
    if len(key) != 16:
        raise SettingsError((f'client_id = "duid" needs a machine-id, and {path} has none yet; use "mac"',))
    return hmac.new(key, b"holdfast client-id", hashlib.sha256).digest()[:16]


def _hostname(wanted: str | None) -> str | None:
    return _system_name() if wanted == "@system" else wanted


def _system_name() -> str | None:
    """This machine's host name if it can be sent: the kernel accepts any bytes, and "localhost" is the name of an image
    that was never named."""
    from holdfast.settings.checks import hostname  # noqa: PLC0415 - regular expressions, and seldom wanted

    name = os.uname().nodename
    try:
        return None if name.split(".")[0] == "localhost" else hostname(name)
    except ValueError:
        return None


def _lease_time(seconds: int | None) -> float | None:
    return float("inf") if seconds == _FOREVER else seconds


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _user_class(texts: tuple[str, ...]) -> bytes | None:
    # RFC 3004 section 4: one or more instances, each behind its own length byte.
    return b"".join(bytes([len(text.encode())]) + text.encode() for text in texts) or None
