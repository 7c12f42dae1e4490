"""The benchmark's page and pictures in docs/benchmarks/, and a description of the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
from pathlib import Path

from holdfast_lab.bench import report
from holdfast_lab.bench.figures import LEASES, Figures
from holdfast_lab.render import pages
from holdfast_lab.render.charts import Limit, Row, bar_chart, dot_chart

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
    """Exec to first DISCOVER and to the address, with the two budgets that hang on peers."""
    rows = [
        Row(name.replace(", Python", ","), (_times(figures.discover(name), 1000), _times(figures.address(name), 1000)),
            name == report.OURS)
        for name in report.clients_in(figures)
    ]
    limits = []
    discover, address = figures.discover("dhclient"), figures.address("networkd")
    if discover and address:
        limits = [
            Limit(1000 * report.DISCOVER * discover, "budget for the DISCOVER"),
            Limit(1000 * report.ADDRESS * address, "budget for the address"),
        ]
    runs = max((len(one.address) for one in figures.starts.values()), default=0)
    note = f"Milliseconds after exec, medians of {runs} cold start{'' if runs == 1 else 's'}; logarithmic axis"
    return dot_chart(TITLE_START, note, rows, ["first DISCOVER on the wire", "address configured"], limits, unit="ms")


def fault_chart(figures: Figures) -> str:
    """The fault, for both leases."""
    rows = [
        Row(name, tuple(figures.fault_first(name, lease) for lease in LEASES), name == report.OURS)
        for name in report.clients_in(figures)
        if name in figures.fault
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
    shares = sorted(share for one in figures.starts.values() for share in one.server)
    return pages.page(
        "bench.md", figures=figures, titles=(TITLE_START, TITLE_FAULT, TITLE_MEMORY),
        budgets=report.verdict_table(report.verdicts(figures)), clients=report.main_table(figures),
        ratios=report.ratio_table(figures), runs=max((len(one.address) for one in figures.starts.values()), default=0),
        server=shares[len(shares) // 2] if shares else None,
        window=max((one.window for one in figures.idle.values()), default=0),
        ours=figures.idle.get(report.OURS), mib=report.MIB, left_out=report.left_out(figures),
    )  # fmt: skip


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
