"""Kernel filters (classic BPF) on sockets, without ctypes: it would cost 4 ms before the first DISCOVER."""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER
import struct

from holdfast.wire.frame import Instruction, pack_filter
from holdfast.wire.lean import array

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h

#: ``ret 0``: the socket is there, but no packet ever waits in it.
DROP_ALL: list[Instruction] = [(0x06, 0, 0, 0)]


def attach(sock: socket.socket, program: list[Instruction]) -> None:
    """Let only packets for which ``program`` returns non-zero into ``sock``; replaces a former program. Raises
    OSError."""
    code = array("B", pack_filter(program))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }; the kernel copies the program.
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), code.buffer_info()[0]))


def arp_claims(mac: bytes, addresses: tuple[bytes, ...]) -> list[Instruction]:
    """For a SOCK_DGRAM socket on ETH_P_ARP: packets not sent by ``mac`` that claim one of ``addresses``
    (sender's protocol address, offset 14), or probe for one (sender's 0, target's at 24).

    ARP is the most frequent broadcast on most networks; without this every packet would wake us.
    """
    word, half, equal = 0x20, 0x28, 0x15  # BPF_LD|BPF_W|BPF_ABS, BPF_LD|BPF_H|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K
    count = len(addresses)
    drop = 7 + 2 * count
    accept = drop + 1

    def test(line: int, value: bytes, true: int, false: int) -> Instruction:
        return equal, true - line - 1, false - line - 1, int.from_bytes(value, "big")

    def accept_any(line: int) -> list[Instruction]:
        return [test(line + i, address, accept, line + i + 1) for i, address in enumerate(addresses)]

    return [
        (word, 0, 0, 8),  # the sender's hardware address, in two parts
        test(1, mac[:4], 2, 4),
        (half, 0, 0, 12),
        test(3, mac[4:6], drop, 4),
        (word, 0, 0, 14),
        *accept_any(5),
        test(5 + count, bytes(4), 6 + count, drop),
        (word, 0, 0, 24),
        *accept_any(7 + count),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFF),
    ]
