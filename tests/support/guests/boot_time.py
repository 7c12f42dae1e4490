"""How long a boot takes with Holdfast, and with the same image with dhclient (ifupdown), networkd and NetworkManager.

``./dev boot-time`` prints the table, and with ``--write-docs`` writes docs/benchmarks/boot-time.md and its picture.
Each figure is the median of several boots of fresh copies of one prepared disk, the clients in turn, counted from the
start of systemd: by systemd's own time stamps (those that systemd-analyze shows), by the kernel's events and by the
packets on the wire.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.support.guests.files import File, Link
from tests.support.guests.guest import Disk, Guest
from tests.support.guests.install import install, payload
from tests.support.guests.net import Terms
from tests.support.guests.nspawn import Nspawn
from tests.support.guests.place import ROOT, SLOTS, remove_leftovers, why_not
from tests.support.guests.qemu import Qemu
from tests.support.guests.variants import LINK, Variant
from tests.support.monitor import boottime

from holdfast import __version__
from holdfast_lab.bench.docs import machine
from holdfast_lab.peers import FLOOR
from holdfast_lab.render.charts import Row, bar_chart

#: Something at boot that needs the network, as a service that listens on an address does.
_NEEDY = {
    "/etc/systemd/system/needy.service": File(
        "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"
        "[Service]\nType=oneshot\nExecStart=/bin/true\n"
    ),
    "/etc/systemd/system/multi-user.target.wants/needy.service": Link("/etc/systemd/system/needy.service"),
}
_FORGET = "rm -rf /var/lib/dhcp/*.leases /var/lib/holdfast/* /var/lib/NetworkManager/*.lease /var/log/journal/*"
#: As systemd-update-done(8), which the tree lacks, does on an installed machine: systemd-sysusers does nothing then.
_UP_TO_DATE = "touch /etc/.updated /var/.updated"
#: Seconds between two looks at a boot: each takes processor time from it.
_PAUSE = 1.0
_VERSIONS = """
python3 -c 'import platform as p; print(p.freedesktop_os_release()["PRETTY_NAME"], "with Python", p.python_version())'
dhclient --version 2>&1 | sed 's/^isc-//; s/ .*//; s/dhclient-/dhclient /'
systemctl --version | sed -n '1s/ (.*//p'
echo "NetworkManager $(NetworkManager --version)"
"""

FOLDER = "docs/benchmarks"
TITLE = "From systemd's start to an address, and to the network's target"

_PAGE = """\
# Boot time

<!-- Written by ./dev boot-time; a change made by hand is lost. -->

Seconds from systemd's start until each thing has happened, Holdfast beside the same image with the clients of the
distribution. Measured {date} on {processor}, {kernel}; {load}. The guests: {versions}; Holdfast {holdfast}.
Under load all clients are slower; the order is what counts.

```
{command}
```

![{title}](boot-time.svg)

{budget}

{tables}
- **holdfast** is alone on its image and serves one link by its name, as dhclient does in its image (`systemctl enable
  holdfast@ens3`); **holdfast, patterns** is the same with `serve = ["en*", "eth*"]`. **holdfast, ifupdown** and
  **holdfast, networkd** are the images of dhclient and of networkd with one more file, the list of links: before the
  manager starts, the overlay takes its DHCPv4 out of it.
- **floor** is no client: in the unit of the agent, an interpreter that sends one DISCOVER and does nothing else.
- Each boot is one of a fresh copy of a prepared disk, the clients in turn. The first boots have no lease; then the
  same disk boots once more. systemd-sysusers has nothing to do, as on an installed machine.
- "unit started", "network-online" and "boot finished" are systemd's own time stamps, as `systemd-analyze` shows them;
  "first packet" and "ACK" were seen on the wire, "address on link" in the container's network namespace; it is not
  seen from outside a virtual machine. The server, dnsmasq, answers at once.
