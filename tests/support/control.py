"""A loop in a thread with control sockets, a stand-in for the driver behind them, and agents that are none."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from selectors import EVENT_READ
from typing import Any, Callable

from holdfast.control.interface import socket_path
from holdfast.core import events as ev
from holdfast.core.client import Snapshot
from holdfast.core.lease import Lease, Server
from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.eventloop.loop import Loop
from holdfast.network.spec import NetworkSpec, Route
from holdfast.observe.observations import Observations
from holdfast.observe.outcomes import as_record
from holdfast.runtime.control_service import Control
from holdfast_lab.testbed import fair_time

OURS, SERVER = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.1")
LEASE = Lease(OURS, SERVER, 940.0, 1000.0, 1045.0, 1060.0, 120.0, {})
OUTCOME = Outcome(Purpose.OPERATOR, Result.RENEWED, Via.UNICAST, 1, 0.01, SERVER, OURS, OURS, 120.0, 59.9, "operator",
                  7, 999.0, 999.01)
SPEC = NetworkSpec(IPv4Interface("10.0.0.5/24"), routes=(Route(IPv4Network("0.0.0.0/0"), SERVER, 100, OURS),),
                   dns=(SERVER,), search=("example.org",), mtu=1450, notices=("MTU 12 is ignored",))
WALL = 1_700_000_000.0
RECORD = as_record(OUTCOME, "eth0", boottime=999.01, wall=WALL)


class StillClock:
    """Stands still, so that remaining times are exact."""

    def __init__(self) -> None:
        self.now = 1000.0

    def boottime(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL


class FakeClient:
    """Stands for a driver; ``on_submit`` says what a wish brings about."""

    def __init__(self, name: str = "eth0") -> None:
        self.name = name
        self.link: object | None = object()
        self.spec: NetworkSpec | None = SPEC
        self.shot = Snapshot("BOUND", LEASE, Server(SERVER, False, 0.25), OUTCOME, {"xid": 3}, 1000.0)
        self.submitted: list[ev.Event] = []
        self.listeners: list[Callable[[Outcome], None]] = []
        self.on_submit: Callable[[], None] = self.record
        self.online, self.awaited = True, True
        self.observations, self.filtered = Observations(), 0
        self.problems: dict[str, str] = {}
        self.watchers: list[Callable[..., None]] = []
        self.yielded, self.rival = False, None
        self.fallback: NetworkSpec | None = None
        self.yield_error: OSError | None = None
        self.online_listeners: list[Callable[[], None]] = []

    def snapshot(self) -> Snapshot:
        return self.shot

    def submit(self, event: ev.Event) -> None:
        self.submitted.append(event)
        self.on_submit()

    def subscribe(self, callback: Callable[[Outcome], None]) -> Callable[[], None]:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    def when_online(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.online_listeners.append(callback)
        return lambda: self.online_listeners.remove(callback)

    def watch(self, callback: Callable[..., None]) -> Callable[[], None]:
        self.watchers.append(callback)
        return lambda: self.watchers.remove(callback)

    def yield_interface(self, yielded: bool) -> None:
        if self.yield_error is not None:
            raise self.yield_error
        self.yielded = yielded

    def keep_nothing(self) -> None:
        self.keeps_nothing = True

    def come_online(self) -> None:
        """A lease is in use."""
        self.online = True
        for listener in list(self.online_listeners):
            listener()

    def record(self) -> None:
        for listener in list(self.listeners):
            listener(OUTCOME)


class WatchedLoop(Loop):
    """Tells what is registered: each descriptor's callback and events."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__(clock)
        self.registered: dict[int, tuple[Callable[[int], None], int]] = {}

    def register(self, fd: int, callback: Callable[[int], None], events: int = EVENT_READ) -> None:
        super().register(fd, callback, events)
        self.registered[fd] = callback, events

    def unregister(self, fd: int) -> None:
        super().unregister(fd)
        self.registered.pop(fd, None)


class ControlBench:
    """A loop in a thread, with the control sockets of ``clients``."""

    def __init__(self, folder: str) -> None:
        self.clock = StillClock()
        self.loop = WatchedLoop(self.clock)
        self.runtime, self.state = folder, folder
        self.client = FakeClient()
        self.control = Control(self.loop, folder, folder, wall=lambda: WALL)
        self.control.add(self.client)
        self.path = socket_path(folder, "eth0")
        self._thread = threading.Thread(target=self.loop.run)
        self._wake = socket.socketpair()

    def __enter__(self) -> ControlBench:
        self._listening = set(self.loop.registered)
        self.loop.register(self._wake[0].fileno(), self._called)
        self._calls: list[Callable[[], None]] = []
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.run(lambda: (self.control.close(), self.loop.stop()))
        self._thread.join(fair_time.longest(10))
        assert not self._thread.is_alive()
        self.loop.close()
        for end in self._wake:
            end.close()

    def run(self, function: Callable[[], Any]) -> Any:
        """Call ``function`` in the loop's thread and wait for its answer."""
        done, answer = threading.Event(), []
        self._calls.append(lambda: (answer.append(function()), done.set()))  # type: ignore[func-returns-value]
        self._wake[1].send(b"x")
        assert done.wait(fair_time.longest(10))
        return answer[0]

    def served(self) -> dict[int, tuple[Callable[[int], None], int]]:
        """The callback and the events of each connection that the agent holds, by its descriptor."""
        ours = {*self._listening, self._wake[0].fileno()}
        return self.run(lambda: {fd: entry for fd, entry in self.loop.registered.items() if fd not in ours})

    def wake(self, mask: int) -> None:
        """Tell the agent that all its sockets are ready, which may not be so. What is registered stays so."""

        def call_all() -> bool:
            before = dict(self.loop.registered)
            for fd, (callback, _) in before.items():
                if fd != self._wake[0].fileno():
                    callback(mask)
            return self.loop.registered == before

        assert self.run(call_all)

    def _called(self, mask: int) -> None:
        self._wake[0].recv(1)
        self._calls.pop(0)()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(fair_time.longest(10))
        connection.connect(self.path)
        return connection


def ask(connection: socket.socket, message: object) -> Any:
    """The answer to one call."""
    connection.sendall(json.dumps(message).encode() + b"\0")
    return hear(connection)


def hear(connection: socket.socket) -> Any:
    """The next answer; an AssertionError when the agent hangs up."""
    data = b""
    while not data.endswith(b"\0"):
        part = connection.recv(1 << 16)
        assert part, "the agent hung up"
        data += part
    return json.loads(data[:-1])


class Impostor:
    """Listens at ``path``, answers one call with ``data`` and hangs up. ``asked`` is the call."""

    def __init__(self, path: str, data: bytes) -> None:
        self.asked = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        self._socket.settimeout(fair_time.longest(10))
        self._data = data
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            self.asked = connection.recv(4096)
            with suppress(BrokenPipeError, ConnectionResetError):  # the answer is too long to be heard out
                connection.sendall(self._data)

    def __enter__(self) -> Impostor:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join(fair_time.longest(10))
        self._socket.close()


class Trickler:
    """Listens at ``path`` and answers one call with ``drop``, again and again, without end."""

    def __init__(self, path: str, drop: bytes) -> None:
        self._ended = threading.Event()
        self._drop = drop
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        self._socket.settimeout(fair_time.longest(10))
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, suppress(BrokenPipeError, ConnectionResetError):
            while not self._ended.wait(0.02):
                connection.sendall(self._drop)

    def __enter__(self) -> Trickler:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join(fair_time.longest(10))
        self._socket.close()
