"""Repeated lines."""

from __future__ import annotations

from itertools import pairwise

from holdfast.observe.limit import FIRST_PAUSE, KIND_LIMIT, LONGEST_PAUSE, Limiter


def test_the_first_is_told_and_the_rest_are_counted() -> None:
    limiter = Limiter()
    assert limiter.allow("a", 0.0) == 0
    assert [limiter.allow("a", 1.0) for _ in range(5)] == [None] * 5
    assert limiter.allow("b", 1.0) == 0
    assert limiter.allow("a", FIRST_PAUSE) == 5


def test_pauses_double_while_it_goes_on_and_start_anew_after_quiet() -> None:
    limiter = Limiter()
    told = [now for now in range(0, 86400, 10) if limiter.allow("a", float(now)) is not None]
    gaps = [later - earlier for earlier, later in pairwise(told)]
    assert gaps[:4] == [60, 120, 240, 480]
    assert max(gaps) == LONGEST_PAUSE
    end = float(told[-1] + 3 * LONGEST_PAUSE)
    assert limiter.allow("a", end) is not None
    assert limiter.allow("a", end + FIRST_PAUSE) == 0


def test_a_burst_is_let_through() -> None:
    limiter = Limiter()
    assert [limiter.allow("a", 0.0, burst=3) for _ in range(5)] == [0, 0, 0, None, None]
    assert limiter.allow("a", FIRST_PAUSE, burst=3) == 2
    assert limiter.allow("a", FIRST_PAUSE, burst=3) is None


def test_memory_is_bounded() -> None:
    limiter = Limiter()
    told = [limiter.allow(str(number), 0.0) for number in range(KIND_LIMIT + 10)]
    assert told.count(None) == 10
