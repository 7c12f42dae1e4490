"""Is the address there? Asked twenty times a second from another machine's point of view.

Echo requests (ICMP) from the server's namespace: an answer means that the client's address and
its route back are both in place.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading

from tests.support.monitor import boottime

from holdfast_lab.testbed.fair_time import FairTimer, Stopwatch
from holdfast_lab.testbed.netns import Namespace

_INTERVAL = 0.05
#: An answer that takes longer is a miss, in fair seconds. On an idle machine it takes 0.1 ms.
_PATIENCE = 2.0


class Probe:
    """RenewalTrigger ``addresses`` from construction until ``finish``; ``missed`` says which went unanswered."""

    def __init__(self, namespace: Namespace, *addresses: str) -> None:
        self.addresses = addresses
        self.sent: dict[int, tuple[float, str]] = {}
        self.answered: dict[int, float] = {}
        self._identifier = threading.get_native_id() & 0xFFFF
        self._socket = namespace.run(
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        )
        self._socket.setblocking(False)
        self._wake_reader, self._wake_writer = os.pipe()
        self._finishing: FairTimer | None = None
        self.watch = Stopwatch(os.getpid())
        self._thread = threading.Thread(target=self._work, name="probe", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Send no more, and wait until everything is answered, or for ``_PATIENCE`` fair seconds."""
        if self._thread.is_alive():
            os.write(self._wake_writer, b"x")
            self._thread.join()
            self._socket.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)

    def answering(self, address: str) -> bool:
        """True when a question of the last half second was answered."""
        now = boottime()
        recent = list(self.answered.items())[-40:]
        return any(self.sent[number][1] == address and now - at < 0.5 for number, at in recent)

    def asked(self, address: str, start: float = 0.0, end: float = float("inf")) -> list[float]:
        """When ``address`` was asked, between two instants of CLOCK_BOOTTIME."""
        return [at for at, asked in list(self.sent.values()) if asked == address and start <= at <= end]

    def missed(self, address: str, start: float = 0.0, end: float = float("inf")) -> list[float]:
        """The instants of the questions that nobody answered. Call ``finish`` first."""
        return [
            at
            for number, (at, asked) in list(self.sent.items())
            if asked == address and number not in self.answered and start <= at <= end
        ]

    def gaps(self, address: str) -> list[float]:
        """The instants of unanswered questions to ``address`` between two that were answered. Call ``finish`` first."""
        asked = [(at, number in self.answered) for number, (at, to) in list(self.sent.items()) if to == address]
        answered = [at for at, heard in asked if heard]
        return [at for at, heard in asked if not heard and answered and answered[0] < at < answered[-1]]

    def silent(self) -> list[float]:
        """The instants at which all addresses were asked and none answered. Call ``finish`` first."""
        rounds: dict[int, list[int]] = {}
        for number in list(self.sent):
            rounds.setdefault(number // len(self.addresses), []).append(number)
        return [self.sent[numbers[0]][0] for numbers in rounds.values() if not self.answered.keys() & set(numbers)]

    def _work(self) -> None:
        next_at = boottime()
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while True:
                now = boottime()
                if self._finishing is not None:
                    if len(self.answered) == len(self.sent) or self._finishing.over():
                        return
                    next_at = now + _INTERVAL
                elif now >= next_at:
                    self._ask()
                    next_at = max(next_at + _INTERVAL, now)
                for key, _ in selector.select(max(0.0, next_at - boottime())):
                    if key.fileobj is self._socket:
                        self._hear()
                    else:
                        selector.unregister(self._wake_reader)
                        self._finishing = FairTimer(_PATIENCE)

    def _ask(self) -> None:
        for address in self.addresses:
            number = len(self.sent) & 0xFFFF
            header = struct.pack("!BBHHH", 8, 0, 0, self._identifier, number)
            total = sum(struct.unpack("!4H", header))
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            packet = header[:2] + struct.pack("!H", checksum) + header[4:]
            self.sent[number] = (boottime(), address)
            try:
                self._socket.sendto(packet, (address, 0))
            except OSError:
                continue  # counts as missed: it was asked and cannot be answered

    def _hear(self) -> None:
        try:
            packet = self._socket.recv(2048)
        except OSError:
            return  # an ICMP error for an earlier question
        start = (packet[0] & 15) * 4
        kind, _, _, identifier, number = struct.unpack_from("!BBHHH", packet, start)
        if kind == 0 and identifier == self._identifier and number in self.sent:
            self.answered.setdefault(number, boottime())
