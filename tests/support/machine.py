"""A guest with another DHCP client on it, to be taken over: its own files and processes, a server, witnesses.

The guest is the lab's cage (overlays over /etc and /var, an empty /run, a PID namespace), so client and Holdfast
see one machine and nothing of the real one is touched. Witnesses: netlink (every address and route), ICMP probes
twenty times a second from the server (the address) and from a network behind it (the default route), and every
DHCP message on the cable.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.monitor import Monitor, boottime
from tests.support.probe import Probe
from tests.support.servers import Dnsmasq, Service
from tests.support.site import BRIDGE, CLIENT, PORT, Site

from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire.frame import parse_ipv4_udp
from holdfast_lab.peers import SURROUNDINGS, Peer, find, unpacked
from holdfast_lab.peers.running import Running
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.witness.wirelog import packet_socket, receive

ADDRESS = "10.77.0.50"
#: On a network behind the server: it hears the guest only while the guest has its default route.
FAR = "198.51.100.2"
VIRTUAL = "203.0.113.9"  # as keepalived puts them: a /32 ...
NEIGHBOUR = "10.77.0.99"  # ... and a secondary in the same subnet
SOURCE = Path(__file__).resolve().parents[2] / "agent"
KINDS = {1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE", 8: "INFORM"}


class _Empty(Peer):
    """A machine on which nothing runs yet, with every client that is only unpacked laid under it."""

    def argv(self, iface: str) -> tuple[list[str], list[str]]:
        programs = [find(name) for name in ("dhclient", "dhcpcd", "udhcpc")]
        roots = {str(root) for program in programs if program and (root := unpacked(program))}
        return ["/bin/sleep", "infinity"], sorted(roots)


class Said(NamedTuple):
    """One DHCP message on the cable; ``at`` is CLOCK_BOOTTIME. ``client_id`` b"" when there is none."""

    at: float
    kind: str
    source: str
    destination: str
    message: msg.Message

    @property
    def client_id(self) -> bytes:
        return self.message.client_id or b""


class Tap:
    """Everything that DHCP says on the cable, seen at the server's port."""

    def __init__(self, namespace: Namespace) -> None:
        self.said: list[Said] = []
        self._socket: socket.socket = namespace.run(lambda: packet_socket(PORT, 3))
        self._socket.settimeout(0.1)
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="tap", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._closing:
            with suppress(TimeoutError, OSError):
                frame, at = receive(self._socket)
                self._take(frame, at)

    def _take(self, frame: bytes, at: float) -> None:
        if frame[12:14] != b"\x08\x00":
            return
        try:
            datagram = parse_ipv4_udp(frame[14:], checksum_ready=False)
            if {datagram.sport, datagram.dport} & {67, 68}:
                message = msg.decode(datagram.payload)
                kind = KINDS.get(message.message_type or 0, "?")
                self.said.append(Said(at, kind, str(datagram.source), str(datagram.destination), message))
        except WireError:
            return

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self._socket.close()

    def kinds(self, since: float = 0.0, until: float = float("inf")) -> list[str]:
        """What was said in that time, by name."""
        return [said.kind for said in self.said if since <= said.at <= until]

    def asked(self, since: float = 0.0) -> list[Said]:
        """The client's messages."""
        return [said for said in self.said if said.at >= since and said.message.op == msg.BOOTREQUEST]


