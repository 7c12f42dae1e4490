"""A guest that is taken over and handed back, and the witnesses who say whether anybody noticed.

Asked 20 times a second from the server: the lease's address, an address as keepalived puts it (a /32) and one more in
the lease's own subnet. Watched in the guest's kernel: every address and route. Read on the cable: every DHCP message.

``FLOWS`` are the stories that must go well with every former client; a ``Former`` says how they differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple

from tests.support.guests.files import File, Link
from tests.support.guests.guest import Guest
from tests.support.guests.install import UNHURRIED, install
from tests.support.guests.net import SERVER, GuestProbe, Terms, client_id
from tests.support.guests.nspawn import Nspawn
from tests.support.guests.variants import LINK, Variant
from tests.support.monitor import boottime
from tests.support.site import BRIDGE

from holdfast_lab.witness.watch import NetlinkWatch

VIRTUAL = "203.0.113.9"
NEIGHBOUR = "10.77.0.200"  # outside of the server's pool
FOREIGN_ROUTE = "198.51.100.0/24"
UNIT = f"holdfast@{LINK}.service"


def starts_at_boot(guest: Guest) -> bool:
    """True if the agent is started at each boot: its unit is enabled, or the generator has it in the list."""
    wanted = guest.run(["systemctl", "show", "--property=WantedBy", "--value", UNIT]).stdout
    return "multi-user.target" in wanted.split()

MONITOR = "/run/monitor-of-the-test"
#: The old client's first renewal comes soon after a hand-back.
TERMS = Terms(lease_time=120, t1=15, t2=100)


class Former(NamedTuple):
    """A client before Holdfast. ``serves``: does it have the link now. ``disturb``: what an administrator or an upgrade
    does to it while the link is Holdfast's, as a shell script. ``files``: beside the variant's. ``discovers``: it has
    no way to begin but DISCOVER. ``machine``: what it boots in."""

    variant: Variant
    serves: Callable[[Guest], bool]
    disturb: str
    files: Mapping[str, File | Link] = {}
    discovers: bool = False
    machine: type[Guest] = Nspawn

    def boot(self) -> Guest:
        """A guest of it; use it as a context manager."""
        return self.machine(self.variant, terms=TERMS, files={**UNHURRIED, **self.files})


class Measured(NamedTuple):
    """What one command did to the network: its seconds, DHCP messages ("> REQUEST" is the guest's), probes missed."""

    what: str
    seconds: float
    messages: tuple[str, ...]
    missed: int

    def __str__(self) -> str:
        said = ", ".join(self.messages) or "no message"
        return f"{self.what}: {self.seconds:.1f} s, {self.missed} probes missed, {said}"


class Handover:
    """``with Handover(guest) as handover``: Holdfast is in the guest, other people's addresses are on its link."""

    def __init__(self, guest: Guest) -> None:
        self.guest, self.net = guest, guest.net
        if guest.run(["test", "-e", "/usr/bin/holdfast"]).returncode != 0:
            install(guest)
        self.address = guest.wait_address()
        self.client_id = client_id(self.net.packets.sent("REQUEST")[-1])
        self.measured: list[Measured] = []
        self._add_neighbours()
        self.began = boottime()

    def __enter__(self) -> Handover:
        self.watch: NetlinkWatch | None = None if self.guest.virtual_machine else self.net.watch()
        if self.watch is None:  # nobody can look into its kernel from outside
            self.guest.shell(f"setsid ip -oneline monitor address route >{MONITOR} 2>&1 </dev/null &")
        self.probe: GuestProbe = self.net.probe(self.address, VIRTUAL, NEIGHBOUR)
        for address in self.probe.addresses:
            self.guest.wait(lambda address=address: self.probe.answering(address), 10, f"{address} answers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.guest.journal("--lines=150"))
            print(self.guest.shell("ip addr; ip route; holdfast status --json", check=False))
        print(*self.measured, sep="\n")

    def holdfast(self, *words: str, timeout: float = 120) -> str:
        """`holdfast WORDS` in the guest; what it prints."""
        return self.guest.run(["holdfast", *words], timeout=timeout, check=True).stdout

    def command(self, *words: str) -> str:
        """The same, measured until two seconds after its end."""
        began = boottime()
        said = self.holdfast(*words)
        ended = boottime()
        self.guest.wait(lambda: boottime() > ended + 2, 5, "two seconds later")
        kinds = [("> " if seen.direction == "in" else "< ") + seen.kind for seen in self.net.packets.wire.all()
                 if seen.at >= began]
        until = boottime() - 1  # what was asked later may still be answered
        missed = sum(len(self.probe.missed(address, began, until)) for address in self.probe.addresses)
        what = f"{self.guest.variant}: holdfast {words[0]}"
        self.measured.append(Measured(what, ended - began, tuple(kinds), missed))
        return said

    def assert_nobody_noticed(self, kinds: frozenset[str] = frozenset({"REQUEST"})) -> None:
        """From ``with`` to now: no address or foreign route went, no probe was missed, the guest said nothing but
        ``kinds``, and the client-id was the same all the time."""
        self.probe.finish()
        if self.watch is not None:
            self._assert_kernel_kept(self.watch)
        else:
            gone = [line for line in self.guest.pull(MONITOR).decode().splitlines() if line.startswith("Deleted")]
            mine = (f" {self.address}/24 ", f" {NEIGHBOUR}/24 ", f" {VIRTUAL}/32 ", FOREIGN_ROUTE)
            assert [line for line in gone if any(word in line for word in mine)] == []
        for address in self.probe.addresses:
            assert self.probe.missed(address) == [], f"{address} was away"
        said = self.net.packets.sent(since=self.began)
        assert {seen.kind for seen in said} <= kinds
        assert {client_id(seen) for seen in said} <= {self.client_id}  # rule 8
        assert self.guest.addresses().count(self.address) == 1
        self.guest.wait(lambda: self.net.given() == self.address, 10, "the server has it so in its file")

    def _assert_kernel_kept(self, watch: NetlinkWatch) -> None:
        mine = {f"{self.address}/24", f"{NEIGHBOUR}/24", f"{VIRTUAL}/32"}
        assert [event for event in watch.events("address-") if event.what in mine] == []
        assert [event for event in watch.events("route-") if event.what.startswith(FOREIGN_ROUTE)] == []
        assert watch.events("down") == []

    def assert_holdfast_serves(self) -> None:
        """Running, enabled, bound to the address, and its renewal is answered."""
        guest = self.guest
        guest.wait(lambda: guest.run(["systemctl", "is-active", UNIT]).stdout.strip() == "active", 30, f"{UNIT} runs")
        assert starts_at_boot(guest)
        guest.wait(self._bound, 30, "Holdfast is bound", pause=0.2)
        before = boottime()
        self.holdfast("renew", LINK)
        requests = self.net.packets.sent("REQUEST", since=before)  # more than one, when T1 came meanwhile
        assert {client_id(request) for request in requests} == {self.client_id}  # rule 8
        guest.wait(lambda: self.net.packets.received("ACK", since=before), 10, "the ACK was seen")

    def assert_holdfast_is_gone(self) -> None:
        """Neither running nor enabled, and nothing of a take-over is left but programs."""
        guest = self.guest
        assert guest.run(["systemctl", "is-active", UNIT]).stdout.strip() in {"inactive", "failed"}
        assert guest.run(["systemctl", "is-enabled", UNIT]).stdout.strip() == "disabled"
        assert not guest.run(["pgrep", "-f", "/usr/lib/holdfast/agent"]).stdout
        assert guest.shell(f"find /etc -newer /etc/hostname -name '*holdfast*{LINK}*'") == ""
        assert guest.shell("ls /var/lib/holdfast-takeover/*.json 2>/dev/null", check=False) == ""

    def reboot(self) -> float:
        """The guest boots anew, and what was on the link is gone; the instant before."""
        self.probe.finish()
        began = boottime()
        self.guest.reboot()
        return began

    def assert_no_discover(self, since: float) -> None:
        """A boot with a remembered lease asks for it: rule 47 and INIT-REBOOT, not DISCOVER."""
        assert not self.net.packets.sent("DISCOVER", since=since)
        assert {client_id(seen) for seen in self.net.packets.sent(since=since)} == {self.client_id}  # rule 8

    def wait_renewal(self) -> None:
        """Whoever serves now renews when T1 comes, with the same client-id, and is answered."""
        before = boottime()  # perhaps between a question and its answer
        packets = self.net.packets

        def renewed() -> bool:
            asked = packets.sent(since=before)
            return bool(asked and packets.received("ACK", since=asked[0].at))

        self.guest.wait(renewed, 60, "the lease is renewed", pause=0.2)
        assert {client_id(seen) for seen in packets.sent(since=before)} == {self.client_id}  # rule 8
        assert not packets.sent("DISCOVER", since=before)

    def names_work(self) -> str:
        """The name servers that the guest's programs would ask."""
        return self.guest.shell("cat /etc/resolv.conf; resolvectl dns 2>/dev/null || :")

    def _bound(self) -> bool:
        done = self.guest.run(["holdfast", "status", LINK, "--json"])
        return done.returncode == 0 and self.address in done.stdout and '"BOUND"' in json.dumps(json.loads(done.stdout))

    def _add_neighbours(self) -> None:
        for command in (
            f"ip addr add {VIRTUAL}/32 dev {LINK}", f"ip addr add {NEIGHBOUR}/24 dev {LINK}",
            f"ip route add {FOREIGN_ROUTE} via 10.77.0.1 dev {LINK}",
        ):
            self.guest.shell(command)
        self.net.on_server("ip", "route", "replace", VIRTUAL, "dev", BRIDGE)


def there_and_back(former: Former) -> None:
    """Nobody notices, in either direction."""
    with former.boot() as guest:
        assert guest.wait_booted() == "running"
        with Handover(guest) as handover:
            planned = handover.holdfast("takeover", LINK, "--dry-run")
            assert handover.address in planned
            assert former.serves(guest)
            handover.command("takeover", LINK)
            assert not former.serves(guest)
            handover.assert_holdfast_serves()
            guest.wait(lambda: SERVER in handover.names_work(), 15, "the name server is known")
            guest.shell(former.disturb)
            assert not former.serves(guest)
            handover.command("handback", LINK)
            guest.wait(lambda: former.serves(guest), 20, "the former client has the link")
            guest.wait(lambda: SERVER in handover.names_work(), 15, "the name server is known")
            handover.wait_renewal()
            handover.assert_nobody_noticed(frozenset({"REQUEST", "DISCOVER"} if former.discovers else {"REQUEST"}))
            handover.assert_holdfast_is_gone()


def every_boot(former: Former) -> None:
    """After the confirmation every boot is Holdfast's, after the hand-back every boot is the former client's."""
    with former.boot() as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK)
        began = handover.reboot()
        assert guest.wait_booted() == "running"
        handover.assert_holdfast_serves()
        assert not former.serves(guest)
        assert guest.addresses() == [handover.address]
        handover.assert_no_discover(since=began)
        guest.run(["systemctl", "start", "network-online.target"], timeout=30, check=True)  # nobody waits in vain
        handover.holdfast("handback", LINK)
        handover.assert_holdfast_is_gone()
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        guest.wait(lambda: former.serves(guest), 20, "the former client has the link")
        handover.assert_holdfast_is_gone()


def boot_before_the_confirmation(former: Former) -> None:
    """A boot in between is the former client's, and no obstacle for the next try."""
    with former.boot() as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK, "--confirm-within", "300")
            assert not former.serves(guest)
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        guest.wait(lambda: former.serves(guest), 20, "the former client has the link")
        assert guest.run(["systemctl", "is-active", UNIT]).stdout.strip() == "inactive"
        handover.holdfast("takeover", LINK)
        handover.assert_holdfast_serves()


def nobody_confirms(former: Former) -> None:
    """An ssh session that is lost: the dead-man hands back by itself, and nobody notices that either."""
    with former.boot() as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK, "--confirm-within", "10")
            guest.run(["systemctl", "daemon-reload"], check=True)  # which reads the dead-man's unit anew
            assert not former.serves(guest)
            guest.wait(lambda: former.serves(guest), 60, "the former client has the link", pause=0.2)
            handover.wait_renewal()
            assert former.serves(guest)  # it outlived the dead-man's unit
            handover.assert_nobody_noticed()
            handover.assert_holdfast_is_gone()


FLOWS = (there_and_back, every_boot, boot_before_the_confirmation, nobody_confirms)
