"""Every fault of a network or a guest that `holdfast doctor` knows, injected in namespaces, named with its culprit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent import Agent

from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease, Unicast
from holdfast_lab.testbed.netns import MS_NODEV, MS_NOSUID, Namespace, Switch, mount
from holdfast_lab.testbed.server import LabServer

pytestmark = pytest.mark.root

LINK, SERVER, OURS = "eth0", "192.0.2.1", "192.0.2.50"
ALWAYS = ((0.0, inf),)
#: Renewed every few seconds; long enough for a doctor to look while it is valid.
SHORT = Lease(time=40, t1=2, t2=30)
LONG = Lease(time=600)


class Lan:
    """A switch, a client with its agent, and a server on ``srv0``, started by ``serve``."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.switch = stack.enter_context(Switch())
        self.client = self.machine("client")
        self.port = self.switch.plug(self.client, LINK)
        self.server_machine = self.machine("server")
        self.switch.plug(self.server_machine, "srv0")
        self.server_machine.run(lambda: self.server_machine.rtnl.add_address("srv0", f"{SERVER}/24"))
        self.agent = Agent(self.client, LINK, folder)
        stack.callback(self.agent.close)

    def machine(self, name: str) -> Namespace:
        """One more, closed at the end."""
        return self._stack.enter_context(Namespace(name))

    def serve(self, lease: Lease = LONG, faults: Faults = NO_FAULTS, **options: Any) -> LabServer:
        """Start a server."""
        server = LabServer(self.server_machine, lease=lease, faults=faults, **options)
        self._stack.callback(server.close)
        return server

    def bind(self, lease: Lease = LONG, faults: Faults = NO_FAULTS, **options: Any) -> LabServer:
        """Server and agent, and a lease, and commands that reach the agent."""
        server = self.serve(lease, faults, **options)
        self.agent.start()
        self.agent.wait_result("acquired")
        self.wait_status("lease")
        return server

    def wait_status(self, what: str, least: int = 0) -> None:
        """Return when the status has ``what``: a member, or how many messages were sent ("sent")."""
        def there() -> bool:
            status = self.agent.status()
            return bool(status) and (sum(status["exchange"]["sent"].values()) >= least if what == "sent" else
                                     bool(status[what]))

        self.agent.wait(there, 30, what)

    def run(self, *command: str) -> str:
        """A command on the client."""
        return self.client.output(list(command))

    def program(self, code: str, *names: str) -> subprocess.Popen[Any]:
        """A Python program on the client that says "ready" and stays."""
        child = self.client.popen([sys.executable, "-c", code + "\nprint('ready', flush=True)\nimport time\n"
                                   "time.sleep(600)", *names], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    def findings(self, *options: str) -> list[dict[str, Any]]:
        """What `holdfast doctor --json` finds on the link."""
        done = self.agent.command("doctor", LINK, "--json", *options, timeout=60.0)
        told = json.loads(done.stdout)
        assert (told["schema"], told["version"]) == ("io.holdfast.doctor", 1)
        assert done.returncode == (told["verdict"] == "bad")
        return list(told["findings"])

    def named(self, check: str, *words: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
        """The finding of ``check`` that has all ``words``; the test fails when there is none, and shows all."""
        findings = self.findings(*options)
        found = finding_of(findings, check, *words)
        assert found is not None, f"no {check} with {words} in {json.dumps(findings, indent=1)}"
        return found


def finding_of(findings: list[dict[str, Any]], check: str, *words: str) -> dict[str, Any] | None:
    """The one of ``check`` that is not ok and has all ``words``; None when there is none."""
    for finding in findings:
        text = " ".join((finding["cause"], *finding["evidence"], finding["todo"]))
        if finding["check"] == check and finding["verdict"] != "ok" and all(word in text for word in words):
            return finding
    return None


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    with ExitStack() as stack:
        lan = Lan(tmp_path, stack)
        yield lan
        print(f"--- the daemon said:\n{lan.agent.said()}")


def verdicts(findings: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(check, verdict) of all."""
    return {(finding["check"], finding["verdict"]) for finding in findings}


# -- nothing is wrong --------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_sound_network(lan: Lan) -> None:
    server = lan.bind(SHORT)
    server.lease = LONG  # no renewal falls into a look
    lan.agent.wait(lambda: any(one["lease_time"] == LONG.time for one in lan.agent.results("renewed")), 20, "a renewal")
    for options in ((), ("--probe",), ("--probe", "--discover")):
        findings = lan.findings(*options)
        network = [finding for finding in findings if finding["interface"] == LINK and finding["verdict"] != "ok"]
        assert network == [], network
    assert {("servers", "ok"), ("mtu", "ok"), ("arp", "ok"), ("discover", "ok")} <= verdicts(findings)


# -- servers -----------------------------------------------------------------------------------------


def test_a_server_that_is_deaf_to_unicast(lan: Lan) -> None:
    lan.bind(SHORT, Faults(unicast=Unicast.SILENT))
    lan.agent.wait_result("renewed")
    assert lan.named("unicast", SERVER, "does not hear unicast")["verdict"] == "note"
    lan.named("unicast", SERVER, "by broadcast and not by unicast", options=("--probe",))


def test_a_server_that_is_away(lan: Lan) -> None:
    server = lan.bind(SHORT)
    server.faults = Faults(silent=ALWAYS)
    lan.wait_status("sent", 3)
    assert lan.named("server-away", SERVER, "nobody answered", "are left")["verdict"] == "bad"


def test_a_server_that_refuses(lan: Lan) -> None:
    server = lan.bind(SHORT)
    server.faults = Faults(nak=ALWAYS)
    lan.agent.wait_result("refused")
    assert lan.named("refused", SERVER, "NAK")["verdict"] == "bad"


def test_a_server_that_offers_and_does_not_grant(lan: Lan) -> None:
    lan.serve(faults=Faults(ignores=("REQUEST",)))
    lan.agent.start()
    lan.wait_status("sent", 4)
    lan.named("refused", SERVER, "offers and does not grant")


def test_no_server_at_all(lan: Lan) -> None:
    lan.agent.start()
    lan.wait_status("sent", 3)
    finding = lan.named("no-server", "DISCOVERs sent in", "nobody answered, next in")
    assert (finding["verdict"], finding["interface"]) == ("bad", LINK)


def test_icmp_refused(lan: Lan) -> None:
    lan.bind(SHORT, Faults(unicast=Unicast.ICMP))
    lan.agent.wait_result("renewed")
    lan.named("unicast", "is refused", f"ICMP from {SERVER}")


def test_a_rogue_server(lan: Lan) -> None:
    server = lan.bind(SHORT)
    server.faults = Faults(nak_before_ack=True)
    refused = server.wire.wait_for(lambda seen: seen.kind == "NAK", 20)
    lan.agent.wait_result("renewed", since=refused.at)  # the ACK after it; one before the fault may be recorded late
    assert lan.named("rogue-server", "192.0.2.200", f"{SERVER}'s", "refuses")["verdict"] == "bad"


def test_a_second_server_that_answers_probes(lan: Lan) -> None:
    lan.bind()
    other = lan.machine("rogue")
    lan.switch.plug(other, "srv1")
    other.run(lambda: other.rtnl.add_address("srv1", "192.0.2.9/24"))
    with LabServer(other, "srv1", address="192.0.2.9/24", first="192.0.2.150"):
        def told(option: str, text: str) -> bool:
            return any(text in finding["cause"] for finding in lan.findings("--probe", option))

        both = f"2 DHCP servers answer: {SERVER}, 192.0.2.9"  # a new port of a switch may lose the first question
        lan.agent.wait(lambda: told("--probe", both), 60, both)
        offer = "192.0.2.9 offers 192.0.2.150"
        lan.agent.wait(lambda: told("--discover", offer), 60, offer)


def test_a_server_that_gives_another_address_each_time(lan: Lan) -> None:
    server = lan.bind(SHORT)
    for number in range(3):
        server.faults = Faults(move_at=0.0, move_to=f"192.0.2.{60 + number}")
        lan.agent.wait_result("moved", count=number + 1)
    lan.named("wandering", SERVER, "192.0.2.61", "192.0.2.62")


def test_a_server_off_the_link_without_a_route(lan: Lan) -> None:
    lan.bind(identity="198.51.100.1", faults=Faults(omit=(3,)))
    lan.named("off-link", "198.51.100.1", "no route")


def test_a_lease_that_is_shorter_than_its_server_s_outages(lan: Lan) -> None:
    server = lan.bind(Lease(time=10, t1=2, t2=5))
    server.faults = Faults(silent=ALWAYS)
    lan.agent.wait_result("expired")
    server.faults = NO_FAULTS
    lan.agent.wait_result("acquired", count=2)
    lan.named("short-lease", "10 s", "ended once")


# -- this machine's firewall -------------------------------------------------------------------------


def firewall(lan: Lan, hook: str, rule: str) -> None:
    """A rule of the guest's own."""
    lan.run("nft", "add", "table", "ip", "guest")
    lan.run("nft", f"add chain ip guest {hook} {{ type filter hook {hook} priority 0; policy accept; }}")
    lan.run("nft", f"add rule ip guest {hook} {rule} drop")


def test_the_guest_s_own_firewall_drops_what_is_sent(lan: Lan) -> None:
    lan.bind(SHORT)
    firewall(lan, "output", "udp dport 67")
    lan.agent.wait(lambda: any(one["path"] == "broadcast" for one in lan.agent.results("renewed")), 30, "a broadcast")
    lan.named("firewall", "EPERM", "own firewall", "unicast")


def test_the_guest_s_own_firewall_drops_what_comes(lan: Lan) -> None:
    lan.bind(SHORT)
    firewall(lan, "input", "udp dport 68")
    lan.wait_status("filtered")
    lan.named("firewall", "drops the servers' answers", "packet socket")


# -- other machines ----------------------------------------------------------------------------------


def squatter(lan: Lan, address: str) -> str:
    """Another machine with our address; its hardware address."""
    other = lan.machine("squatter")
    lan.switch.plug(other, LINK)
    other.run(lambda: other.rtnl.add_address(LINK, f"{address}/24"))
    fields = other.output(["ip", "-o", "link", "show", LINK]).split()
    return fields[fields.index("link/ether") + 1]


def test_somebody_else_has_the_offered_address(lan: Lan) -> None:
    mac = squatter(lan, OURS)
    server = lan.serve()
    lan.agent.start()
    lan.agent.wait_result("conflict")
    server.faults = Faults(silent=ALWAYS)
    lan.agent.wait(lambda: bool(lan.agent.status()), 20, "commands reach it")
    lan.named("conflict", mac)


def test_somebody_else_claims_the_address_in_use(lan: Lan) -> None:
    lan.bind()
    mac = squatter(lan, OURS)
    assert lan.named("conflict", mac, OURS, options=("--probe",))["verdict"] == "bad"


def test_proxy_arp(lan: Lan) -> None:
    lan.bind()
    machine = lan.server_machine
    machine.run(lambda: machine.rtnl.add_veth("far", "farther", machine.fd))
    for end in ("far", "farther"):
        machine.run(lambda end=end: machine.rtnl.set_link(end, up=True))  # type: ignore[misc]
    for half in ("192.0.2.0/25", "192.0.2.128/25"):  # more specific than the subnet itself
        machine.run(lambda half=half: machine.rtnl.add_route("far", half))  # type: ignore[misc]
    for key in ("forwarding", "proxy_arp"):
        machine.sysctl(f"net/ipv4/conf/srv0/{key}", 1)
    machine.sysctl("net/ipv4/neigh/srv0/proxy_delay", 0)
    fields = machine.output(["ip", "-o", "link", "show", "srv0"]).split()
    mac = fields[fields.index("link/ether") + 1]
    assert lan.named("proxy-arp", mac, "no conflict", options=("--probe",))["verdict"] == "note"


def test_the_gateway_does_not_answer(lan: Lan) -> None:
    lan.bind()
    lan.server_machine.sysctl("net/ipv4/conf/srv0/arp_ignore", 8)
    lan.named("arp", f"gateway {SERVER} does not answer ARP", options=("--probe",))


def test_an_mtu_that_does_not_pass(lan: Lan) -> None:
    lan.bind()
    lan.server_machine.output(["ip", "link", "set", "srv0", "mtu", "1300"])
    lan.named("mtu", "1500", SERVER, options=("--probe",))


# -- the link ----------------------------------------------------------------------------------------


def test_the_cable_is_out(lan: Lan) -> None:
    lan.bind()
    lan.switch.carrier(lan.port, up=False)
    lan.agent.wait(lambda: not lan.agent.status()["carrier"], 20, "the agent knows")
    finding = lan.named("carrier", "no carrier", OURS)
    assert finding["verdict"] == "bad"
    assert ("no-server", "bad") not in verdicts(lan.findings())


def test_the_wrong_vlan(lan: Lan) -> None:
    machine = lan.server_machine
    machine.sysctl("net/ipv6/conf/srv0/disable_ipv6", 1)
    lan.switch.namespace.sysctl("net/ipv6/conf/br0/disable_ipv6", 1)
    lan.agent.start()
    lan.wait_status("sent", 1)
    sender = ("import socket, time\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)\ns.bind(('srv0', 0))\n"
              "frame = b'\\xff' * 6 + b'\\2' * 6 + bytes.fromhex('8100000588b5') + bytes(46)\n"
              "while True:\n    s.send(frame)\n    time.sleep(0.2)")
    machine.popen([sys.executable, "-c", sender])
    # A look hears three seconds of the link, and on a busy machine a frame of its own may be all of them.
    lan.agent.wait(lambda: finding_of(lan.findings(), "vlan", "of VLAN 5", "eth0.5"), 60, "it is named")


# -- other programs ----------------------------------------------------------------------------------


def test_port_68_is_held(lan: Lan) -> None:
    holder = lan.program("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 68))")
    lan.bind()
    lan.named("port-68", f"pid {holder.pid}")
    lan.named("second-client", f"pid {holder.pid}", "UDP port 68")


def test_a_client_of_another_link_is_none_of_ours(lan: Lan, tmp_path: Path) -> None:
    """dhclient binds port 68 of all addresses, whatever link it is for."""
    lan.bind()
    lan.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far1")
    other = lan.program("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                        "s.setsockopt(socket.SOL_SOCKET, 25, b'eth1')\ns.bind(('', 68))", "eth1")
    assert [finding for finding in lan.findings() if f"pid {other.pid}" in finding["cause"]] == []


def test_a_second_client_whatever_it_is_called(lan: Lan) -> None:
    lan.bind()
    client = lan.program("import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)\n"
                         "s.bind(('eth0', 0x0800))")
    lan.named("second-client", f"pid {client.pid}", "packet socket for IPv4")


def test_a_second_client_that_is_known_by_its_name(lan: Lan, tmp_path: Path) -> None:
    lan.bind()
    program = tmp_path / "udhcpc"
    os.symlink("/bin/sleep", program)
    client = lan.client.popen([str(program), "600"], tether=False)
    lan.agent.wait(lambda: Path(f"/proc/{client.pid}/comm").read_text() == "udhcpc\n", 20, "it runs")
    lan.named("second-client", f"udhcpc (pid {client.pid})")


def test_a_second_client_that_only_sends(lan: Lan) -> None:
    """It has no socket that waits: what it sends shows it."""
    lan.bind()
    request = ("import socket, struct, time\n"
               "mac = open('/sys/class/net/eth0/address').read().strip().replace(':', '')\n"
               "b = struct.pack('!4BI', 1, 1, 6, 0, 7) + bytes(20) + bytes.fromhex(mac) + bytes(202)\n"
               "b += bytes.fromhex('63825363350101ff') + bytes(60)\n"
               "while True:\n"
               "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
               "    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n"
               "    s.setsockopt(socket.SOL_SOCKET, 25, b'eth0')\n"
               "    s.sendto(b, ('255.255.255.255', 67))\n"
               "    s.close()\n"
               "    time.sleep(0.2)")
    lan.client.popen([sys.executable, "-c", request])
    lan.agent.wait(lambda: any("sends on the link" in finding["cause"] for finding in lan.findings("--probe")), 60,
                   "it is named")


def test_somebody_deletes_our_address(lan: Lan) -> None:
    lan.bind()
    lan.run("ip", "addr", "del", f"{OURS}/24", "dev", LINK)
    lan.agent.wait(lambda: "address-restored" in [one["code"] for one in lan.agent.status()["notices"]], 20, "a notice")
    assert lan.named("removals", OURS, "deletes our address")["verdict"] == "bad"


def test_two_default_routes_of_one_metric(lan: Lan) -> None:
    lan.bind()
    lan.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far1")
    lan.run("ip", "link", "set", "far1", "up")
    lan.run("ip", "addr", "add", "198.51.100.2/24", "dev", "eth1")
    lan.run("ip", "link", "set", "eth1", "up")
    metric = next(words[words.index("metric") + 1] for line in lan.run("ip", "route").splitlines()
                  if (words := line.split())[0] == "default")
    lan.run("ip", "route", "append", "default", "via", "198.51.100.1", "dev", "eth1", "metric", metric)
    lan.named("routes", f"same metric {metric}", SERVER, "198.51.100.1 dev eth1")


# -- disk and clock ----------------------------------------------------------------------------------


def test_the_disk_is_full(lan: Lan) -> None:
    state = str(lan.agent.state)
    lan.client.run(lambda: mount("tmpfs", state, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k"))
    lan.serve(SHORT)
    lan.agent.start()
    lan.wait_status("lease")
    lan.run("sh", "-c", f"cat /dev/zero > {state}/filler || true")
    lan.wait_status("problems")
    lan.named("disk", "is full", state)
    lan.named("disk", "No space left on device", state)


def test_the_state_cannot_be_read(lan: Lan) -> None:
    lan.bind()
    lan.agent.terminate()
    (lease,) = lan.agent.state.glob("*.lease.json")
    lease.rename(lease.with_suffix(".moved"))
    lease.symlink_to("/nowhere")
    lan.named("state", str(lease), "cannot be read")


def test_the_clock_was_set_back(lan: Lan) -> None:
    """The clock is the whole machine's; what a test can do is to let it be later when an outcome was recorded."""
    lan.bind()
    history = lan.agent.state / f"{LINK}.outcomes.jsonl"
    record = json.loads(history.read_text().splitlines()[-1])
    hour, rest = int(record["time"][11:13]), record["time"][13:]
    record["time"] = f"2999{record['time'][4:11]}{hour:02}{rest}"
    history.write_text(json.dumps(record) + "\n")
    lan.named("clock", "set back", "2999")


# -- the agent itself --------------------------------------------------------------------------------


def test_an_agent_that_does_not_answer(lan: Lan) -> None:
    lan.bind(SHORT)
    lan.agent.wait_result("renewed")
    assert lan.agent.process is not None
    pid = lan.agent.process.pid
    lan.agent.freeze()
    try:
        findings = lan.findings("--probe")
    finally:
        os.kill(pid, signal.SIGCONT)
    silent = finding_of(findings, "agent", f"the agent of {LINK} (pid {pid}) does not answer", "T (stopped)",
                        f"kill -CONT {pid}")
    assert silent is not None, findings
    assert silent["verdict"] == "bad"
    made = {(finding["check"], finding["interface"]) for finding in findings}
    assert {("second-client", LINK), ("servers", LINK), ("disk", None)} <= made, "the rest of the diagnosis is made"
    assert finding_of(findings, "second-client") is None, "our own agent is no second client"
    lan.wait_status("lease")
    assert finding_of(lan.findings(), "agent") is None


# -- what is said where nothing is served ------------------------------------------------------------


def test_a_link_that_nobody_serves(lan: Lan) -> None:
    finding = lan.named("agent", "no DHCP client serves eth0", "holdfast run eth0")
    assert finding["verdict"] == "note"


def test_a_link_that_another_client_serves(lan: Lan) -> None:
    client = lan.program("import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)\n"
                         "s.bind(('eth0', 0x0800))")
    lan.named("agent", f"pid {client.pid}", "serves eth0", "holdfast takeover eth0", "holdfast guard eth0")


def test_the_text_has_no_broken_word_and_no_colour_in_a_pipe(lan: Lan) -> None:
    lan.agent.start()
    lan.wait_status("sent", 3)
    said = lan.agent.command("doctor", LINK, timeout=60.0).stdout
    lines = said.splitlines()
    assert lines[0].startswith("BAD ")
    assert [line for line in lines if len(line) > 80 and len(line.split()) > 4 and "/" not in line] == []
    assert "\x1b" not in said
