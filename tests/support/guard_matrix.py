"""``./dev guard-matrix``: five clients before servers with faults, without and with guard's rebroadcast.

Each cell is a machine of its own, in network namespaces, so that many run at once: they mostly wait. Without leave
guard only looks, so the same witness measures both. The table goes into docs/guard.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.servers import Dhcpd, Dnsmasq, Kea, Server, Service
from tests.support.site import BRIDGE, CLIENT, PORT, Site

from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.faults import Faults, Lease, Unicast
from holdfast_lab.testbed.guarded import GuardedMachine
from holdfast_lab.testbed.server import LabServer

PAGE = Path(__file__).parents[2] / "docs" / "guard.md"
BEGIN, END = "<!-- ./dev guard-matrix -->\n", "<!-- end -->\n"
CLIENTS = ("dhclient", "networkd", "NetworkManager", "dhcpcd", "udhcpc")
LEASE = Lease(time=60, t1=20, t2=50)
SERVICE = Service(lease_time=LEASE.time, t1=LEASE.t1 or 0, t2=LEASE.t2 or 0)
#: Fair seconds for the first renewal to be over: dnsmasq gives 120 s, of which udhcpc waits half, and for an answer to
#: a broadcast until the end.
PATIENCE = 180.0


@dataclass(frozen=True)
class Cell:
    """What one run showed. ``seconds``: from the first message of the renewal to its answer, None without one.
    ``result`` and ``taken`` are guard's. ``removed``: addresses that went from the interface since it began."""

    server: str
    client: str
    leave: bool
    seconds: float | None
    result: str
    taken: bool | None
    rebroadcasts: int
    removed: int
    said: str = ""


# -- servers: each is made ready, and has its fault before the first renewal -------------------------


def _scripted(faults: Faults) -> Callable[[Site, ExitStack, Path], None]:
    def make(site: Site, stack: ExitStack, _folder: Path) -> None:
        stack.enter_context(LabServer(site.server, BRIDGE, address="10.77.0.1/24", lease=LEASE, faults=faults))

    return make


def _silent_arp(site: Site, stack: ExitStack, folder: Path) -> None:
    site.server.sysctl(f"net/ipv4/conf/{BRIDGE}/arp_ignore", 8)
    _scripted(Faults(unicast=Unicast.SILENT))(site, stack, folder)


def _drop_unicast(site: Site) -> None:
    """To any server: where there are two, either may have given the lease."""
    site.on_server("nft", "add", "table", "netdev", "faults")
    site.on_server("nft", f"add chain netdev faults client {{ type filter hook ingress device {PORT} priority 0; }}")
    site.on_server("nft", "add rule netdev faults client ip daddr != 255.255.255.255 udp dport 67 drop")


def _real(kind: type[Server], *others: tuple[type[Server], str, str]) -> Callable[[Site, ExitStack, Path], None]:
    """``kind`` and other servers (their kind, address and pool), none of which hears unicast."""
    def make(site: Site, stack: ExitStack, folder: Path) -> None:
        server = kind(site.server, BRIDGE, folder, SERVICE)
        server.start()
        stack.callback(server.stop)
        _drop_unicast(site)
        for other, address, pool in others:
            machine = site.add_machine(f"{address}/24")
            second = other(machine, "eth0", folder / "second", SERVICE._replace(server=f"{address}/24", pool=pool))
            second.start()
            stack.callback(second.stop)

    return make


SERVERS: dict[str, Callable[[Site, ExitStack, Path], None]] = {
    "deaf to unicast": _scripted(Faults(unicast=Unicast.SILENT)),
    "dnsmasq, unicast is dropped": _real(Dnsmasq),
    "its ARP is silent": _silent_arp,
    "hears only 0.0.0.0": _scripted(Faults(only_from_any=True)),
    "answers after 1.5 s": _scripted(Faults(delay=1.5)),
    "its ACK goes where the request went": _scripted(Faults(unicast=Unicast.WRONG_DESTINATION)),
    "deaf, and another server's ACK": _scripted(Faults(unicast=Unicast.SILENT, answer_as="10.77.0.2")),
    "away from 15 s to 45 s": _scripted(Faults(silent=((15.0, 45.0),))),
    "dnsmasq, and a second one of the same range": _real(Dnsmasq, (Dnsmasq, "10.77.0.2", "10.77.0.50")),
    "dnsmasq, and a second one of another range": _real(Dnsmasq, (Dnsmasq, "10.77.0.2", "10.77.0.60")),
    "a pair of ISC dhcpd": _real(Dhcpd, (Dhcpd, "10.77.0.2", "10.77.0.50")),
    "Kea, unicast is dropped": _real(Kea),
}


