"""A small interpreter of classic BPF: the instructions that wire.frame uses, and no others."""

from __future__ import annotations


def run(program: list[tuple[int, int, int, int]], packet: bytes) -> int:
    """How many bytes of ``packet`` the kernel would pass on: 0 is a refusal, as is a load past the end."""
    accumulator = index = position = 0
    try:
        while True:
            code, if_true, if_false, k = program[position]
            position += 1
            if code in (0x30, 0x50):  # A = one byte at k, or at X + k
                accumulator = packet[k + (index if code == 0x50 else 0)]
            elif code == 0x40:  # A = four bytes at X + k
                at = k + index
                packet[at + 3]  # the last byte must be there
                accumulator = int.from_bytes(packet[at:at + 4], "big")
            elif code in (0x28, 0x48):  # A = two bytes at k, or at X + k
                at = k + (index if code == 0x48 else 0)
                accumulator = packet[at] << 8 | packet[at + 1]
            elif code == 0xB1:  # X = 4 * (low half of the byte at k)
                index = 4 * (packet[k] & 0x0F)
            elif code == 0x54:
                accumulator &= k
            elif code == 0x15:
                position += if_true if accumulator == k else if_false
            elif code == 0x45:
                position += if_true if accumulator & k else if_false
            elif code == 0x06:
                return k
            else:
                raise AssertionError(f"instruction {code:#x} is not known here")
    except IndexError:
        return 0
