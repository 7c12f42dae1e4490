"""The text of a lease file: lease -> JSON, and back with every value checked.

The file is hostile input when read: it may be cut short, edited, from another version or another
machine. ``parse`` raises LeaseFileError and nothing else.

Instants are kept three ways: as CLOCK_BOOTTIME with the boot's id, which is exact on the same boot
whatever was done to the wall clock (rule 44), and as the wall clock's distance from it at the time
of writing, for after a reboot.

Imported only when there is a file to read or a lease to write.
"""

from __future__ import annotations

from math import inf

from holdfast import json_text
from holdfast.core.lease import UNICAST_EVERY, UNICAST_TRIES, Binding, Gateway, Lease, Server
from holdfast.state.folder import SIZE_LIMIT
from holdfast.state.identity import Identity
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

VERSION = 1
#: Seconds that bound every instant and duration that is not infinite: the longest finite lease has 2^32 - 2, and
#: counts from some time after the boot.
_LONGEST = 2.0**33


class LeaseFileError(ValueError):
    """The lease file is not valid; the text says why."""


class Stored(NamedTuple):
    """What a file holds. The lease has the instants of the boot ``boot_id``, at whose instant
    ``saved_at`` the wall clock showed ``saved_wall`` (Unix seconds)."""

    binding: Binding
    identity: Identity
    boot_id: str
    saved_at: float
    saved_wall: float


def render(stored: Stored) -> bytes:
    """The file's content."""
    lease, server, gateway, client_id = stored.binding
    document = {
        "version": VERSION,
        "identity": stored.identity._asdict(),
        "clock": {"boot_id": stored.boot_id, "boottime": stored.saved_at, "wall": stored.saved_wall},
        "client_id": client_id.hex(),
        "lease": {
            "address": str(lease.address),
            "server_id": None if lease.server_id is None else str(lease.server_id),
            "started_at": lease.started_at,
            "t1_at": _number(lease.t1_at),
            "t2_at": _number(lease.t2_at),
            "expires_at": _number(lease.expires_at),
            "lease_time": _number(lease.lease_time),
            "options": {str(code): value.hex() for code, value in sorted(lease.options.items())},
            "siaddr": str(lease.siaddr),
            "sname": lease.sname.hex(),
            "file": lease.file.hex(),
            "verified": lease.verified,
        },
        "path": None if server is None else {
            "server_id": str(server.server_id), "hears_unicast": server.hears_unicast, "srtt": server.srtt,
            "request_rtt": server.request_rtt, "unheard": server.unheard,
        },
        "gateway": None if gateway is None else {
            "address": str(gateway.address), "mac": gateway.mac.hex(":"),
        },
    }
    lines = ",\n".join(f" {json_text.dumps(key)}: {json_text.dumps(value)}" for key, value in document.items())
    return f"{{\n{lines}\n}}\n".encode()


def parse(data: bytes) -> Stored:
    """What ``data`` holds, every type and range checked. LeaseFileError when it is not a lease file of ours."""
    if len(data) > SIZE_LIMIT:
        raise LeaseFileError(f"larger than {SIZE_LIMIT} bytes")
    try:
        document = json_text.loads(data)
    except (ValueError, RecursionError) as error:
        raise LeaseFileError(f"not JSON: {error}") from None
    root = _Table(document, "the file")
    version = root.get("version", int)
    if version != VERSION:
        raise LeaseFileError(f"version {version}, and this program writes {VERSION}")
    identity, clock = root.table("identity"), root.table("clock")
    return Stored(
        Binding(_lease(root.table("lease")), _server(root), _gateway(root), root.bytes("client_id", 255)),
        Identity(identity.text("machine_id"), identity.text("product_uuid"), identity.text("mac")),
        clock.text("boot_id"),
        clock.seconds("boottime"),
        clock.seconds("wall"),
    )


