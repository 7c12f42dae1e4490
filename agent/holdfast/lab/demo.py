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

from holdfast.lab.faults import Faults, Lease, Unicast
from holdfast.lab.netns import Namespace, NamespaceError, enter_user_namespace
from holdfast.lab.picture import Row, draw, modelled_stock
from holdfast.lab.stage import LINK, Stage, hardware_address
from holdfast.lab.timeline import Screen, Timeline
from holdfast.lab.verdict import Renewal, renewals
from holdfast.lab.wirelog import Seen, boottime

T1, T2 = 10, 26
LEASE = Lease(time=30, t1=T1, t2=T2)
#: The demo is over when the stock client's time to broadcast has passed, and never later than this (seconds).
LONGEST = 55.0


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="./dev demo", description="Show the fault, and how Holdfast holds.")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw the run as a picture as well")
    parser.add_argument("--peer", choices=["dhclient"], help="run this client beside Holdfast, on the same cable")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is put away
    try:
        if os.geteuid() != 0:
            enter_user_namespace()
        return run(options.svg, options.peer)
    except NamespaceError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndemo: stopped; nothing is left behind", file=sys.stderr)
        return 130


def run(svg: Path | None, peer: str | None) -> int:
    """Set the stage, show the run, judge it."""
    screen = Screen(sys.stdout)
    faults = Faults(unicast=Unicast.SILENT)
    with Stage(lease=LEASE, faults=faults, switch=peer is not None) as stage:
        rival = Rival(stage, peer) if peer else None
        screen.heading(LEASE, peer)
        timeline = Timeline(screen, stage, LEASE, rival_mac=rival.mac if rival else None, rival=peer)
        if rival:
            rival.start()
        stage.start()
        timeline.began(stage.started_at)
        watch(stage, timeline)
        history = stage.command("history", LINK)
        findings = stage.findings()
        mine = renewals([seen for seen in stage.server.wire.all() if seen.mac == stage.mac])
        screen.comparison(LEASE, mine, rival_waits(stage, rival), peer)
        probes = sum(len(stage.prober.probes(address)) for address in stage.server.given[:1])
        kept = screen.verdict(findings, enough(mine), probes)
        screen.history(history.stdout or history.stderr)
        if not kept:
            screen.plain(f"\nWhat holdfast said:\n{stage.log()}")
        if svg:
            svg.parent.mkdir(parents=True, exist_ok=True)
            svg.write_text(picture(stage, rival, peer), encoding="utf-8")
            screen.plain(f"\nThe picture is in {svg}")
    return 0 if kept else 1


def watch(stage: Stage, timeline: Timeline) -> None:
    """Show the run until the stock client would have been answered, and a renewal of ours is not under way."""
    assert stage.process is not None
    while boottime() - stage.started_at < LONGEST:
        timeline.show()
        if stage.process.poll() is not None:
            raise SystemExit(f"demo: holdfast ended with status {stage.process.returncode}:\n{stage.log()}")
        first = stage.server.first_ack_at
        mine = renewals([seen for seen in stage.server.wire.all() if seen.mac == stage.mac])
        if first is not None and boottime() > first + T2 + 6 and enough(mine) and mine[-1].ack_at is not None:
            break
        time.sleep(0.05)
    timeline.finish()


def enough(mine: list[Renewal]) -> bool:
    """At least two renewals whose unicast went unanswered and that were acknowledged after a broadcast."""
    return sum(renewal.ack_at is not None and not renewal.by_unicast for renewal in mine) >= 2


class Rival:
    """Another client on the same cable, to compare with."""

    def __init__(self, stage: Stage, name: str) -> None:
        from holdfast.lab.peers import ALL, find  # noqa: PLC0415 - only with --peer

        if find(name) is None:
            raise NamespaceError(f"{name} is not installed here")
        self._peer = ALL[name]
        self._log = stage.client.directory / f"{name}.log"
        self.machine = Namespace(name, private_files=False)  # its cage brings its own
        stage.on_close(self.machine.close)
        stage.switch.plug(self.machine, LINK)
        self.mac = self.machine.run(lambda: hardware_address(LINK))
        self._stage = stage

    def start(self) -> None:
        """Start it; it ends with the stage."""
        from holdfast.lab.peers.running import Running  # noqa: PLC0415

        self._stage.on_close(Running(self._peer, self.machine, LINK, self._log).kill)


def rival_waits(stage: Stage, rival: Rival | None) -> list[Renewal]:
    """The other client's renewals as seen on the wire."""
    if rival is None:
        return []
    return renewals([seen for seen in stage.server.wire.all() if seen.mac == rival.mac])


def picture(stage: Stage, rival: Rival | None, peer: str | None) -> str:
    """The run as an SVG."""
    wire = stage.server.wire.all()
    until = boottime() - (stage.server.first_ack_at or 0.0)
    until = min(until, 40.0)
    stock = modelled_stock(T1, T2, until)
    if rival is not None:
        version = f"{peer}, on the same cable at the same time"
        stock = row_of(str(peer), version, [seen for seen in wire if seen.mac == rival.mac])
    ours = row_of("Holdfast", "as measured in this run", [seen for seen in wire if seen.mac == stage.mac])
    note = (
        f"What is left of a {LEASE.time} s lease (T1 {T1} s, T2 {T2} s) while each client renews it. "
        "At 0 s the address would be gone."
    )
    title = "The fault: a DHCP server that does not hear unicast renewals"
    return draw(title, [stock, ours], lease=LEASE.time, until=until, note=note)


def row_of(title: str, subtitle: str, wire: list[Seen]) -> Row:
    """One client's run on the wire, from its first ACK."""
    acks = [seen.at for seen in wire if seen.kind == "ACK"]
    start = acks[0]

    def times(attribute: str) -> list[float]:
        return [seen.at - start for seen in wire if getattr(seen, attribute)]

    return Row(title, subtitle, [at - start for at in acks], times("unicast_renewal"), times("broadcast_renewal"))


if __name__ == "__main__":
    sys.exit(main())
