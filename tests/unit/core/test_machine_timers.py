"""Named deadlines."""

from __future__ import annotations

from math import inf

from holdfast.core.machine import Timer, TimerTable


def test_setting_replaces_and_forever_is_never() -> None:
    table = TimerTable()
    assert table.next() is None
    table.set(Timer.RENEW, 5.0)
    table.set(Timer.RENEW, 9.0)
    table.set(Timer.EXPIRE, 20.0)
    assert (table.at(Timer.RENEW), table.next()) == (9.0, 9.0)
    table.set(Timer.RENEW, inf)
    assert (table.at(Timer.RENEW), table.next()) == (None, 20.0)


def test_stopping_is_harmless() -> None:
    table = TimerTable()
    table.set(Timer.RENEW, 5.0)
    table.stop(Timer.RENEW, Timer.START)
    table.stop(Timer.RENEW)
    assert table.next() is None


def test_after_a_long_sleep_the_end_of_the_lease_is_seen_first() -> None:
    # rule 45
    table = TimerTable()
    for timer in reversed([*Timer]):
        table.set(timer, 10.0 + timer)
    assert table.take_due(9.0) is None
    assert [table.take_due(100.0) for _ in range(len(Timer) + 1)] == [*Timer, None]
