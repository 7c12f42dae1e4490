"""How long a boot takes with Holdfast, and with the same image with dhclient (ifupdown) and networkd.

``./dev boot-time`` prints the table. Each figure is the median of several boots of fresh copies of one prepared disk,
the clients in turn, counted from the start of systemd: by systemd's own time stamps (those that systemd-analyze
shows), by the kernel's events and by the packets on the wire.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.support.guests.files import File, Link
from tests.support.guests.guest import Disk, Guest
from tests.support.guests.install import install
from tests.support.guests.net import Terms
from tests.support.guests.nspawn import Nspawn
from tests.support.guests.place import ROOT, remove_leftovers, why_not
from tests.support.guests.qemu import Qemu
from tests.support.guests.variants import Variant
from tests.support.monitor import boottime

#: Something at boot that needs the network, as a service that listens on an address does.
_NEEDY = {
    "/etc/systemd/system/needy.service": File(
        "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"
        "[Service]\nType=oneshot\nExecStart=/bin/true\n"
    ),
    "/etc/systemd/system/multi-user.target.wants/needy.service": Link("/etc/systemd/system/needy.service"),
}
_FORGET = "rm -rf /var/lib/dhcp/*.leases /var/lib/holdfast/* /var/log/journal/*"

_PAGE = """\
# Boot time

Seconds since systemd's start, until each thing has happened: Holdfast beside the same Debian 12 image with dhclient
(ifupdown) and with systemd-networkd. Written by `sudo ./dev boot-time --qemu --write-docs`; each boot is one of a fresh
copy of a prepared disk, the clients in turn. "unit started", "network-online" and "boot finished" are systemd's own
time stamps, as `systemd-analyze` shows them; "first packet" and "ACK" were seen on the wire, "address on link" in the
container's network namespace. The server, dnsmasq, answers at once.

{tables}"""


class Client(NamedTuple):
    """One way to be online. ``units`` are what it adds to a boot, the one that brings the address first."""

    name: str
    variant: Variant
    units: tuple[str, ...]


CLIENTS = (
    Client("holdfast", "bare", ("holdfast.service", "holdfast-wait-online.service")),
    Client("dhclient", "ifupdown", ("networking.service",)),
    Client("networkd", "networkd", ("systemd-networkd.service", "systemd-networkd-wait-online.service")),
)


class Boot(NamedTuple):
    """One boot; seconds since systemd's start, infinity for what did not happen. ``started``: the client's unit was.
    ``configured``: the address is on the link, as the kernel tells it (as seen from outside, in a container only)."""

    started: float
    first_packet: float
    ack: float
    configured: float
    online: float
    finished: float


HEADINGS = ("unit started", "first packet", "ACK", "address on link", "network-online", "boot finished")


def prepare(client: Client, folder: Path, *, virtual_machine: bool) -> Disk:
    """A disk with ``client`` enabled and nothing remembered."""
    back_end = Qemu if virtual_machine else Nspawn
    with back_end(client.variant, files=_NEEDY) as guest:
        guest.wait_booted()
        if client.name == "holdfast":
            install(guest)
            guest.push("/etc/holdfast/holdfast.toml", '[agent]\nserve = ["en*", "eth*"]\n')
            guest.shell("systemctl enable --quiet holdfast.service holdfast-wait-online.service")
        guest.shell(f"systemctl stop {' '.join(client.units)}; {_FORGET}", check=False)
        guest.power_off()
        folder.mkdir()
        return guest.keep_disk(folder)


def measure(disk: Disk, client: Client, *, virtual_machine: bool) -> tuple[Boot, Boot]:
    """Boot a copy of ``disk`` for the first time, and once more with the lease that it remembers."""
    back_end = Qemu if virtual_machine else Nspawn
    with back_end(client.variant, disk=disk, terms=Terms(lease_time=3600)) as guest:
        first = _boot(guest, client, 0.0)
        again = boottime()
        guest.power_off()
        guest.power_on()
        return first, _boot(guest, client, again)


def _boot(guest: Guest, client: Client, since: float) -> Boot:
    """Wait for the end of the boot that is going on, and read its figures."""
    with ExitStack() as stack:
        watch = None if guest.virtual_machine else guest.net.watch()
        if watch is not None:
            stack.callback(watch.close)
        guest.wait_booted()
        address = guest.wait_address()
    zero = _stamp(guest, "", "UserspaceTimestampMonotonic")
    # The guest's clock and ours: a container's is ours, a virtual machine's began later.
    asked = boottime()
    uptime = float(guest.pull("/proc/uptime").split()[0])
    start = zero + ((asked + boottime()) / 2 - uptime if guest.virtual_machine else 0.0)
    packets = guest.net.packets
    sent = [seen.at for seen in packets.sent("DISCOVER", "REQUEST", since=since)]
    acks = [seen.at for seen in packets.received("ACK", since=since)]
    added = [] if watch is None else [e.at for e in watch.events("address+") if e.what.startswith(f"{address}/")]
    return Boot(
        _stamp(guest, client.units[0], "InactiveExitTimestampMonotonic") - zero,
        _first(sent) - start, _first(acks) - start, _first(added) - start,
        _stamp(guest, "network-online.target", "ActiveEnterTimestampMonotonic") - zero,
        _stamp(guest, "", "FinishTimestampMonotonic") - zero,
    )


def _first(instants: Sequence[float]) -> float:
    return min(instants, default=float("inf"))


def _stamp(guest: Guest, unit: str, name: str) -> float:
    """One of systemd's time stamps, in seconds; infinity when it was never set."""
    words = ["systemctl", "show", f"--property={name}", "--value", *([unit] if unit else [])]
    value = int(guest.run(words, check=True).stdout)
    return value / 1e6 if value else float("inf")


