"""Repeated lines."""

from __future__ import annotations

from itertools import pairwise

from holdfast.observe.limit import FIRST_PAUSE, KIND_LIMIT, LONGEST_PAUSE, TOPIC_LIMIT, Limiter, SayOnce


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


# -- SayOnce -------------------------------------------------------------------------------------


def test_a_text_is_said_when_it_is_another_than_the_last_about_its_topic() -> None:
    said: list[tuple[int, str]] = []
    once = SayOnce(lambda priority, text: said.append((priority, text)))
    for text in ("full", "full", "read-only", "full"):
        once.say("disk", 4, text)
    once.say("port", 3, "full")
    assert said == [(4, "full"), (4, "read-only"), (4, "full"), (3, "full")]


def test_a_topic_that_is_over_is_news_again() -> None:
    said: list[str] = []
    once = SayOnce(lambda _priority, text: said.append(text))
    assert not once.forget("disk")
    once.say("disk", 4, "full")
    assert once.forget("disk")
    once.say("disk", 4, "full")
    assert said == ["full", "full"]


def test_no_text_is_said_by_saying_nothing_and_remembered() -> None:
    said: list[str] = []
    once = SayOnce(lambda _priority, text: said.append(text))
    for texts in ((), ("a", "b"), ("a", "b"), (), ("a", "b")):
        once.say("offer", 5, *texts)
    assert said == ["a", "b", "a", "b"]


def test_topics_cannot_grow_without_end() -> None:
    said: list[str] = []
    once = SayOnce(lambda _priority, text: said.append(text))
    for number in range(TOPIC_LIMIT + 1):
        once.say(f"eth{number}", 3, "refused")
    once.say(f"eth{TOPIC_LIMIT}", 3, "refused")
    assert len(said) == TOPIC_LIMIT + 1, "the newest are remembered"
    once.say("eth0", 3, "refused")
    assert len(said) == TOPIC_LIMIT + 2, "the oldest was forgotten"
