"""What is waited for is said after 5 s, then ever more rarely, and not at all with a lease."""

from __future__ import annotations

from tests.support.control import LEASE, FakeClient

from holdfast.core.client import Snapshot
from holdfast.runtime.waiting import Waiting
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop


class Bench:
    """One interface without a lease, and what is said of it."""

    def __init__(self) -> None:
        self.loop = VirtualLoop(VirtualClock(1000.0))
        self.client = FakeClient()
        self.said: list[tuple[float, str]] = []
        self.client.shot = Snapshot("SELECTING", None, None, None, {}, None)
        self.client.observations.since, self.client.observations.sent = 1000.0, {"DISCOVER": 3}
        self.waiting = Waiting(self.loop, lambda: [self.client], self.line)

    def line(self, priority: int, text: str) -> None:
        assert priority == 5
        self.said.append((self.loop.now() - 1000.0, text))


def test_ever_more_rarely() -> None:
    bench = Bench()
    bench.waiting.begin()
    bench.waiting.begin()
    bench.loop.run(100.0)
    assert [at for at, _ in bench.said] == [5.0, 15.0, 35.0, 75.0]
    assert bench.said[0][1] == "eth0: waiting for a lease: 3 DISCOVERs sent in 5 s, nobody answered"
    bench.loop.run(100_000.0)
    assert max(later - former for (former, _), (later, _) in zip(bench.said, bench.said[1:])) == 3600.0  # noqa: B905


def test_a_lease_ends_it_and_its_loss_begins_it_anew() -> None:
    bench = Bench()
    bench.waiting.begin()
    bench.client.shot = bench.client.shot._replace(lease=LEASE)
    bench.loop.run(1000.0)
    assert (bench.said, bench.loop.timers) == ([], {})
    bench.client.shot = bench.client.shot._replace(lease=None)
    bench.waiting.begin()
    bench.loop.run(6.0)
    assert len(bench.said) == 1
    bench.waiting.stop()
    assert bench.loop.timers == {}


def test_what_else_is_waited_for() -> None:
    bench = Bench()
    for link, carrier, since, expected in (
        (None, True, None, "eth0: waiting for the interface, which is not there"),
        (object(), False, None, "eth0: waiting for the carrier: the cable is out, or the switch's port is down"),
        (object(), True, None, None),
    ):
        bench.client.link, bench.client.observations.since = link, since
        bench.client.shot = bench.client.shot._replace(carrier=carrier)
        bench.said.clear()
        bench.waiting.begin()
        bench.loop.run(6.0)
        assert [text for _, text in bench.said] == ([] if expected is None else [expected])
        bench.waiting.stop()


def test_an_operator_who_released_is_not_waited_for() -> None:
    bench = Bench()
    bench.client.shot = bench.client.shot._replace(state="STOPPED")
    bench.waiting.begin()
    bench.loop.run(60.0)
    assert bench.said == []
