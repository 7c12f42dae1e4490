"""``./dev guard-cost``: what a guard costs the machine that it is on, beside the same machine without one.

A sender that does nothing but send, as iperf's: one TCP stream, and, as the worst case, UDP of 1400 bytes with a system
call for each. Pairs of runs without and with guard; then memory, and wake-ups when nothing happens. A second is one
that the sender has a processor for, which on a machine that does nothing else is every one.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from holdfast_lab.testbed.faults import Lease
from holdfast_lab.testbed.guarded import GuardedMachine
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.testbed.stage import LINK

#: Of the TCP stream with guard, to the one without.
LEAST_RATIO = 0.97
#: Sends so many octets (TCP) or packets (UDP) a second.
_SENDER = """
import socket, sys, time
seconds, stream, sent = float(sys.argv[1]), sys.argv[2] == "tcp", 0
payload = bytes(1 << 17 if stream else 1400)
with socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as out:
    out.connect(("192.0.2.1", 9))
    send, began = out.send, time.process_time()
    until = began + seconds
    while time.process_time() < until:
        for _ in range(16 if stream else 256):
            try:
                sent += send(payload) if stream else bool(send(payload))
            except ConnectionRefusedError:
                pass
    print(sent / (time.process_time() - began))
"""


#: Takes what comes by TCP.
_SINK = """
import socket
with socket.create_server(("192.0.2.1", 9)) as server:
    buffer = bytearray(1 << 20)
    print(flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            while connection.recv_into(buffer):
                pass
"""


def rate(machine: Namespace, kind: str, seconds: float) -> float:
    """What a sender gets rid of in a second."""
    words = ["python3", "-I", "-S", "-c", _SENDER, str(seconds), kind]
    return float(machine.output(words, timeout=seconds * 20 + 60))


def number(pid: int, file: str, key: str) -> int:
    """A number of /proc/PID/file (proc(5))."""
    text = Path(f"/proc/{pid}/{file}").read_text()
    return int(text.split(f"{key}:")[1].split()[0])


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when it costs more than is promised."""
    parser = argparse.ArgumentParser(prog="./dev guard-cost", description=__doc__)
    parser.add_argument("--pairs", type=int, default=11, help="runs without and with guard (11)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run (1)")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds in which wake-ups are counted (60)")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guard-")))
        machine = stack.enter_context(Namespace("guarded", private_files=False))
        far = stack.enter_context(Namespace("server"))
        # With its offloads, as a virtual machine's card has them.
        machine.output(["ip", "link", "add", LINK, "type", "veth", "peer", "name", "srv0", "netns", far.path])
        machine.output(["ip", "link", "set", LINK, "up"])
        far.output(["ip", "link", "set", "srv0", "up"])
        far.run(lambda: far.rtnl.add_address("srv0", "192.0.2.1/24"))
        far.output(["nft", "add table ip sink; add chain ip sink in { type filter hook input priority 0; }; "
                           "add rule ip sink in udp dport 9 drop"])
        stack.enter_context(LabServer(far, lease=Lease(time=86400)))
        guarded = stack.enter_context(GuardedMachine(machine, LINK, folder))
        guarded.client("dhclient")
        guarded.watch.wait_for(lambda event: event.kind == "address+", 30)
        sink = far.popen(["python3", "-I", "-S", "-c", _SINK], stdout=subprocess.PIPE)
        assert sink.stdout is not None
        assert sink.stdout.readline()  # it listens
        stack.callback(sink.wait)
        stack.callback(sink.kill)
        ratios = {kind: ratio(machine, guarded, kind, options.pairs, options.seconds) for kind in ("tcp", "udp")}
        guarded.stop_guards()
        pid = guarded.guard("--rebroadcast").pid
        time.sleep(2.0)
        before = number(pid, "status", "\nvoluntary_ctxt_switches")
        time.sleep(options.idle)
        wakeups = number(pid, "status", "\nvoluntary_ctxt_switches") - before
        pss = number(pid, "smaps_rollup", "\nPss")
    print(f"ratio {ratios['tcp']:.3f} of a TCP stream, {ratios['udp']:.3f} of UDP packets (medians of {options.pairs} "
          f"pairs), PSS {pss / 1024:.1f} MiB, {wakeups} wake-ups in {options.idle:.0f} s")
    return 0 if ratios["tcp"] >= LEAST_RATIO and wakeups == 0 else 1


def ratio(machine: Namespace, guarded: GuardedMachine, kind: str, pairs: int, seconds: float) -> float:
    """The median of the ratios of ``pairs`` runs with guard to those without, right before."""
    rate(machine, kind, seconds)  # warm
    ratios = []
    for _ in range(pairs):
        guarded.stop_guards()
        without = rate(machine, kind, seconds)
        guarded.guard("--rebroadcast")
        beside = rate(machine, kind, seconds)
        ratios.append(beside / without)
        print(f"{kind}: {without:.4g} a second without, {beside:.4g} with, ratio {ratios[-1]:.3f}", flush=True)
    return statistics.median(ratios)


if __name__ == "__main__":
    sys.exit(main())
