"""Figures of the code itself: decoding one reply against scapy, and what the imports cost."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
import timeit
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

from holdfast.wire.frame import parse_ipv4_udp
from holdfast.wire.message import decode

HOT_START = (
    "holdfast.settings.dirs",
    "holdfast.observe.log",
    "holdfast.observe.report",
    "holdfast.observe.outcomes",
    "holdfast.runtime.supervisor",
    "holdfast.network.watch",
)
"""What a start imports before its first DISCOVER is on the wire: these, and all that they import."""


def sample_reply() -> bytes:
    """The IP packet of an ACK as dnsmasq sends it, with 13 options. Built by scapy, which shares no code with us."""
    scapy = _scapy()
    options = [
        ("message-type", "ack"),
        ("server_id", "192.0.2.1"),
        ("lease_time", 86400),
        ("renewal_time", 43200),
        ("rebinding_time", 75600),
        ("subnet_mask", "255.255.255.0"),
        ("broadcast_address", "192.0.2.255"),
        ("router", "192.0.2.1"),
        ("name_server", "192.0.2.1", "192.0.2.2"),
        ("domain", b"example.net"),
        ("interface-mtu", 1450),
        (121, bytes.fromhex("20a9fea9fec0000201" + "00c0000201")),
        ("client_id", b"\xff\x12\x34\x56\x78\x00\x04" + bytes(range(16))),
        "end",
    ]
    fields = {"xid": 0x1234, "yiaddr": "192.0.2.50", "siaddr": "192.0.2.1", "chaddr": b"\x02\0\0\0\0\1"}
    message = scapy.BOOTP(op=2, **fields) / scapy.DHCP(options=options)
    return bytes(scapy.IP(src="192.0.2.1", dst="192.0.2.50") / scapy.UDP(sport=67, dport=68) / message)


def measure_decode(rounds: int = 15) -> dict[str, float]:
    """Seconds from one reply's IP packet to its fields, by Holdfast and by scapy: medians, taken in turns."""
    read_packet = _scapy().IP
    reply = sample_reply()
    timers: dict[str, tuple[Callable[[], object], int]] = {
        "holdfast": (lambda: decode(parse_ipv4_udp(reply).payload), 2000),
        "scapy": (lambda: read_packet(reply), 50),
    }
    took: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, (call, number) in timers.items():
            took[name].append(timeit.timeit(call, number=number) / number)
    return {name: median(values) for name, values in took.items()}


class ImportTimer:
    """Seconds to start the bare interpreter as the unit does, and more of them to import the hot start.

    The budget for them hangs on dhclient's start, so they are taken in the same rounds as the starts.
    ``run(code)`` gives the seconds that an interpreter takes for it.
    """

    def __init__(self, run: Callable[[str], float] | None = None) -> None:
        self._run = run or run_python
        self._took: dict[str, list[float]] = {"interpreter": [], "holdfast": []}

    def once(self) -> None:
        """One sample of each."""
        bare = self._run("pass")
        self._took["interpreter"].append(bare)
        self._took["holdfast"].append(self._run(f"import {', '.join(HOT_START)}") - bare)

    def medians(self) -> dict[str, float]:
        """What ``Figures.imports`` holds; empty before the first sample."""
        return {name: median(values) for name, values in self._took.items() if values}


def run_python(code: str) -> float:
    """Seconds from start to the end of ``code``; the interpreter's tidying up is not waited for."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", f"{code}\nimport os\nos._exit(0)"], check=True)
    return time.perf_counter() - began


def _scapy() -> Any:
    """The module with scapy's DHCP layer, and with what it imports: IP, UDP, BOOTP, DHCP."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scapy's own, on some Python versions
        return importlib.import_module("scapy.layers.dhcp")