def compare(runs: int, *, virtual_machine: bool) -> dict[str, tuple[Boot, Boot]]:
    """The medians of each client: of its first boots, and of those with a remembered lease."""
    found: dict[str, list[tuple[Boot, Boot]]] = {client.name: [] for client in CLIENTS}
    with tempfile.TemporaryDirectory() as temporary:
        disks = {
            client: prepare(client, Path(temporary, client.name), virtual_machine=virtual_machine)
            for client in CLIENTS
        }
        for _ in range(runs):
            for client, disk in disks.items():
                found[client.name].append(measure(disk, client, virtual_machine=virtual_machine))
    return {name: (_medians([one for one, _ in boots]), _medians([two for _, two in boots]))
            for name, boots in found.items()}


def _medians(boots: Sequence[Boot]) -> Boot:
    return Boot(*(median(values) for values in zip(*boots, strict=True)))


def table(results: dict[str, tuple[Boot, Boot]]) -> str:
    """Markdown, seconds since systemd's start."""
    lines = ["| boot | client | " + " | ".join(HEADINGS) + " |", "|---" * (len(HEADINGS) + 2) + "|"]
    for number, boot in enumerate(("first", "with a remembered lease")):
        for name, boots in results.items():
            values = ("-" if value == float("inf") else f"{value:.2f}" for value in boots[number])
            lines.append(f"| {boot} | {name} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def main() -> None:
    """The command line of ``./dev boot-time``."""
    parser = argparse.ArgumentParser(prog="./dev boot-time", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="boots of each client (5)")
    parser.add_argument("--qemu", action="store_true", help="in virtual machines (a minute for each run) too")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks/boot-time.md anew")
    arguments = parser.parse_args()
    reason = why_not()
    if reason is not None:
        parser.exit(1, f"{reason}\n")
    remove_leftovers()
    tables = []
    for virtual_machine in (False, True) if arguments.qemu else (False,):
        place = "a virtual machine (QEMU without KVM)" if virtual_machine else "a container (systemd-nspawn)"
        results = compare(arguments.runs, virtual_machine=virtual_machine)
        tables.append(f"In {place}, medians of {arguments.runs}:\n\n{table(results)}\n")
        print(tables[-1], flush=True)
    if arguments.write_docs:
        (ROOT / "docs/benchmarks/boot-time.md").write_text(_PAGE.format(tables="\n".join(tables)))


if __name__ == "__main__":
    main()
