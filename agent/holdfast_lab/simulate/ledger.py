"""What happened to each client: the raw numbers of a run, a few words of memory for each."""

from __future__ import annotations

from array import array

from holdfast_lab.simulate.scenario import Scenario

#: In a column of instants or durations: not yet.
NEVER = -1.0


def _column(size: int, value: float) -> array[float]:
    return array("d", [value]) * size


class Ledger:
    """Columns by client index; NEVER where nothing has happened. Instants and durations are seconds."""

    def __init__(self, scenario: Scenario) -> None:
        size = scenario.clients
        self.back_at = scenario.outage.end if scenario.outage is not None else NEVER
        self.sent = array("L", bytes(array("L").itemsize * size))
        self.started_at = _column(size, NEVER)
        self.boot = _column(size, NEVER)  # from the start to the first address
        self.asked_at = _column(size, NEVER)  # the first message that is not answered yet
        self.longest_wait = _column(size, 0.0)  # for an answer
        self.gone_at = _column(size, NEVER)  # when the address was lost; NEVER while there is one
        self.without = _column(size, 0.0)  # seconds without an address after the first
        self.losses = array("L", bytes(array("L").itemsize * size))
        self.lost_by_return = bytearray(size)  # 1: had lost its address when the server came back
        self.lost_after_return = bytearray(size)  # 1: had one then, and lost it unrenewed
        self.waiting = bytearray(size)  # 1: was asking when the server came back
        self.recovery = _column(size, NEVER)  # from the server's return to the lease

    def start(self, index: int, now: float) -> None:
        """The client starts."""
        self.started_at[index] = now

    def send(self, index: int, now: float) -> None:
        """The client sends a message."""
        self.sent[index] += 1
        if self.asked_at[index] < 0:
            self.asked_at[index] = now

    def answer(self, index: int, now: float) -> None:
        """The client has got a lease, or got it renewed."""
        asked_at = self.asked_at[index]
        if asked_at >= 0:
            self.longest_wait[index] = max(self.longest_wait[index], now - asked_at)
            self.asked_at[index] = NEVER
        if self.boot[index] < 0:
            self.boot[index] = now - self.started_at[index]
        gone_at = self.gone_at[index]
        if gone_at >= 0:
            self.without[index] += now - gone_at
            self.gone_at[index] = NEVER
        if self.waiting[index] and self.recovery[index] < 0:
            self.recovery[index] = now - self.back_at

    def lose(self, index: int, now: float) -> None:
        """The client's lease has ended, or the client has given it up; its address is gone."""
        self.losses[index] += 1
        self.gone_at[index] = now
        if self.waiting[index] and self.recovery[index] < 0:
            self.lost_after_return[index] = 1

    def server_back(self, index: int, *, waiting: bool) -> None:
        """The server is back; the client is ``waiting`` for an answer, or not."""
        self.waiting[index] = waiting
        self.lost_by_return[index] = self.gone_at[index] >= 0

    def extend(self, other: Ledger) -> None:
        """Add the clients of ``other`` after these."""
        for name, column in vars(self).items():
            if isinstance(column, (array, bytearray)):
                column.extend(getattr(other, name))

    def close(self, now: float) -> None:
        """The run ends: who is still without an address, was without it until now."""
        for index, gone_at in enumerate(self.gone_at):
            if gone_at >= 0:
                self.without[index] += now - gone_at
