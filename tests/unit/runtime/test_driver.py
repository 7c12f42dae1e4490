"""runtime.feeding: one event at a time, and actions in order."""

from __future__ import annotations

from typing import Any

from holdfast.runtime.driver import Feed
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop


class Story:
    """A client whose actions are words, and a performer that brings an event about for some of them."""

    lease = None

    def __init__(self) -> None:
        self.loop = VirtualLoop(VirtualClock())
        self.told: list[str] = []
        self.deadline: float | None = None
        self.feed = Feed(self.loop, lambda: self.told.append("done"))

    def handle(self, event: Any, now: float) -> list[str]:
        self.told.append(f"handle {event}")
        return {"start": ["send", "configure", "record"]}.get(event, [])

    def handle_timer(self, now: float) -> list[str]:
        self.told.append("timer")
        self.deadline = None
        return ["send"]

    def next_deadline(self) -> float | None:
        return self.deadline

    def perform(self, action: Any, lease: Any) -> str | None:
        self.told.append(f"perform {action}")
        if action == "send":
            self.feed.submit("noticed meanwhile")  # type: ignore[arg-type]
        return {"configure": "applied"}.get(action)

    def begin(self) -> None:
        self.feed.start(self, self)  # type: ignore[arg-type]


def test_what_comes_up_meanwhile_waits_its_turn() -> None:
    story = Story()
    story.begin()
    story.feed.submit("start")  # type: ignore[arg-type]
    assert story.told == [
        "handle start", "perform send", "perform configure", "perform record", "handle noticed meanwhile",
        "handle applied", "done",
    ]


def test_a_deadline_is_kept_and_can_be_given_up() -> None:
    story = Story()
    story.begin()
    story.deadline = story.loop.now() + 5
    story.feed.submit("anything")  # type: ignore[arg-type]
    story.loop.run(10)
    assert story.told == ["handle anything", "done", "timer", "perform send", "handle noticed meanwhile", "done"]
    story.deadline = story.loop.now() + 5
    story.feed.submit("anything")  # type: ignore[arg-type]
    story.feed.stop()
    story.loop.run(10)
    assert story.told.count("timer") == 1


def test_events_without_a_client_are_forgotten() -> None:
    story = Story()
    story.feed.submit("early")  # type: ignore[arg-type]
    story.begin()
    story.feed.submit("start")  # type: ignore[arg-type]
    assert story.told[0] == "handle start"
