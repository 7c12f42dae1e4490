"""The benchmark's page and pictures in docs/benchmarks/, and a description of the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
from pathlib import Path

from holdfast_lab.bench import report
from holdfast_lab.bench.figures import LEASES, Figures
from holdfast_lab.render.charts import Limit, Row, bar_chart, dot_chart, value_text

TITLE_START = "From start to an address"
TITLE_FAULT = "A renewal by unicast that nobody answers"
TITLE_MEMORY = "Memory of a client that holds a lease"


def machine() -> dict[str, str]:
    """What the figures depend on, in words."""
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        system = "unknown"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "processor": f"{os.cpu_count()} x {processor_in(Path('/proc/cpuinfo').read_text())}",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": system,
        "python": platform.python_version(),
    }


def processor_in(cpuinfo: str) -> str:
    """The model's name in /proc/cpuinfo; "unknown" where the kernel does not tell."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model", "Hardware"}:
            return value.strip()
    return "unknown"


def write(figures: Figures, folder: Path) -> list[Path]:
    """Write the page, the pictures and the raw figures; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "start.svg": start_chart(figures),
        "fault.svg": fault_chart(figures),
        "memory.svg": memory_chart(figures),
        "README.md": page(figures),
        "results.json": json.dumps(figures.as_json(), indent=1) + "\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def start_chart(figures: Figures) -> str:
    """Exec to first DISCOVER and to the address, with the two budgets that hang on dhclient."""
    rows = [
        Row(name, (_times(figures.discover(name), 1000), _times(figures.address(name), 1000)), name == report.OURS)
        for name in report.clients_in(figures)
    ]
    limits = []
    discover, address = figures.discover("dhclient"), figures.address("dhclient")
    if discover and address:
        limits = [
            Limit(2000 * discover, "budget for the DISCOVER"),
            Limit(3000 * address, "budget for the address"),
        ]
    runs = max((len(one.address) for one in figures.starts.values()), default=0)
    note = f"Milliseconds after exec, medians of {runs} cold start{'' if runs == 1 else 's'}; logarithmic axis"
    return dot_chart(TITLE_START, note, rows, ["first DISCOVER on the wire", "address configured"], limits, unit="ms")


def fault_chart(figures: Figures) -> str:
    """The fault, for both leases."""
    rows = [
        Row(name, tuple(figures.fault_first(name, lease) for lease in LEASES), name == report.OURS)
        for name in report.clients_in(figures)
    ]
    note = "Seconds from the first unanswered unicast REQUEST to the next ACK"
    return bar_chart(TITLE_FAULT, note, rows, [f"lease of {lease} s" for lease in LEASES], unit="s")


def memory_chart(figures: Figures) -> str:
    """PSS when bound and idle."""
    rows = [
        Row(name, (figures.idle[name].pss / report.MIB,), name == report.OURS)
        for name in report.clients_in(figures)
        if name in figures.idle
    ]
    note = "Proportional set size of all its processes, bound and idle"
    return bar_chart(TITLE_MEMORY, note, rows, ["PSS"], unit="MiB")


def page(figures: Figures) -> str:
    """docs/benchmarks/README.md."""
    return "\n\n".join([*_head(figures), *_tables(figures), *_method(figures)]) + "\n"


def _head(figures: Figures) -> list[str]:
    facts = figures.machine
    where = f"{facts.get('processor')}, {facts.get('kernel')}, {facts.get('system')}, Python {facts.get('python')}"
    lines = [
        "# How fast, how small",
        "<!-- Written by the benchmark itself; a change made by hand is lost. -->",
        "Holdfast and the DHCP clients of the distributions, one after the other on the same cable against the same "
        "lab server. Seconds differ from machine to machine; the ratios are what counts.",
        f"Measured {facts.get('date')} on {where}. To measure again on yours (as root, about ten minutes):",
        f"```\n{figures.command}\n```",
    ]
    if figures.missing:
        lines.append(f"Not installed, so left out: {', '.join(figures.missing)}.")
    return lines


def _tables(figures: Figures) -> list[str]:
    return [
        "## Budgets",
        report.markdown_table(report.verdict_table(report.verdicts(figures)), words=True),
        "## The clients side by side",
        report.markdown_table(report.main_table(figures)),
        f"![{TITLE_START}](start.svg)",
        f"![{TITLE_FAULT}](fault.svg)",
        f"![{TITLE_MEMORY}](memory.svg)",
        "## Ratios",
        "Holdfast's figure divided by the peer's: under 1, Holdfast needs less.",
        report.markdown_table(report.ratio_table(figures)),
    ]


def _method(figures: Figures) -> list[str]:
    runs = max((len(one.address) for one in figures.starts.values()), default=0)
    shares = sorted(share for one in figures.starts.values() for share in one.server)
    server = value_text(1000 * shares[len(shares) // 2], "ms") if shares else "not measured"
    window = max((one.window for one in figures.idle.values()), default=0)
    ours = figures.idle.get(report.OURS)
    rss = value_text(ours.rss / report.MIB, "MiB") if ours else "not measured"
    points = [
        "Every client runs as its distribution ships it, with its own defaults, in network, mount, PID and UTS "
        "namespaces of its own: /etc and /var are overlays, /run is empty, /sys is read-only. NetworkManager gets a "
        "private message bus, which is not counted. Holdfast is started as its systemd unit starts it.",
        f"**Starts**: no stored lease, link up. {runs} round{'' if runs == 1 else 's'}; in each round every client "
        "starts once, so that a change of the machine's mood meets all alike; a first round warms the caches and is "
        "not counted. The DISCOVER has the kernel's time stamp from the server's end of the cable; the address is the "
        f"kernel's netlink event. The lab server, written in Python, takes {server} of each start for its two answers "
        "(median); that is part of every client's figure. dhcpcd checks a new address for conflicts before it uses "
        "it, hence its seconds.",
        "**Fault**: the server ignores what is sent to it by unicast. T1 and T2 are 1/2 and 7/8 of the lease. The "
        "time runs from a renewal's first REQUEST to the ACK, both on the wire. One run, all clients at once; where "
        "a client renewed more than once the table has the first; for Holdfast, which remembers a deaf server, the "
        "median of the later ones follows.",
        f"**Memory, processor**: a 24 h lease, {window:.0f} s with nothing to do; PSS from smaps_rollup, processor "
        "time from schedstat, wake-ups are voluntary context switches; all processes of the client together. The "
        "two clients in Python are not idle at the same time, since they would share their interpreter. The "
        f"benchmark itself runs on it, which helps both; Holdfast's resident set, nothing shared, is {rss}.",
        "**Decode**: from the IP packet of an ACK with 13 options to its fields, medians of 15 rounds in turns with "
        "scapy.",
        f"**Flood**: replies to the client's own port, broken in eight ways, while T1 passes. {_flood(figures)}",
        "Raw figures: [results.json](results.json).",
    ]
    return ["## How it was measured", "\n".join(f"- {point}" for point in points)]


def _flood(figures: Figures) -> str:
    flood = figures.flood
    if flood is None:
        return "Not measured."
    return f"Holdfast spent {value_text(flood.processor, 's')} of processor time on it in {flood.seconds:.0f} s."


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
