"""runtime.loop on real descriptors, with timers that are due at once or never."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from holdfast.clock import Jump
from holdfast.eventloop import timers
from holdfast.eventloop.loop import Loop
from holdfast.eventloop.timers import WakeTimer
from holdfast_lab.testbed.virtual_host import VirtualClock


@pytest.fixture
def loop() -> Iterator[Loop]:
    with closing(Loop()) as loop:
        yield loop


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_timers_fire_in_order_and_once(loop: Loop) -> None:
    fired: list[str] = []
    now = loop.now()
    loop.set_timer("b", now - 1, lambda: fired.append("b"))
    loop.set_timer("a", now - 2, lambda: fired.append("a"))
    loop.set_timer("later", now + 1000, lambda: fired.append("later"))
    loop.run_once()
    loop.run_once(0)
    assert fired == ["a", "b"]


def test_a_timer_can_be_moved_and_cancelled(loop: Loop) -> None:
    fired: list[str] = []
    past = loop.now() - 1
    loop.set_timer("x", past, lambda: fired.append("x"))
    loop.set_timer("x", None, lambda: None)
    loop.set_timer("y", past, lambda: fired.append("old"))
    loop.set_timer("y", past, lambda: fired.append("new"))
    loop.set_timer("never", float("inf"), lambda: fired.append("never"))
    loop.run_once(0)
    assert fired == ["new"]


def test_a_callback_can_cancel_another_that_is_due_too(loop: Loop) -> None:
    fired: list[str] = []
    past = loop.now() - 10
    loop.set_timer("first", past, lambda: loop.set_timer("second", None, lambda: None))
    loop.set_timer("second", past + 1, lambda: fired.append("second"))
    loop.run_once(0)
    assert fired == []


def test_timers_have_their_turn_however_many_packets_come(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    other.send(b"x")  # never read: always ready
    fired: list[str] = []
    loop.register(one.fileno(), lambda mask: None)
    loop.set_timer("t", loop.now(), lambda: fired.append("t"))
    loop.run_once()
    assert fired == ["t"]


def test_a_descriptor_that_an_earlier_callback_took_away_is_not_served(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    one.send(b"x")
    other.send(b"x")
    served: list[int] = []

    def serve(fd: int) -> None:
        served.append(fd)
        loop.unregister(one.fileno())
        loop.unregister(other.fileno())

    loop.register(one.fileno(), lambda mask: serve(1))
    loop.register(other.fileno(), lambda mask: serve(2))
    loop.run_once()
    assert len(served) == 1
    loop.unregister(one.fileno())  # unknown by now


def test_registering_again_replaces(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    served: list[int] = []
    loop.register(one.fileno(), lambda mask: served.append(-1))
    loop.register(one.fileno(), served.append, 2)  # writable
    loop.run_once()
    assert served == [2]


def test_it_runs_until_it_is_stopped(loop: Loop) -> None:
    loop.set_timer("stop", loop.now(), loop.stop)
    loop.run()


@pytest.mark.parametrize("with_timerfd", [False, True])
def test_it_wakes_when_a_timer_is_due(loop: Loop, with_timerfd: bool) -> None:
    if with_timerfd:
        loop.use_timerfd()
    due = loop.now() + 0.02
    loop.set_timer("stop", due, loop.stop)
    loop.run()
    assert loop.now() >= due


@pytest.mark.parametrize("error", [PermissionError, ImportError, MemoryError])
def test_a_kernel_without_timerfd_is_lived_with(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse() -> WakeTimer:
        raise error

    monkeypatch.setattr(timers, "WakeTimer", refuse)
    loop.use_timerfd()
    loop.set_timer("stop", loop.now() + 0.01, loop.stop)
    loop.run()


def test_jumps_are_told() -> None:
    clock = VirtualClock()
    with closing(Loop(clock)) as loop:
        clock.now += 100
        clock.slept += 100
        loop.run_once(0)  # nobody asked
        heard: list[Jump] = []
        loop.on_jump = heard.append
        clock.stepped += 3600
        loop.run_once(0)
        assert heard == [Jump(asleep=0.0, stepped=3600.0)]


def test_an_idle_loop_sleeps() -> None:
    with closing(Loop()) as loop:
        loop.use_timerfd()
        before = os.times()
        loop.run_once(0.05)
        after = os.times()
        assert after.user + after.system - before.user - before.system < 0.05