- For Holdfast and for dhclient network-online.target means that the lease's name servers are in use, too.
"""
_EMULATED = """\
One processor, and a slow one. Holdfast and networkd are started long before the link is there, which comes when udev
has loaded its driver. What is started meanwhile (an interpreter for the agent, one for what waits) takes the processor
from udev; dhclient is started after it.
"""


class Client(NamedTuple):
    """One way to be online. ``units`` are what it adds to a boot, the one that brings the address first."""

    name: str
    variant: Variant
    units: tuple[str, ...]


#: Links of any name, as an image has them that does not know its machine.
_PATTERNS = '[agent]\nserve = ["en*", "eth*"]\n'
_AGENT, _WAIT = "holdfast@ens3.service", "holdfast-wait-online.service"
CLIENTS = (
    Client("holdfast", "bare", (_AGENT, _WAIT)),
    Client("holdfast, patterns", "bare", ("holdfast.service", _WAIT)),
    Client("holdfast, ifupdown", "ifupdown", (_AGENT, _WAIT, "networking.service")),
    Client("holdfast, networkd", "networkd", (_AGENT, _WAIT, "systemd-networkd.service")),
    Client("dhclient", "ifupdown", ("networking.service",)),
    Client("networkd", "networkd", ("systemd-networkd.service", "systemd-networkd-wait-online.service")),
    Client("NetworkManager", "networkmanager", ("NetworkManager.service", "NetworkManager-wait-online.service")),
    Client("floor", "bare", (_AGENT,)),
)
#: Those that are booted in virtual machines, too: two boots of one take half a minute there.
_IN_MACHINES = ("holdfast", "dhclient", "networkd", "NetworkManager")
_, _, _, _SEND, _, _DISCOVER = FLOOR.command
#: What no client in Python can be faster than, in the agent's unit: an interpreter that sets the link up
#: (SIOCSIFFLAGS), opens a start's sockets and sends one DISCOVER.
_FLOOR = f"""\
import fcntl, struct, sys, _socket
fcntl.ioctl(_socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM), 0x8914,
            struct.pack("16sH14x", sys.argv[1].encode(), 0x1043))
{_SEND}"""
_FLOOR_UNIT = f"""\
[Service]
Type=simple
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=/usr/bin/python3 -IS /usr/local/lib/floor.py %i {_DISCOVER}
"""


class Boot(NamedTuple):
    """One boot; seconds since systemd's start, infinity for what did not happen. ``started``: the client's unit was.
    ``configured``: the address is on the link, as the kernel tells it (as seen from outside, in a container only).
    In the medians of several boots ``slowest`` is the slowest one's ACK."""

    started: float
    first_packet: float
    ack: float
    configured: float
    online: float
    finished: float
    slowest: float = float("inf")


HEADINGS = ("unit started", "first packet", "ACK", "address on link", "network-online", "boot finished",
            "the slowest ACK")


def prepare(client: Client, folder: Path, *, virtual_machine: bool) -> Disk:
    """A disk with ``client`` enabled and nothing remembered."""
    back_end = Qemu if virtual_machine else Nspawn
    with back_end(client.variant, files=_NEEDY) as guest:
        guest.wait_booted()
        if client.units[0] in (_AGENT, "holdfast.service"):
            install(guest)
            if client.name == "floor":
                guest.push("/usr/local/lib/floor.py", _FLOOR)
                guest.push(f"/etc/systemd/system/{_AGENT}.d/floor.conf", _FLOOR_UNIT)
            if client.variant == "bare":
                guest.push("/etc/holdfast/holdfast.d/50-links.toml", _PATTERNS if client.units[0] != _AGENT else "")
                guest.shell(f"systemctl enable --quiet {' '.join(client.units)}")
            else:
                guest.push("/etc/holdfast/links", f"{LINK}\n")
        guest.shell(f"systemctl stop {' '.join(client.units)}; {_FORGET}; {_UP_TO_DATE}", check=False)
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
        guest.wait_booted(pause=_PAUSE)
        address = "" if client.name == "floor" else guest.wait_address()
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


def compare(
    runs: int, *, virtual_machine: bool, clients: Sequence[Client] = CLIENTS, jobs: int = 1
) -> dict[str, tuple[Boot, Boot]]:
    """The medians of each client: of its first boots, and of those with a remembered lease. ``jobs`` guests at once."""
    payload()  # once, before the guests want it
    context = multiprocessing.get_context("spawn")  # a guest's network lives in threads, which a fork would lose
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(jobs, mp_context=context) as pool:
        made = [(client, pool.submit(prepare, client, Path(temporary, client.name), virtual_machine=virtual_machine))
                for client in clients]
        disks = {client: future.result() for client, future in made}
        boots = {pool.submit(measure, disks[client], client, virtual_machine=virtual_machine): client.name
                 for _ in range(runs) for client in clients}
        for number, future in enumerate(as_completed(boots), 1):
            future.result()
            print(f"boot-time: {number} of {len(boots)}: {boots[future]}", file=sys.stderr, flush=True)
    found: dict[str, list[tuple[Boot, Boot]]] = {client.name: [] for client in clients}
    for future, name in boots.items():
        found[name].append(future.result())
    return {name: (_medians([one for one, _ in each]), _medians([two for _, two in each]))
            for name, each in found.items()}