def run(server: str, client: str, *, leave: bool) -> Cell:
    """One cell, once. A bench that cannot be made is a cell, too: the others go on."""
    try:
        return _run(server, client, leave=leave)
    except Exception as error:
        return Cell(server, client, leave, None, "failed", None, 0, 0, f"{type(error).__name__}: {error}")


def _run(server: str, client: str, *, leave: bool) -> Cell:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guard-")))
        site = Site(private_files=False)
        stack.callback(site.close)
        SERVERS[server](site, stack, folder)
        guarded = stack.enter_context(GuardedMachine(site.client, CLIENT, folder))
        guarded.guard(*(["--rebroadcast"] if leave else []))
        guarded.client(client)
        try:
            wait_until(guarded.renewals, PATIENCE, "a renewal is over")
        except AssertionError:
            return Cell(server, client, leave, None, "nothing", None, 0, 0, guarded.said())
        one = guarded.renewals()[0]
        removed = [event for event in guarded.watch.events("address-") if event.at >= one["started_at"]]
        return Cell(server, client, leave, one["latency"], one["result"], one["taken"], one["rebroadcasts"],
                    len(removed), guarded.said())


# -- the table -------------------------------------------------------------------------------------


def table(cells: Sequence[Cell]) -> Iterator[str]:
    """Markdown: a row for each server, a column for each client."""
    clients = [name for name in CLIENTS if any(cell.client == name for cell in cells)]
    yield "| server | " + " | ".join(clients) + " |"
    yield "|---" * (len(clients) + 1) + "|"
    for server in SERVERS:
        of_server = [cell for cell in cells if cell.server == server]
        if of_server:
            yield f"| {server} | " + " | ".join(
                " / ".join(_words([cell for cell in of_server if (cell.client, cell.leave) == (client, leave)])
                           for leave in (False, True)) for client in clients) + " |"


def _words(cells: Sequence[Cell]) -> str:
    """The median, and what went otherwise than by an answer that was taken."""
    if not cells:
        return "-"
    times = [cell.seconds for cell in cells if cell.seconds is not None]
    text = f"{statistics.median(times):.1f}" if times else "none"
    others = [cell.result for cell in cells if cell.result not in ("renewed", "answered")]
    text += f" {max(set(others), key=others.count)}" if others else ""
    lost = sum(1 for cell in cells if cell.removed)
    return text + (f" †{lost}" if lost else "")


def write(page: Path, lines: Sequence[str]) -> None:
    """Put the table into the page, between its marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the matrix and print its table."""
    parser = argparse.ArgumentParser(prog="./dev guard-matrix", description=__doc__)
    parser.add_argument("--client", action="append", choices=CLIENTS, help="this client alone; may be repeated")
    parser.add_argument("--server", action="append", metavar="WORDS", help="servers whose name has these words")
    parser.add_argument("--times", type=int, default=3, help="how often each cell is run (3)")
    parser.add_argument("-j", "--jobs", type=int, default=8, help="cells at once (8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run with what guard said")
    parser.add_argument("--write", action="store_true", help="write the table into docs/guard.md")
    options = parser.parse_args(arguments)
    servers = [name for name in SERVERS if not options.server or any(words in name for words in options.server)]
    jobs = [(server, client, leave) for _ in range(options.times) for server in servers
            for client in options.client or CLIENTS for leave in (False, True)]
    cells: list[Cell] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for cell in pool.map(lambda job: run(job[0], job[1], leave=job[2]), jobs):
            cells.append(cell)
            print(f"{cell.server}, {cell.client}, {'with' if cell.leave else 'without'}: "
                  f"{'no answer' if cell.seconds is None else f'{cell.seconds:.2f} s'}, {cell.result}, "
                  f"{cell.rebroadcasts} sent, {cell.removed} removed", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1))
    lines = list(table(cells))
    print("\n".join(lines))
    if options.write:
        write(PAGE, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
