"""Send frames at a steady rate; a script of its own, so that it takes no processor time from the lab server's thread.

Arguments: link, packets per second, seconds. Standard input: one frame per line, hexadecimal, sent in turn.
Standard output: how many were sent, and in how many seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import time


def main() -> None:
    """Send bursts of one millisecond each; when the machine is too slow for the rate, send as fast as it can."""
    link, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    frames = itertools.cycle([bytes.fromhex(line) for line in sys.stdin])
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((link, 0))
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate) - sent
            for _ in range(min(due, 1000)):
                with contextlib.suppress(BlockingIOError, OSError):  # a full queue is the receiver's affair
                    out.send(next(frames))
                sent += 1
            if due < 1000:
                time.sleep(0.001)
        print(sent, time.monotonic() - began)


if __name__ == "__main__":
    main()
