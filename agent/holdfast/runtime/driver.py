"""The core of one client, fed one event at a time; what it answers is performed in order.

What an action brings about at once (a send that fails, a configuration that took) is the next event: it
waits its turn behind the rest of that action's list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.actions import Action
    from holdfast.core.client import Client
    from holdfast.core.events import Event
    from holdfast.eventloop.ports import Loop
    from holdfast.runtime.performing import Performer


class Feed:
    """Events without a client are forgotten. ``done`` is called when nothing is left to do."""

    def __init__(self, loop: Loop, done: Callable[[], None]) -> None:
        self._loop, self._done = loop, done
        self.client: Client | None = None
        self._performer: Performer | None = None
        self._events: deque[Event] = deque()
        self._busy = False

    def start(self, client: Client, performer: Performer) -> None:
        """From now on this is the client."""
        self.client, self._performer = client, performer

    def submit(self, event: Event) -> None:
        """Feed the core and perform what it asks; events that come up meanwhile wait their turn."""
        self._events.append(event)
        if not self._busy:
            self._work([])

    def stop(self) -> None:
        """No timer of the core counts any more."""
        self._loop.set_timer((self, "client"), None, self._on_deadline)

    def _on_deadline(self) -> None:
        if self.client is not None:
            self._work(self.client.handle_timer(self._loop.now()))

    def _work(self, actions: list[Action]) -> None:
        """Perform ``actions`` and whatever follows from them, until nothing is left to do."""
        if self.client is None or self._performer is None:
            self._events.clear()
            return
        self._busy = True
        try:
            while actions or self._events:
                for action in actions:
                    event = self._performer.perform(action, self.client.lease)
                    if event is not None:
                        self._events.append(event)
                actions = []
                if self._events:
                    actions = self.client.handle(self._events.popleft(), self._loop.now())
        finally:
            self._busy = False
        self._done()
        self._loop.set_timer((self, "client"), self.client.next_deadline(), self._on_deadline)