class Machine:
    """Made by a test, closed by it; nothing runs on it but the server and the witnesses."""

    def __init__(self, folder: Path, service: Service | None = None, *, files: dict[str, str] | None = None) -> None:
        self._stack = ExitStack()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.site = Site(private_files=False)
        self._stack.callback(self.site.close)
        self.server = Dnsmasq(self.site.server, BRIDGE, folder, service or Service(t1=60, t2=100))
        self._stack.callback(self.server.kill)
        self._behind()
        empty = _Empty(
            "machine", ("/bin/sleep",), (), files=files or {},
            folders={"/var/lib/dhcp": "root", "/run/dhcpcd": "root", "/var/lib/dhcpcd": "root",
                     "/etc/holdfast": "root", "/var/lib/holdfast": "root", "/run/holdfast": "root"},
        )
        self._running = Running(empty, self.site.client, CLIENT, folder / "machine.log")
        self._stack.callback(self._running.kill)
        self.monitor = Monitor(self.site.client)
        self._stack.callback(self.monitor.close)
        self.tap = Tap(self.site.server)
        self._stack.callback(self.tap.close)
        self.probes: list[Probe] = []
        self.since = 0.0
        self._mark = 0

    def _behind(self) -> None:
        """A network behind the server, reached by the guest's default route only."""
        self.far = Namespace("far")
        self._stack.callback(self.far.close)
        self.site.server.run(lambda: self.site.server.rtnl.add_veth("far0", "eth0", self.far.fd))
        for command in ("ip addr add 198.51.100.1/24 dev far0", "ip link set far0 up",
                        f"ip route add {VIRTUAL} dev {BRIDGE}"):
            self.site.on_server(*command.split())
        for command in (f"ip addr add {FAR}/24 dev eth0", "ip link set eth0 up",
                        "ip route add default via 198.51.100.1"):
            self.far.output(command.split())
        self.site.server.sysctl("net/ipv4/ip_forward", 1)

    # -- the guest -------------------------------------------------------------------------------

    def _enter(self, command: tuple[str, ...], environment: dict[str, str] | None) -> list[str]:
        pid = self._running.init()
        words = [f"{key}={value}" for key, value in {**SURROUNDINGS, **(environment or {})}.items()]
        enter = ["nsenter", f"--target={pid}", "--mount", "--uts", "--pid", "--net", "--wd=/run"]
        return [*enter, "env", "-i", *words, *command]

    def start(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program on the guest; what it says goes to the machine's log."""
        with (self.folder / "machine.log").open("ab") as log:
            child: subprocess.Popen[bytes] = self.site.client.popen(
                self._enter(command, environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return child

    def run(self, *command: str, timeout: float = 60.0, check: bool = True,
            environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program on the guest to its end."""
        child = self.site.client.popen(
            self._enter(command, environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        try:
            out, err = fair_time.communicate(child, timeout)
        finally:
            child.kill()
        assert not check or child.returncode == 0, f"{command}: {child.returncode}\n{out}{err}"
        return subprocess.CompletedProcess(list(command), child.returncode, out, err)

    @property
    def holdfast_argv(self) -> list[str]:
        return [sys.executable, "-c", "import sys; from holdfast.cli import main; sys.exit(main())"]

    def holdfast(self, *words: str, timeout: float = 90.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command line on the guest."""
        return self.run(*self.holdfast_argv, *words, timeout=timeout, check=check, environment=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """So that the sources that are tested are those that run, measured when the others are."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(("COV", "COVERAGE_"))}
        return {**kept, "PYTHONPATH": str(SOURCE)}

    def inside(self, path: str) -> Path:
        """``path`` as the guest sees it."""
        return self._running.inside(path)

    def processes(self) -> dict[int, str]:
        """pid (as seen from outside) -> command line, of what runs on the guest."""
        found = {}
        for pid in self._running.pids():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if words and not words.startswith("/bin/sleep infinity"):
                    found[pid] = words
        return found

    def runs(self, *words: str) -> bool:
        """True when some process has all of ``words`` in its command line."""
        return any(all(word in line for word in words) for line in self.processes().values())

    # -- the network -----------------------------------------------------------------------------

    def addresses(self) -> list[dict[str, Any]]:
        """As ip(8) has them."""
        found = json.loads(self.site.on_client("ip", "-4", "-j", "addr", "show", "dev", CLIENT) or "[]")
        return [entry for link in found for entry in link.get("addr_info", [])]

    def has(self, address: str = ADDRESS) -> bool:
        return any(entry["local"] == address for entry in self.addresses())

    def routes(self) -> list[str]:
        return [line.strip() for line in self.site.on_client("ip", "-4", "route").splitlines()]

    def resolv(self) -> str:
        return self.inside("/etc/resolv.conf").read_text()

    def furnish(self) -> None:
        """Addresses and a route of others, as keepalived and an operator put them."""
        for command in (f"addr add {VIRTUAL}/32 dev {CLIENT}", f"addr add {NEIGHBOUR}/24 dev {CLIENT}",
                        f"route add 192.0.2.128/25 via 10.77.0.7 dev {CLIENT}"):
            self.site.on_client("ip", *command.split())

    def wait(self, condition: Any, timeout: float, what: str) -> None:
        """As ``wait_until``; a failure shows what was said on the guest."""

        def told() -> str:
            log = (self.folder / "machine.log").read_text(errors="replace")[-3000:]
            return f"\n{log}\n{self.tap.kinds()}\n{self.routes()}\n{self.processes()}"

        wait_until(condition, timeout, what, told=told)

    def watch(self) -> None:
        """From now on nothing may be lost."""
        self.since, self._mark = boottime(), self.monitor.mark()
        self.probes = [Probe(self.site.server, ADDRESS, VIRTUAL, NEIGHBOUR) if self.has(VIRTUAL)
                       else Probe(self.site.server, ADDRESS), Probe(self.far, ADDRESS)]
        for probe in self.probes:
            self._stack.callback(probe.finish)

    def missed(self) -> int:
        """How many questions went unanswered since ``watch``; ends the probing."""
        for probe in self.probes:
            probe.finish()
        return sum(len(probe.missed(address)) for probe in self.probes for address in probe.addresses)

    def asked(self) -> int:
        return sum(len(probe.asked(address)) for probe in self.probes for address in probe.addresses)

    def flaws(self) -> list[str]:
        """Everything that the network noticed since ``watch``; ends the probing."""
        wait_until(lambda: self.asked() > 40, 10, "the probes have asked")
        missed = self.missed()
        found = [f"RTM_DELADDR {address}" for address in self.lost()]
        found += [f"{missed} of {self.asked()} questions went unanswered"] if missed else []
        found += [said.kind for said in self.tap.asked(self.since) if said.kind not in ("REQUEST", "DISCOVER")]
        return found

    def lost(self) -> list[str]:
        """Every RTM_DELADDR since ``watch``, by address."""
        changes = self.monitor.changes[self._mark:]
        return [str(change.address) for change in changes if change.kind == "DELADDR"]

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
