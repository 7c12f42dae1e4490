"""What the kernel said about one namespace: every address, route and link message, with its time.

A raw rtnetlink socket (rtnetlink(7)), made inside the namespace and read by a thread, so that nothing
of the client's own netlink code is trusted to judge the client. Whoever looks at the story sees all that the kernel has
said until then: the look asks the kernel a question on the same socket, and waits until the thread has read the answer,
which is queued behind everything that was said before.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.witness.watch import NetlinkWitness

_KINDS = {
    16: "NEWLINK", 17: "DELLINK", 20: "NEWADDR", 21: "DELADDR", 24: "NEWROUTE", 25: "DELROUTE",
}
_MAIN_TABLE = 254
_FOREVER = 0xFFFFFFFF


class Change(NamedTuple):
    """One netlink message. ``at`` is CLOCK_BOOTTIME, taken when it was read.

    ``destination`` and ``gateway`` belong to routes, ``address`` and ``valid`` (seconds, None for
    ever) to addresses.
    """

    at: float
    kind: str
    index: int
    name: str | None = None
    address: IPv4Address | None = None
    length: int = 0
    valid: int | None = None
    destination: IPv4Network | None = None
    gateway: IPv4Address | None = None
    table: int = 0
    protocol: int = 0


def boottime() -> float:
    """The clock that the client's own records use."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Monitor(NetlinkWitness):
    """Listens from construction until ``close``. The story only ever grows."""

    def __init__(self, namespace: Namespace) -> None:
        self._changes: list[Change] = []
        self._trigger: tuple[Callable[[Change], bool], Callable[[], None]] | None = None
        super().__init__(namespace, "monitor")

    def when(self, condition: Callable[[Change], bool], action: Callable[[], None]) -> None:
        """Do ``action`` once, in the reading thread, at the next change for which ``condition`` holds."""
        self._trigger = (condition, action)

    @property
    def changes(self) -> list[Change]:
        """Everything that the kernel has said so far."""
        self.caught_up()
        return self._changes

    def mark(self) -> int:
        """A place in the story, for ``since``."""
        return len(self.changes)

    def lost_addresses(self, address: str, since: int = 0) -> list[Change]:
        """RTM_DELADDR of ``address``."""
        wanted = IPv4Address(address)
        return [c for c in self.changes[since:] if c.kind == "DELADDR" and c.address == wanted]

    def lost_routes(self, since: int = 0) -> list[Change]:
        """RTM_DELROUTE from the main table."""
        return [c for c in self.changes[since:] if c.kind == "DELROUTE" and c.table == _MAIN_TABLE]

    def given_routes(self, since: int = 0) -> list[Change]:
        """RTM_NEWROUTE in the main table."""
        return [c for c in self.changes[since:] if c.kind == "NEWROUTE" and c.table == _MAIN_TABLE]

    def given_addresses(self, address: str, since: int = 0) -> list[Change]:
        """RTM_NEWADDR of ``address``: one when it comes, one for each change of its lifetime."""
        wanted = IPv4Address(address)
        return [c for c in self.changes[since:] if c.kind == "NEWADDR" and c.address == wanted]

    def _take(self, data: bytes, at: float) -> None:
        offset = 0
        while offset + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, offset)
            body = data[offset + 16 : offset + length]
            name = _KINDS.get(kind)
            if name is not None:
                change = _decode(name, body, at)
                self._changes.append(change)
                if self._trigger is not None and self._trigger[0](change):
                    action = self._trigger[1]
                    self._trigger = None
                    action()
            offset += max(16, (length + 3) & ~3)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += max(4, (length + 3) & ~3)
    return found


def _decode(kind: str, body: bytes, at: float) -> Change:
    if kind.endswith("ADDR"):
        _, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
        found = _attributes(body[8:])
        valid = struct.unpack_from("=II", found[6])[1] if 6 in found else _FOREVER
        return Change(
            at, kind, index,
            address=IPv4Address(found.get(2) or found[1]), length=prefix,
            valid=None if valid == _FOREVER else valid,
        )
    if kind.endswith("ROUTE"):
        _, prefix, _, _, table, protocol = struct.unpack_from("=BBBBBB", body)
        found = _attributes(body[12:])
        index = struct.unpack("=I", found[4])[0] if 4 in found else 0
        return Change(
            at, kind, index,
            destination=IPv4Network((found.get(1, b"\0\0\0\0"), prefix)),
            gateway=IPv4Address(found[5]) if 5 in found else None,
            table=struct.unpack("=I", found[15])[0] if 15 in found else table,
            protocol=protocol,
        )
    _, _, index = struct.unpack_from("=BxHi", body)
    name = _attributes(body[16:]).get(3, b"").rstrip(b"\0").decode()
    return Change(at, kind, index, name=name)
