"""``./dev demo``: the fault that Holdfast was built for, on this machine, in under a minute.

A DHCP server that does not hear unicast, and the `holdfast run` that ships, in network namespaces of their own.
What is printed as it happens comes from the wire and from netlink, and so does the verdict.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from holdfast_lab.render.terminal import Screen
from holdfast_lab.render.timeline import Timeline, show_comparison, show_heading, show_history, show_verdict
from holdfast_lab.testbed.faults import Faults, Lease, Unicast
from holdfast_lab.testbed.netns import Namespace, NamespaceError, enter_user_namespace
from holdfast_lab.testbed.stage import LINK, Stage, hardware_address
from holdfast_lab.witness.exchanges import Course, Renewal, modelled_stock, renewals
from holdfast_lab.witness.wirelog import Seen, boottime

#: Short enough for a demo of half a minute, long enough to see two renewals before a stock client's first.
LEASE = Lease(time=30, t1=10, t2=26)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="./dev demo", description="Show the fault, and how Holdfast holds.")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw the run as a picture as well")
    parser.add_argument("--lease", metavar="SECONDS", type=int, help="a longer lease, T1 at 1/2 and T2 at 7/8 of it")
    parser.add_argument("--peer", choices=["dhclient"], help="run this client beside Holdfast, on the same cable")
    parser.add_argument("--guard", action="store_true",
                        help="instead: a stock dhclient, without and with `holdfast guard` beside it")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is put away
    try:
        if os.geteuid() != 0:
            enter_user_namespace()
        if options.guard:
            from holdfast_lab import guard_demo  # noqa: PLC0415 - only with --guard

            return guard_demo.run()
        return run(options.svg, options.peer, lease_of(options.lease))
    except NamespaceError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndemo: stopped; nothing is left behind", file=sys.stderr)
        return 130


def lease_of(seconds: int | None) -> Lease:
    """The demo's own lease, or one of that length with the times of RFC 2131 section 4.4.5."""
    return LEASE if seconds is None else Lease(time=seconds, t1=seconds // 2, t2=seconds * 7 // 8)


def run(svg: Path | None, peer: str | None, lease: Lease) -> int:
    """Set the stage, show the run, judge it."""
    faults = Faults(unicast=Unicast.SILENT)
    with Stage(lease=lease, faults=faults, switch=peer is not None) as stage, Screen(sys.stdout) as screen:
        rival = Rival(stage, peer) if peer else None
        show_heading(screen, lease, peer)
        timeline = Timeline(screen, stage, lease, rival_mac=rival.mac if rival else None, rival=peer)
        if rival:
            rival.start()
        stage.start()
        timeline.began(stage.started_at)
        watch(stage, timeline, lease, rival)
        screen.wipe()
        history = stage.command("history", LINK)
        findings = stage.findings()
        mine = renewals([seen for seen in stage.server.wire.all() if seen.mac == stage.mac])
        until = boottime() - (stage.server.first_ack_at or 0.0)
        rows = compared(stage, rival, lease, until)
        show_comparison(screen, rows, until)
        probes = sum(len(stage.prober.probes(address)) for address in stage.server.given[:1])
        kept = show_verdict(screen, findings, enough(mine), probes)
        show_history(screen, history.stdout or history.stderr)
        if not kept:
            screen.line(f"\nWhat holdfast said:\n{stage.log()}")
        if svg:
            svg.parent.mkdir(parents=True, exist_ok=True)
            svg.write_text(picture(rows, lease, until), encoding="utf-8")
            screen.line(f"\nThe picture is in {svg}")
    return 0 if kept else 1


def watch(stage: Stage, timeline: Timeline, lease: Lease, rival: Rival | None) -> None:
    """Show the run until the other client, measured or modelled, has been answered and ours is not renewing."""
    assert stage.process is not None
    longest = lease.time * 1.8  # with the demo's own lease, 54 s
    while boottime() - (stage.server.first_ack_at or stage.started_at) < longest:
        timeline.show()
        if stage.process.poll() is not None:
            raise SystemExit(f"demo: holdfast ended with status {stage.process.returncode}:\n{stage.log()}")
        first = stage.server.first_ack_at
        mine = renewals([seen for seen in stage.server.wire.all() if seen.mac == stage.mac])
        if first is not None and boottime() > first + (lease.t2 or 0) + lease.time / 5:
            settled = enough(mine) and mine[-1].ack_at is not None
            if settled and (rival is None or rival.answered_before(boottime() - 1)):
                break
        time.sleep(0.05)


def enough(mine: list[Renewal]) -> bool:
    """At least two renewals whose unicast went unanswered and that were acknowledged after a broadcast."""
    return sum(renewal.ack_at is not None and not renewal.by_unicast for renewal in mine) >= 2


class Rival:
    """Another client on the same cable, to compare with."""

    def __init__(self, stage: Stage, name: str) -> None:
        from holdfast_lab.peers import ALL, find  # noqa: PLC0415 - only with --peer

        if find(name) is None:
            raise NamespaceError(f"{name} is not installed here")
        self.name = name
        self._peer = ALL[name]
        self._log = stage.client.directory / f"{name}.log"
        self.machine = Namespace(name, private_files=False)  # its cage brings its own
        stage.on_close(self.machine.close)
        stage.switch.plug(self.machine, LINK)
        self.mac = self.machine.run(lambda: hardware_address(LINK))
        self._stage = stage

    def answered_before(self, instant: float) -> bool:
        """True when its second ACK, the first after a wait, came before ``instant``."""
        acks = [seen.at for seen in self._stage.server.wire.all() if seen.mac == self.mac and seen.kind == "ACK"]
        return len(acks) > 1 and acks[1] < instant

    def start(self) -> None:
        """Start it; it ends with the stage."""
        from holdfast_lab.peers.running import Running  # noqa: PLC0415

        self._stage.on_close(Running(self._peer, self.machine, LINK, self._log).kill)


def compared(stage: Stage, rival: Rival | None, lease: Lease, until: float) -> list[Course]:
    """The other client's row (measured, or modelled without one), and ours."""
    wire = stage.server.wire.all()
    stock = modelled_stock(lease.t1 or 0, lease.t2 or 0, until)
    if rival is not None:
        from holdfast_lab.peers import ALL, version_of  # noqa: PLC0415 - only with --peer

        title = f"{rival.name} {version_of(ALL[rival.name])}"
        stock = row_of(title, "measured on the same cable", [seen for seen in wire if seen.mac == rival.mac])
    return [stock, row_of("Holdfast", "measured in this run", [seen for seen in wire if seen.mac == stage.mac])]


def picture(rows: list[Course], lease: Lease, until: float) -> str:
    """The run as an SVG."""
    from holdfast_lab.render.lease import draw  # noqa: PLC0415 - matplotlib, only with --svg

    note = (
        f"What is left of a {lease.time} s lease (T1 {lease.t1} s, T2 {lease.t2} s) while each client renews it. "
        "At 0 s the address must go."
    )
    title = "The fault: a DHCP server that does not hear unicast renewals"
    return draw(title, rows, lease=lease.time, until=until, note=note)


def row_of(title: str, subtitle: str, wire: list[Seen]) -> Course:
    """One client's run on the wire, from its first ACK."""
    acks = [seen.at for seen in wire if seen.kind == "ACK"]
    start = acks[0]

    def times(attribute: str) -> list[float]:
        return [seen.at - start for seen in wire if getattr(seen, attribute)]

    return Course(title, subtitle, [at - start for at in acks], times("unicast_renewal"), times("broadcast_renewal"))


if __name__ == "__main__":
    sys.exit(main())
