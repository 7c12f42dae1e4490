"""runtime.retry: pauses double and start over, and who asks is told."""

from __future__ import annotations

import pytest

from holdfast.runtime.retry import Retry
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop


class Disk:
    """What fails while ``full``; notes when it was tried, and what was told."""

    def __init__(self, *, later: bool = False) -> None:
        self.loop = VirtualLoop(VirtualClock(0.0))
        self.full, self.later = True, later
        self.tries: list[float] = []
        self.told: list[str] = []
        self.retry = Retry(
            self.loop, self.write, 1.0, 5.0, on_failure=lambda error: self.told.append(str(error)),
            on_recovery=lambda: self.told.append("recovered"),
        )

    def write(self) -> bool | None:
        self.tries.append(self.loop.now())
        if self.later:
            return False
        if self.full:
            raise OSError("full")
        return None


def test_pauses_double_up_to_the_longest_and_start_over_after_a_success() -> None:
    disk = Disk()
    disk.retry.attempt()
    disk.loop.run(15)
    assert disk.tries == [0, 1, 3, 7, 12]
    assert disk.told == ["full"] * 5
    assert disk.retry.failing
    disk.full = False
    disk.loop.run(100)
    assert disk.tries[5:] == [17]
    assert disk.told[5:] == ["recovered"]
    assert not disk.retry.failing
    disk.full = True
    disk.retry.attempt()
    disk.loop.run(1)
    assert disk.tries[6:] == [115, 116], "the first pause again"


def test_a_success_that_follows_no_failure_is_nothing_to_tell() -> None:
    disk = Disk()
    disk.full = False
    disk.retry.attempt()
    disk.retry.attempt()
    assert disk.told == []
    assert disk.loop.timers == {}


def test_an_attempt_takes_the_place_of_the_planned_one() -> None:
    disk = Disk()
    disk.retry.attempt_after(3)
    disk.retry.attempt_after(2)
    disk.loop.run(1)
    disk.full = False
    disk.retry.attempt()
    disk.loop.run(10)
    assert disk.tries == [1]


def test_a_result_that_comes_later() -> None:
    disk = Disk(later=True)
    disk.retry.attempt()
    disk.loop.run(10)
    assert (disk.tries, disk.told) == ([0], [])
    disk.retry.failed(OSError("it ended badly"))
    disk.loop.run(1)
    assert disk.tries == [0, 11]
    disk.retry.succeeded()
    assert disk.told == ["it ended badly", "recovered"]


def test_a_planned_try_can_be_dropped() -> None:
    disk = Disk()
    disk.retry.attempt()
    disk.retry.cancel()
    disk.loop.run(100)
    assert disk.tries == [0]


def test_an_error_that_is_not_expected_is_the_caller_s() -> None:
    retry = Retry(Disk().loop, lambda: {}["none"], 1.0, 5.0)
    with pytest.raises(KeyError):
        retry.attempt()
