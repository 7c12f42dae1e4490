"""One thread, one epoll, absolute timers on CLOCK_BOOTTIME. It sleeps until something is due."""

from __future__ import annotations

from math import ceil, inf
from select import EPOLLIN, EPOLLOUT, epoll

from holdfast.clock import Clock, Jump, JumpDetector, SystemClock
from holdfast.eventloop.ports import EVENT_READ, EVENT_WRITE
from holdfast.wire.lean import suppress
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from holdfast.eventloop.timers import StepWatch, WakeTimer

#: epoll takes milliseconds in an int, so the longest sleep is bounded.
_LONGEST_WAIT = 86400.0


def _ignore(_jump: Jump) -> None:
    """Default handler: does nothing."""


class Loop:
    """Conforms to ``ports.Loop``. Errors of callbacks end the loop: they are errors of this program."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._epoll = epoll()
        self._registered: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._timers: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._wake: WakeTimer | None = None
        self._steps: StepWatch | None = None
        self._jumps = JumpDetector(self._clock)
        self._stopping = False
        self.on_jump: Callable[[Jump], None] = _ignore

    def now(self) -> float:
        """CLOCK_BOOTTIME seconds."""
        return self._clock.boottime()

    def register(self, fd: int, callback: Callable[[int], None], events: int = EVENT_READ) -> None:
        """Call ``callback(mask)`` when ``fd`` is ready; registering again replaces."""
        mask = (EPOLLIN if events & EVENT_READ else 0) | (EPOLLOUT if events & EVENT_WRITE else 0)
        if fd in self._registered:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)
        self._registered[fd] = (events, callback)

    def unregister(self, fd: int) -> None:
        """Forget ``fd``; unknown ones are ignored. To be called before the descriptor is closed."""
        if self._registered.pop(fd, None) is not None:
            with suppress(OSError):  # closed already, and so forgotten by the kernel
                self._epoll.unregister(fd)

    def set_timer(self, key: Hashable, at: float | None, callback: Callable[[], None]) -> None:
        """Call ``callback`` once at instant ``at``; one timer for each key; None or infinity cancels."""
        if at is None or at == inf:
            self._timers.pop(key, None)
        else:
            self._timers[key] = (at, callback)

    def use_timerfd(self) -> None:
        """Use timerfds from now on, if the kernel has them: they count suspend."""
        try:
            from holdfast.eventloop.timers import StepWatch, WakeTimer  # noqa: PLC0415 - not before the DISCOVER

            wake, steps = WakeTimer(), StepWatch()
        except (OSError, ImportError, MemoryError):
            # A sandbox without the system call, a Python without ctypes, or one whose ctypes may not have
            # executable memory (MemoryDenyWriteExecute=): epoll's timeouts go on, late after a suspend.
            return
        self._wake, self._steps = wake, steps
        self.register(wake.fileno(), lambda _mask: wake.drain())
        self.register(steps.fileno(), lambda _mask: steps.drain())

    def run(self) -> None:
        """Run until ``stop`` is called."""
        while not self._stopping:
            self.run_once()

    def stop(self) -> None:
        """Make ``run`` return after the present round."""
        self._stopping = True

    def run_once(self, longest: float = _LONGEST_WAIT) -> None:
        """Sleep until something is due, but not longer than ``longest`` seconds; then serve descriptors
        and then timers. Timers are served in every round, however many packets arrive."""
        # Up to the next millisecond: a timer that is not due yet would only be looked at once more.
        ready = self._epoll.poll(ceil(self._wait(longest) * 1000.0) / 1000.0, max(1, len(self._registered)))
        for fd, entry, mask in [(fd, self._registered.get(fd), mask) for fd, mask in ready]:
            # An earlier callback of this round may have unregistered this one, or registered another.
            if entry is not None and self._registered.get(fd) is entry:
                events, callback = entry
                callback(_mask(mask) & events)
        jump = self._jumps.check()
        if jump is not None:
            self.on_jump(jump)
        self._serve_timers()

    def _wait(self, longest: float) -> float:
        due = min((at for at, _ in self._timers.values()), default=inf)
        if self._wake is not None:
            self._wake.arm(due)
        return max(0.0, min(due - self.now(), longest, _LONGEST_WAIT))

    def _serve_timers(self) -> None:
        now = self.now()
        due = [(key, entry) for key, entry in self._timers.items() if entry[0] <= now]
        due.sort(key=lambda item: item[1][0])
        for key, entry in due:
            if self._timers.get(key) is entry:  # an earlier callback may have moved or cancelled it
                del self._timers[key]
                entry[1]()

    def close(self) -> None:
        """Close what the loop itself opened."""
        for timer in (self._wake, self._steps):
            if timer is not None:
                self.unregister(timer.fileno())
                timer.close()
        self._wake = self._steps = None
        self._epoll.close()


def _mask(events: int) -> int:
    """An error and the other end's hanging up are seen by reading and by writing."""
    return (EVENT_READ if events & ~EPOLLOUT else 0) | (EVENT_WRITE if events & ~EPOLLIN else 0)