def _medians(boots: Sequence[Boot]) -> Boot:
    medians = Boot(*(median(values) for values in zip(*boots, strict=True)))
    return medians._replace(slowest=max(boot.ack for boot in boots))


def table(results: dict[str, tuple[Boot, Boot]]) -> str:
    """Markdown, seconds since systemd's start."""
    lines = ["| boot | client | " + " | ".join(HEADINGS) + " |", "|---" * (len(HEADINGS) + 2) + "|"]
    for number, boot in enumerate(("first", "with a remembered lease")):
        for name, boots in results.items():
            values = ("-" if value == float("inf") else f"{value:.2f}" for value in boots[number])
            lines.append(f"| {boot} | {name} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def budget(results: dict[str, tuple[Boot, Boot]]) -> str:
    """The budget as a sentence: Holdfast, alone on its image, is no later than dhclient and networkd."""
    said = []
    for what, field in (("the address", "configured"), ("network-online.target", "online")):
        mine, *others = (getattr(results[name][0], field) for name in ("holdfast", "dhclient", "networkd"))
        words = " and ".join(f"{name}'s {mine - other:+.2f} s: {'met' if mine <= other else 'MISSED'}"
                             for name, other in zip(("dhclient", "networkd"), others, strict=True))
        said.append(f"{what} {words}")
    return f"Holdfast alone is to be no later than dhclient and networkd. First boots: {'; '.join(said)}."


def chart(results: dict[str, tuple[Boot, Boot]], runs: int) -> str:
    """The first boots as a picture; there is no room for long names beside it."""
    rows = [Row(name.replace("holdfast, ", "with "), (first.configured, first.online), name.startswith("holdfast"))
            for name, (first, _) in results.items() if name != "floor"]
    note = f"Seconds, first boots in containers, medians of {runs}"
    return bar_chart(TITLE, note, rows, ["address on the link", "network-online.target"], unit="s")


def _versions() -> str:
    """What runs in a guest."""
    with Nspawn("bare") as guest:
        guest.wait_booted(pause=_PAUSE)
        return ", ".join(guest.shell(_VERSIONS, check=False).split("\n")).strip(", ")


def _write(tables: Sequence[str], results: dict[str, tuple[Boot, Boot]], runs: int, command: str, load: str) -> None:
    """The page and the picture."""
    folder = ROOT / FOLDER
    (folder / "boot-time.svg").write_text(chart(results, runs), encoding="utf-8")
    page = _PAGE.format(**machine(), load=load, versions=_versions(), holdfast=__version__, command=command,
                        title=TITLE, budget=budget(results), tables="\n".join(tables))
    (folder / "boot-time.md").write_text(page, encoding="utf-8")


def main() -> None:
    """The command line of ``./dev boot-time``."""
    parser = argparse.ArgumentParser(prog="./dev boot-time", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="boots of each client (10)")
    parser.add_argument("--qemu", type=int, default=0, metavar="N", help="and so many boots of each of four in virtual "
                        "machines, a minute or two for each N")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks/boot-time.md and .svg anew")
    arguments = parser.parse_args()
    reason = why_not()
    if reason is not None:
        parser.exit(1, f"{reason}\n")
    remove_leftovers()
    before, tables = os.getloadavg()[0], []
    results = compare(arguments.runs, virtual_machine=False)
    tables.append(f"In a container (systemd-nspawn), medians of {arguments.runs}:\n\n{table(results)}\n")
    print(tables[-1], flush=True)
    if arguments.qemu:
        jobs = min(os.cpu_count() or 1, SLOTS)
        booted = [client for client in CLIENTS if client.name in _IN_MACHINES]
        emulated = table(compare(arguments.qemu, virtual_machine=True, clients=booted, jobs=jobs))
        tables.append(f"In a virtual machine (QEMU without KVM, {jobs} at a time), medians of {arguments.qemu}:\n\n"
                      f"{emulated}\n\n{_EMULATED}")
        print(tables[-1], flush=True)
    if arguments.write_docs:
        load = f"the load was {before:.1f} before and {os.getloadavg()[0]:.1f} after"
        _write(tables, results, arguments.runs, " ".join(["sudo ./dev boot-time", *sys.argv[1:]]), load)


if __name__ == "__main__":
    main()
