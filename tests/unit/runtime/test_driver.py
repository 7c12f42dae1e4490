"""runtime.driver: one event at a time, actions in order, every error an event; on a host in memory."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from holdfast.core import events as ev
from holdfast.core.actions import Announce, NoticeCode
from holdfast.runtime.configurator import Configurator
from holdfast.runtime.driver import Driver, Subscribers, describe
from holdfast.runtime.interface import Interface
from holdfast.sockets.arp import Claim
from holdfast_lab.testbed.virtual_host import MAC, OURS, Host


class Script:
    """A core whose answer to each event is written down; ``seen`` are the events, in the order of handling."""

    lease = None

    def __init__(self, answers: dict[type, list[Any]]) -> None:
        self.answers = answers
        self.seen: list[str] = []
        self.deadline: float | None = None

    def handle(self, event: Any, now: float) -> list[Any]:
        self.seen.append(type(event).__name__)
        return self.answers.get(type(event), [])

    def handle_timer(self, now: float) -> list[Any]:
        self.seen.append(f"timer at {now:g}")
        self.deadline = None
        return []

    def next_deadline(self) -> float | None:
        return self.deadline


def driver_of(host: Host, core: Script) -> Driver:
    """A driver on ``host``'s link whose client is ``core``."""
    deps = host.deps()
    configurator = Configurator(deps.backends, host.loop, host.notes, deps.yield_marker)
    driver = Driver(host.loop, host.notes, deps, configurator, lambda: None)
    driver.sockets.open("eth0", MAC)
    driver.start(core, host.store)  # type: ignore[arg-type]
    return driver


def test_what_an_action_brings_about_waits_for_the_rest_of_its_list() -> None:
    sender, host = Host(), Host()
    sender.bind()
    discover = sender.sockets.sent[0]
    seen_at_announcement: list[list[str]] = []
    core = Script({ev.Renew: [discover, Announce(OURS)]})
    driver = driver_of(host, core)
    host.sockets.errors["broadcast"] = errno.ENOBUFS
    host.sockets.on_arp = lambda: seen_at_announcement.append(list(core.seen))
    driver.submit(ev.Renew())
    assert seen_at_announcement == [["Renew"]], "the announcement went out before the failure was an event"
    assert core.seen == ["Renew", "SendFailed"]


def test_an_event_that_comes_in_the_middle_waits_its_turn() -> None:
    host = Host()
    core = Script({ev.Renew: [Announce(OURS)]})
    driver = driver_of(host, core)
    host.sockets.on_arp = lambda: driver.submit(ev.LinkUp())
    driver.submit(ev.Renew())
    assert core.seen == ["Renew", "LinkUp"]


def test_a_deadline_is_kept_moved_and_given_up() -> None:
    host = Host()
    core = Script({})
    driver = driver_of(host, core)
    core.deadline = host.loop.now() + 5
    driver.submit(ev.Renew())
    host.loop.run(10)
    assert core.seen == ["Renew", f"timer at {host.loop.now() - 5:g}"]
    core.deadline = host.loop.now() + 5
    driver.submit(ev.Renew())
    driver.close()
    host.loop.run(10)
    assert [what for what in core.seen if what.startswith("timer")] == core.seen[1:2]


def test_events_without_a_client_are_forgotten() -> None:
    host = Host()
    host.interface.submit(ev.Renew())
    host.loop.run(1)
    host.bind()
    assert host.sockets.kinds() == ["DISCOVER", "REQUEST"], "the early Renew did not count"


def test_errors_of_the_machine_are_events() -> None:  # rule 55
    host = Host()
    host.bind()
    host.sockets.errors["unicast"] = errno.ENETUNREACH
    host.loop.run(100)
    assert NoticeCode.SEND_FAILED in [notice.code for notice in host.notes.notices]
    assert host.addresses == [OURS]


def test_subscribers_may_leave_while_they_are_called() -> None:
    subscribers, heard = Subscribers(), []
    leave = subscribers.add(lambda what: (heard.append(("first", what)), leave()))  # type: ignore[func-returns-value]
    stay = subscribers.add(lambda what: heard.append(("second", what)))
    subscribers.call(1)
    subscribers.call(2)
    leave()
    stay()
    subscribers.call(3)
    assert heard == [("first", 1), ("second", 1), ("second", 2)]


@pytest.mark.parametrize(("error", "text"), [
    (OSError(errno.ENOBUFS, "anything"), "ENOBUFS: No buffer space available"),
    (OSError("no number"), "no number"),
])
def test_an_error_is_named(error: OSError, text: str) -> None:
    assert describe(error) == text


def test_a_claim_is_passed_over_while_the_kernel_does_not_say_whose_a_mac_is() -> None:
    # rule 90
    def short() -> set[bytes]:
        raise OSError(errno.EMFILE, "Too many open files")

    host = Host()
    host.config = host.config._replace(acd="optimistic")
    host.interface = Interface("eth0", host.loop, host.notes, host.deps()._replace(own_macs=short))
    host.bind()
    for _ in range(3):
        host.sockets.listener.on_claim(Claim(OURS, bytes.fromhex("02000000dead"), probe=False, answer=True))
    assert host.state == "BOUND"
