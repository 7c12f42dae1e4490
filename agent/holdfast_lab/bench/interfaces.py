"""``./dev interfaces``: what one daemon takes that serves many interfaces of one segment, beside a budget for each.

Every interface has to be bound, or nothing is measured. Each announces its address there by ARP, and all others see
it: what is counted besides memory and descriptors are the requests by ioctl up to then, which a busy machine does not
change.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from holdfast_lab.bench.docs import machine as this_machine
from holdfast_lab.bench.profile_start import NOT_PERMITTED
from holdfast_lab.peers import SITE
from holdfast_lab.peers.running import size_in
from holdfast_lab.render.tables import markdown_table
from holdfast_lab.testbed import dnsmasq, fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace, Switch

#: Fair seconds for all to be bound, and seconds for what follows: announcements, whose sockets close after the last,
#: and what is done once after a start.
PATIENCE, SETTLE = 120.0, 20.0
#: Seconds: no renewal falls into the measurement.
LEASE = 86400
#: What each further interface may take: bytes of memory, and descriptors.
MEMORY, DESCRIPTORS = 150 << 10, 3
PAGE = Path(__file__).parents[3] / "docs/benchmarks/interfaces.md"

#: The daemon, its requests counted; it tells how many at its end.
DAEMON = """
import fcntl, sys
sys.path[:0] = SITE
plain, count = fcntl.ioctl, [0]
def counted(*words):
    count[0] += 1
    return plain(*words)
fcntl.ioctl = counted
import holdfast.runtime.__main__ as daemon
try: daemon.main(WORDS)
finally: open(COUNT, "w").write(str(count[0]))
"""


class Taken(NamedTuple):
    """What a daemon takes, bound and idle: bytes, open descriptors, requests by ioctl since its start, and seconds of
    processor time since then."""

    interfaces: int
    pss: int
    resident: int
    descriptors: int
    requests: int
    processor: float


def measure(number: int) -> Taken:
    """Serve ``number`` interfaces on one switch. AssertionError, or RuntimeError, when not all are bound."""
    names = [f"hf{one}" for one in range(number)]
    with ExitStack() as open_now, tempfile.TemporaryDirectory(prefix="holdfast-interfaces-") as folder:
        machine = open_now.enter_context(Namespace("many"))
        switch = open_now.enter_context(Switch())
        dnsmasq.prepare(machine)
        for name in names:
            switch.plug(machine, name)
        server, _ = dnsmasq.serve(switch, time=LEASE)
        open_now.callback(fair_time.end, server, signal.SIGTERM, PATIENCE)
        config, count = Path(folder) / "holdfast.toml", Path(folder) / "count"
        config.write_text("[defaults]\nuse_dns = false\nuse_ntp = false\n", encoding="ascii")
        words = ["--config", str(config), "--state-dir", f"{folder}/state", "--runtime-dir", f"{folder}/run", *names]
        code = DAEMON.replace("SITE", repr(list(SITE)), 1).replace("WORDS", repr(words), 1)
        with (Path(folder) / "log").open("wb") as log:
            daemon = machine.start_client(
                [sys.executable, "-IS", "-c", code.replace("COUNT", repr(str(count)), 1)], stdout=log, stderr=log)

        def bound() -> int:
            return machine.output(["ip", "-4", "-o", "addr", "show"]).count(f" inet {dnsmasq.PREFIX}")

        wait_until(lambda: bound() == number or daemon.poll() is not None, PATIENCE, "all are bound")
        if daemon.poll() is not None:
            raise RuntimeError((Path(folder) / "log").read_text(errors="replace")[-500:])
        time.sleep(SETTLE)
        assert bound() == number, "an address is gone"
        own = Path(f"/proc/{daemon.pid}")
        rollup = (own / "smaps_rollup").read_text(encoding="ascii")
        descriptors, processor = len(os.listdir(own / "fd")), int((own / "schedstat").read_text().split()[0]) / 1e9
        fair_time.end(daemon, signal.SIGTERM, PATIENCE)
        requests = int(count.read_text(encoding="ascii"))
        return Taken(number, size_in(rollup, "Pss"), size_in(rollup, "Rss"), descriptors, requests, processor)


def verdict(first: Taken, last: Taken) -> tuple[str, bool]:
    """What each interface beyond those of ``first`` takes, in words, and whether it is within the budget."""
    more = last.interfaces - first.interfaces
    pss, resident, descriptors = ((getattr(last, name) - getattr(first, name)) / more
                                  for name in ("pss", "resident", "descriptors"))
    met = max(pss, resident) < MEMORY and descriptors <= DESCRIPTORS
    return (f"each of {more} more takes {pss / 1024:.0f} KiB of PSS ({resident / 1024:.0f} KiB resident) and "
            f"{descriptors:.1f} descriptors; under {MEMORY >> 10} KiB and {DESCRIPTORS} are allowed: "
            f"{'met' if met else 'MISSED'}"), met


def table(rows: Sequence[Taken]) -> str:
    """Markdown."""
    heading = ("interfaces", "PSS, MiB", "resident, MiB", "descriptors", "requests by ioctl", "processor, s")
    return markdown_table([heading, *(
        (str(one.interfaces), f"{one.pss / 2**20:.2f}", f"{one.resident / 2**20:.2f}", str(one.descriptors),
         str(one.requests), f"{one.processor:.2f}") for one in rows
    )])


def page(rows: Sequence[Taken], verdicts: Sequence[str], command: str) -> str:
    """docs/benchmarks/interfaces.md."""
    here = this_machine()
    return f"""\
# Many interfaces

<!-- Written by ./dev interfaces; a change made by hand is lost. -->

What one daemon takes, bound and idle, that serves so many interfaces on one switch. Measured {here["date"]} on
{here["processor"]}, {here["kernel"]}, Python {here["python"]}. The server is dnsmasq; all interfaces start at once, and
each sees the ARP of all others. The requests by ioctl and the processor time are those from the start until all were
bound and {SETTLE:g} s later.

```
{command}
```

{table(rows)}

{"".join(f"- From {line}" + chr(10) for line in verdicts)}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 could not measure or a budget is missed, 2 usage, 5 not root."""
    parser = argparse.ArgumentParser(prog="./dev interfaces", description="What many interfaces take.")
    parser.add_argument("number", type=int, nargs="*", default=[1, 2, 10, 100], help="of interfaces (1 2 10 100)")
    parser.add_argument("--write-docs", action="store_true", help=f"write docs/benchmarks/{PAGE.name} anew")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("interfaces: needs root, to make network namespaces; use sudo", file=sys.stderr)
        return NOT_PERMITTED
    rows: list[Taken] = []
    for number in (options.number[0], *options.number):  # the first start may have to compile, which takes memory
        try:
            rows.append(measure(max(1, number)))
        except (AssertionError, RuntimeError) as error:
            print(f"interfaces: {number}: {error}", file=sys.stderr)
            return 1
    del rows[0]
    print(table(rows))
    judged = [(f"{one.interfaces} to {other.interfaces}: ", verdict(one, other)) for one, other in pairwise(rows)]
    verdicts = [words + text for words, (text, _) in judged]
    print("", *verdicts, sep="\n")
    if options.write_docs:
        command = " ".join(["sudo ./dev interfaces", *(sys.argv[1:] if arguments is None else arguments)])
        PAGE.write_text(page(rows, verdicts, command), encoding="utf-8")
    return 0 if all(met for _, (_, met) in judged) else 1


if __name__ == "__main__":
    raise SystemExit(main())
