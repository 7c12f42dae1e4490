"""``./dev fleet``: alerts that fire, reach somebody and resolve, by the programs that operators run.

Three guests with `holdfast run` and node_exporter, Debian's Prometheus and Alertmanager with the rules and the route of
packaging/monitoring, and a DHCP server that is made deaf to unicast and then killed. The rules are used as they are;
only Alertmanager's waiting times are shorter.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing

from holdfast_lab.fleet.dashboard import panels
from holdfast_lab.fleet.guests import Fleet
from holdfast_lab.fleet.monitoring import Monitoring, Notification
from holdfast_lab.render.terminal import Screen
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.faults import Lease
from holdfast_lab.testbed.netns import NamespaceError, enter_user_namespace
from holdfast_lab.witness.wirelog import boottime

GUESTS = 3
#: Renewals every few seconds; the alert about the end comes 6 s before it.
LEASE = Lease(time=30, t1=8, t2=26)
#: Fair seconds that one step may take; after an outage DISCOVERs are up to 64 s apart.
LONGEST = 150.0
#: The same for what is there already, and only has to be scraped.
SCRAPES = 20.0
#: About how long all of it takes, for the progress.
EXPECTED = 190.0


class Watch:
    """Waits for the steps, shows the progress, and keeps the targets of Prometheus those of the server's leases."""

    def __init__(self, fleet: Fleet, monitoring: Monitoring, screen: Screen) -> None:
        self._fleet, self._monitoring, self._screen = fleet, monitoring, screen
        self._began = boottime()
        self._aimed: dict[str, str] = {}
        self._shown = 0
        self._told: dict[tuple[str, str], bool] = {}

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait for ``condition``, and say so. AssertionError after LONGEST fair seconds."""

        def look() -> object:
            self._aim()
            self._tell()
            share = min(0.99, (boottime() - self._began) / EXPECTED)
            self._screen.progress("fleet", share, f"waiting: {what}")
            return condition()

        fair_time.wait_until(look, LONGEST, what, pause=0.25, told=lambda: f"\n{self._monitoring.said()}")
        self._tell()
        self.event("lab", what, "green")

    def event(self, actor: str, words: str, style: str = "") -> None:
        """One line of the time line."""
        self._screen.event(boottime() - self._began, actor, words, style=style)

    def _aim(self) -> None:
        """As a service discovery does it: a guest is a target under the address that it was given last."""
        addresses = {**self._aimed, **self._fleet.addresses()}
        if addresses != self._aimed:
            self._aimed = addresses
            self._monitoring.aim(addresses)

    def _tell(self) -> None:
        for one in self._monitoring.webhook.heard[self._shown :]:
            self._shown += 1
            if self._told.get((one.alert, one.who)) is one.resolved:  # each message has its whole group again
                continue
            self._told[one.alert, one.who] = one.resolved
            style = "green" if one.resolved else "red"
            words = f"{one.alert} {'resolved' if one.resolved else 'fires'}: {one.who}"
            self._screen.event(one.at - self._began, "webhook", words, style=style)


def story(fleet: Fleet, monitoring: Monitoring, watch: Watch) -> None:
    """What happens, in order. AssertionError when a step does not come."""
    def told(alert: str, *, resolved: bool = False) -> set[str]:
        return {one.who for one in monitoring.webhook.heard if one.alert == alert and one.resolved is resolved}

    def samples(expression: str) -> int:
        return len(monitoring.ask(expression))

    everyone = {guest.name for guest in fleet.guests}
    watch.until("Prometheus and Alertmanager are ready", monitoring.ready)
    for guest in fleet.guests:
        guest.start()
        watch.until(f"{guest.name} has an address", lambda guest=guest: guest.name in fleet.addresses())  # type: ignore[misc]
    watch.until("every guest has a lease, and is scraped without an error",
                lambda: samples("holdfast_lease_valid == 1 and on (instance) node_textfile_scrape_error == 0")
                == len(everyone))
    watch.until("every guest has renewed by unicast",
                lambda: samples('holdfast_answers_total{path="unicast"} >= 1') == len(everyone))
    assert monitoring.firing() == [], "no alert while all is well"

    def empty() -> list[str]:
        return [panel.title for panel in panels() if not all(samples(query.expression) for query in panel.queries)]

    # A rate needs a second sample, and a rule a look at it.
    fair_time.wait_until(lambda: not empty(), SCRAPES, pause=0.25, told=lambda: f", but {empty()}", what=(
        "each panel of the dashboard that is never empty in a healthy fleet has data"))

    fleet.deafen_server()
    watch.event("lab", "the server hears no unicast any more", "bold")
    watch.until("somebody is called: the server is deaf", lambda: told("HoldfastServerDeaf"))
    assert samples("holdfast_lease_valid == 0") == 0, "no lease is in danger: broadcast renews them"
    # A guest that a busy machine scrapes in more than a second has no sample now, which says nothing of its lease.
    fair_time.wait_until(lambda: samples("holdfast_lease_valid == 1") == len(everyone), SCRAPES, "each has a lease",
                         pause=0.25)

    fleet.kill_server()
    watch.event("lab", "the server is killed", "bold")
    watch.until("somebody is called: every lease ends soon", lambda: told("HoldfastLeaseEndsSoon") == everyone)
    watch.until("somebody is called: every lease has ended, though no guest can be scraped any more",
                lambda: told("HoldfastLeaseEnded") == everyone and samples("up == 0") == len(everyone))

    fleet.start_server()
    watch.event("lab", "the server is back", "bold")
    watch.until("every guest has a lease again", lambda: samples("holdfast_lease_valid == 1") == len(everyone))
    for alert in ("HoldfastLeaseEnded", "HoldfastLeaseEndsSoon"):
        watch.until(f"{alert} is resolved for every guest",
                    lambda alert=alert: told(alert, resolved=True) == everyone)  # type: ignore[misc]


def run() -> int:
    """Play it; 0 when every step came."""
    with Fleet(GUESTS, LEASE) as fleet, closing(Monitoring(fleet.watcher)) as monitoring, \
            Screen(sys.stdout) as screen:
        heading = f"{GUESTS} guests, leases of {LEASE.time} s, one DHCP server; Prometheus scrapes each second\n"
        screen.line((heading, "bold"))
        try:
            story(fleet, monitoring, Watch(fleet, monitoring, screen))
        except AssertionError as error:
            screen.wipe()
            screen.line(("\nFAILED  ", "bold red"), str(error))
            for guest in fleet.guests:
                screen.line(f"\n{guest.name}:\n{guest.log()}")
            return 1
        screen.wipe()
        screen.line(("\ngreen  ", "bold green"), summary(monitoring.webhook.heard))
        return 0


def summary(heard: list[Notification]) -> str:
    """What somebody was told, in one sentence."""
    fired = sorted({one.alert for one in heard if not one.resolved})
    resolved = sorted({one.alert for one in heard if one.resolved})
    return f"{len(heard)} notifications: fired {', '.join(fired)}; resolved {', '.join(resolved)}"


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when green."""
    parser = argparse.ArgumentParser(prog="./dev fleet", description=__doc__)
    parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is put away
    try:
        if os.geteuid() != 0:
            enter_user_namespace()
        return run()
    except NamespaceError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nfleet: stopped; nothing is left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