def _lease(table: _Table) -> Lease:
    lease = Lease(
        address=table.address("address"),
        server_id=None if table.raw("server_id") is None else table.address("server_id"),
        # Negative after a reboot: before the start of this boot.
        started_at=table.seconds("started_at", low=-_LONGEST),
        t1_at=table.seconds("t1_at", low=-_LONGEST, infinite=True),
        t2_at=table.seconds("t2_at", low=-_LONGEST, infinite=True),
        expires_at=table.seconds("expires_at", low=-_LONGEST, infinite=True),
        lease_time=table.seconds("lease_time", infinite=True),
        options=_options(table.table("options")),
        siaddr=table.address("siaddr", unicast=False),
        sname=table.bytes("sname", 64),
        file=table.bytes("file", 128),
        verified=table.get("verified", bool),
    )
    if not lease.started_at <= lease.t1_at <= lease.t2_at <= lease.expires_at:
        raise LeaseFileError("its times are not in order")
    if lease.infinite != (lease.lease_time == inf) or (
        not lease.infinite and abs(lease.started_at + lease.lease_time - lease.expires_at) > 1.0
    ):
        raise LeaseFileError("its end is not its start and its duration")
    return lease


def _options(table: _Table) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    for key in table.names():
        if not (key.isascii() and key.isdigit() and len(key) <= 3 and 1 <= int(key) <= 254):
            raise LeaseFileError(f"{key[:20]!r} is not an option")
        options[int(key)] = table.bytes(key, 2048)
    return options


def _server(root: _Table) -> Server | None:
    """The last two keys are missing in files of 0.1.0, which are valid without them."""
    if root.raw("path") is None:
        return None
    table = root.table("path")
    return Server(
        table.address("server_id"),
        None if table.raw("hears_unicast") is None else table.get("hears_unicast", bool),
        None if table.raw("srtt") is None else table.seconds("srtt"),
        None if table.optional("request_rtt") is None else table.seconds("request_rtt"),
        table.count("unheard", UNICAST_TRIES + UNICAST_EVERY - 1) if table.optional("unheard") is not None else 0,
    )


def _gateway(root: _Table) -> Gateway | None:
    """The key is missing in files of 0.1.0, which are valid without it. A version that does not know it ignores it."""
    if root.optional("gateway") is None:
        return None
    table = root.table("gateway")
    text = table.text("mac")
    try:
        mac = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raise LeaseFileError("mac is not hex") from None
    if len(mac) != 6:
        raise LeaseFileError("mac is not six bytes")
    return Gateway(table.address("address"), mac)


def _number(value: float) -> float | None:
    """JSON has no infinity; null stands for it."""
    return None if value == inf else value


class _Table:
    """A JSON object whose every member is checked when it is read."""

    def __init__(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise LeaseFileError(f"{name} is not an object")
        self._value, self._name = value, name

    def names(self) -> list[str]:
        return list(self._value)

    def optional(self, key: str) -> Any:
        return self._value.get(key)

    def raw(self, key: str) -> Any:
        if key not in self._value:
            raise LeaseFileError(f"{self._name} has no {key}")
        return self._value[key]

    def get(self, key: str, kind: type) -> Any:
        value = self.raw(key)
        if type(value) is not kind:  # bool is an int, but not here
            raise LeaseFileError(f"{key} is not a {kind.__name__}")
        return value

    def count(self, key: str, limit: int) -> int:
        value = self.get(key, int)
        if not 0 <= value <= limit:
            raise LeaseFileError(f"{key} is out of range")
        return int(value)

    def table(self, key: str) -> _Table:
        return _Table(self.raw(key), key)

    def text(self, key: str) -> str:
        value = self.get(key, str)
        if len(value) > 128:
            raise LeaseFileError(f"{key} is too long")
        return str(value)

    def bytes(self, key: str, limit: int) -> bytes:
        text = self.get(key, str)
        try:
            value = bytes.fromhex(text)
        except ValueError:
            raise LeaseFileError(f"{key} is not hex") from None
        if len(value) > limit:
            raise LeaseFileError(f"{key} is longer than {limit} bytes")
        return value

    def address(self, key: str, *, unicast: bool = True) -> IPv4Address:
        text = self.get(key, str)
        try:
            value = IPv4Address(text)
        except ValueError:
            raise LeaseFileError(f"{key} is not an IPv4 address") from None
        # 0/8, 127/8, multicast and above are not addresses of hosts.
        if unicast and (not 0 < int(value) >> 24 < 224 or int(value) >> 24 == 127):
            raise LeaseFileError(f"{key} is not a host's address: {value}")
        return value

    def seconds(self, key: str, *, low: float = 0.0, infinite: bool = False) -> float:
        value = self.raw(key)
        if value is None and infinite:
            return inf
        if type(value) not in (int, float) or not low <= value <= _LONGEST:  # nan is neither
            raise LeaseFileError(f"{key} is out of range")
        return float(value)
