"""An IPv4 address, without ``import ipaddress``: its constants alone take as long as our whole protocol, and what it
imports twice that. To a type checker it is the real one, and it equals the real one; networks are those of
``ipaddress``, which take either. See docs/decisions/0002.
"""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address
else:
    from _socket import AF_INET, inet_ntop, inet_pton

    class IPv4Address:
        """ipaddress.IPv4Address as far as this package uses it: of a number, four bytes, or text. ValueError."""

        __slots__ = ("_ip",)
        version = _version = 4  # what ipaddress looks at in what it compares or contains
        max_prefixlen = 32

        def __init__(self, address):
            if isinstance(address, int):
                if not 0 <= address <= 0xFFFFFFFF:
                    raise ValueError(f"{address} is not an IPv4 address")
                self._ip = address
            elif isinstance(address, bytes):
                if len(address) != 4:
                    raise ValueError(f"{address!r} is not an IPv4 address: it has not four bytes")
                self._ip = int.from_bytes(address, "big")
            else:
                self._ip = _parsed(str(address))

        @property
        def packed(self):
            """Its four bytes."""
            return self._ip.to_bytes(4, "big")

        def __int__(self):
            return self._ip

        def __eq__(self, other):
            try:
                return self._ip == other._ip and other.version == 4
            except AttributeError:
                return NotImplemented

        def __lt__(self, other):
            return self._ip < int(other)

        def __gt__(self, other):
            return self._ip > int(other)

        def __hash__(self):
            return hash(hex(self._ip))  # as ipaddress does it

        def __str__(self):
            return inet_ntop(AF_INET, self.packed)

        def __repr__(self):
            return f"IPv4Address('{self}')"

        def __format__(self, spec):
            return format(str(self), spec)

        def __reduce__(self):
            return IPv4Address, (self._ip,)

    def _parsed(text):
        try:
            return int.from_bytes(inet_pton(AF_INET, text), "big")
        except (OSError, ValueError):  # ValueError: a NUL, or a surrogate
            raise ValueError(f"{text!r} is not an IPv4 address") from None


__all__ = ["IPv4Address"]
