"""``./dev guard-cost``: what a guard costs the machine that it is on, beside the same machine without one.

Packets a second of a sender that does nothing but send (one connected UDP socket, 1400 bytes, as iperf's), in pairs of
runs without and with guard, so that a busy machine disturbs both alike; memory; wake-ups when nothing happens.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from holdfast_lab.testbed.faults import Lease
from holdfast_lab.testbed.guarded import GuardedMachine
from holdfast_lab.testbed.netns import Namespace, connect
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.testbed.stage import LINK

#: What a person has to see: packets with guard for each one without; wake-ups in an idle minute.
LEAST_RATIO = 0.97
_SENDER = """
import socket, sys, time
seconds, payload, sent = float(sys.argv[1]), bytes(1400), 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.connect(("192.0.2.1", 9))
    send, began = out.send, time.perf_counter()
    until = began + seconds
    while time.perf_counter() < until:
        for _ in range(256):
            try:
                send(payload)
            except ConnectionRefusedError:
                pass
        sent += 256
    print(sent / (time.perf_counter() - began))
"""


def packets(machine: Namespace, seconds: float) -> float:
    """Packets a second that a sender gets rid of."""
    return float(machine.output(["python3", "-I", "-S", "-c", _SENDER, str(seconds)], timeout=seconds * 10 + 30))


def number(pid: int, file: str, key: str) -> int:
    """A number of /proc/PID/file (proc(5))."""
    text = Path(f"/proc/{pid}/{file}").read_text()
    return int(text.split(f"{key}:")[1].split()[0])


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when it costs more than is promised."""
    parser = argparse.ArgumentParser(prog="./dev guard-cost", description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="runs without and with guard (15)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run (2)")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds in which wake-ups are counted (60)")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guard-")))
        machine = stack.enter_context(Namespace("guarded", private_files=False))
        far = stack.enter_context(Namespace("server"))
        connect(machine, LINK, far, "srv0")
        far.run(lambda: far.rtnl.add_address("srv0", "192.0.2.1/24"))
        far.output(["nft", "add table ip sink; add chain ip sink in { type filter hook input priority 0; }; "
                           "add rule ip sink in udp dport 9 drop"])
        stack.enter_context(LabServer(far, lease=Lease(time=86400)))
        guarded = stack.enter_context(GuardedMachine(machine, LINK, folder))
        guarded.client("dhclient")
        guarded.watch.wait_for(lambda event: event.kind == "address+", 30)
        packets(machine, 1.0)  # warm
        ratios, with_guard, without = [], [], []
        for _ in range(options.pairs):
            guarded.stop_guards()
            without.append(packets(machine, options.seconds))
            guarded.guard("--rebroadcast")
            with_guard.append(packets(machine, options.seconds))
            ratios.append(with_guard[-1] / without[-1])
            print(f"{without[-1]:.0f} packets/s without, {with_guard[-1]:.0f} with, ratio {ratios[-1]:.3f}", flush=True)
        guarded.stop_guards()
        pid = guarded.guard("--rebroadcast").pid
        time.sleep(2.0)
        before = number(pid, "status", "\nvoluntary_ctxt_switches")
        time.sleep(options.idle)
        wakeups = number(pid, "status", "\nvoluntary_ctxt_switches") - before
        pss = number(pid, "smaps_rollup", "\nPss")
    ratio = statistics.median(ratios)
    print(f"ratio {ratio:.3f} (median of {options.pairs}; {statistics.median(without):.0f} packets/s without), "
          f"PSS {pss / 1024:.1f} MiB, {wakeups} wake-ups in {options.idle:.0f} s")
    return 0 if ratio >= LEAST_RATIO and wakeups == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
