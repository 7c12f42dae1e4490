"""The life of a virtual machine, in one: paused, suspended, set to another year, killed, unplugged, restored.

QEMU, because a container has neither a clock nor a card of its own. Each test boots one guest and puts it through
several adventures, for the boot is what takes time. ``Life`` holds the witnesses: ``ip monitor`` in the guest, probes
and packets outside.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.guests import LINK, Qemu, Terms
from tests.support.guests.install import install
from tests.support.monitor import boottime

from holdfast_lab.witness.wirelog import Seen

pytestmark = [pytest.mark.vm, pytest.mark.machine, pytest.mark.root, pytest.mark.usefixtures("guests")]

#: dnsmasq's shortest lease, and a first renewal soon enough for a test.
TERMS = Terms(lease_time=120, t1=12, t2=60)
WITNESS = "/run/witness"
YEAR = 366 * 86400


class Life:
    """A guest whose lease is watched from inside and outside from now on."""

    def __init__(self, guest: Qemu) -> None:
        self.guest = guest
        self.net = guest.net
        guest.shell(f"nohup ip monitor address route >{WITNESS} 2>&1 &")
        self.address = self.net.given() or ""
        self.probe = self.net.probe(self.address)

    def deleted(self) -> list[str]:
        """What the guest's kernel has taken away: addresses and routes of IPv4."""
        lines = self.guest.pull(WITNESS).decode().splitlines()
        return [line for line in lines if line.startswith("Deleted") and "inet6" not in line and "fe80" not in line]

    def updates(self) -> int:
        """How often the kernel's lifetimes of the address were written."""
        lines = self.guest.pull(WITNESS).decode().splitlines()
        return len([line for line in lines if self.address in line and "inet " in line])

    def lifetime(self) -> int:
        """The seconds that the guest's kernel will keep the address."""
        entry = json.loads(self.guest.shell(f"ip -4 -j addr show dev {LINK}"))[0]["addr_info"]
        return int(next(info["valid_life_time"] for info in entry if info["local"] == self.address))

    def lifetime_is_right(self) -> bool:
        """Whether the kernel's lifetime is that of the last ACK, in whole seconds; asking takes its time."""
        before, lifetime, after = self.lease_left(), self.lifetime(), self.lease_left()
        return after - 2 <= lifetime <= before + 2

    def lease_left(self) -> float:
        """The seconds that are left of the lease, by the last ACK on the wire."""
        ack = self.net.packets.received("ACK")[-1]
        assert ack.lease_time is not None
        return ack.at + ack.lease_time - boottime()

    def wait_request(self, since: float, timeout: float) -> Seen:
        """The first REQUEST after ``since`` that is answered by an ACK."""
        request = self.net.packets.wire.wait_for(
            lambda seen: seen.kind == "REQUEST" and seen.direction == "in", timeout, since=since
        )
        self.net.packets.wire.wait_for(lambda seen: seen.kind == "ACK" and seen.xid == request.xid, 60, since=since)
        return request

    def outcomes(self, *results: str) -> list[dict[str, Any]]:
        """Holdfast's own record; none before it has begun one, which comes after the address."""
        lines = self.guest.run(["cat", f"/var/lib/holdfast/{LINK}.outcomes.jsonl"]).stdout.splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("}")]
        return [outcome for outcome in found if not results or outcome["result"] in results]

    def state(self) -> str:
        """RFC 2131's name of the agent's state; "" while it does not answer."""
        done = self.guest.run(["holdfast", "status", LINK, "--json"])
        return str(json.loads(done.stdout)[0]["state"]) if done.returncode == 0 else ""

    def main_pid(self) -> int:
        """The agent's process."""
        return int(self.guest.shell(f"systemctl show --property=MainPID --value holdfast@{LINK}.service"))

    def sleep(self, seconds: float) -> None:
        """Let time pass outside, while the guest's stands still: there is nothing to wait for."""
        end = time.monotonic() + seconds
        self.guest.wait(lambda: time.monotonic() >= end, seconds + 10, f"{seconds:g} s are over")

    def assert_unharmed(self) -> None:
        """No address and no route has gone, the agent is bound, and the address answers."""
        assert self.deleted() == []
        assert self.guest.addresses() == [self.address]
        self.guest.wait(lambda: self.state() == "BOUND", 60, "the agent is bound")
        self.guest.wait(lambda: self.probe.answering(self.address), 30, "the address answers")


def memory_limit(life: Life, size: str) -> None:
    """The limit of the agent's cgroup, and of no other."""
    life.guest.run(
        ["systemctl", "set-property", "--runtime", f"holdfast@{LINK}.service", f"MemoryMax={size}"], check=True
    )


@contextmanager
def living(**options: Any) -> Iterator[Life]:
    """A guest with Holdfast, bound."""
    with Qemu("bare", terms=TERMS, **options) as guest:
        guest.wait_booted()
        install(guest)
        guest.run(["systemctl", "start", f"holdfast@{LINK}.service"], check=True)
        guest.wait_address()
        life = Life(guest)
        guest.wait(lambda: life.outcomes("acquired"), 60, "the lease is recorded")
        yield life
        life.probe.finish()
        print(guest.journal("--unit", f"holdfast@{LINK}.service")[-6000:])


def test_clocks_kills_and_cables() -> None:
    with living() as life:
        guest = life.guest
        started = boottime()
        pid = life.main_pid()

        # rule 44: a year forward, two back, one forward again
        for seconds in (YEAR, -2 * YEAR, YEAR):
            now = int(guest.shell("date +%s"))
            guest.run(["date", "-s", f"@{now + seconds}"], check=True)
            life.assert_unharmed()
        assert life.main_pid() == pid
        guest.wait(life.lifetime_is_right, 30, "the kernel has the lease's own lifetime")
        assert life.outcomes("expired", "moved", "refused") == []

        # rule 52, 47: killed, and back by systemd, with nothing taken away
        guest.run(["systemctl", "kill", "--signal=KILL", f"holdfast@{LINK}.service"], check=True)
        killed = boottime()
        guest.wait(lambda: life.main_pid() not in {0, pid}, 90, "systemd has started it again")
        life.wait_request(killed, 90)
        life.assert_unharmed()

        # rule 52, 47: killed by the kernel for the memory of its own cgroup, and back when there is room again
        pid, starved = life.main_pid(), boottime()
        memory_limit(life, "1M")
        guest.wait(lambda: f"Killed process {pid} " in guest.shell("dmesg"), 90, "the kernel has killed the agent")
        assert guest.addresses() == [life.address]
        memory_limit(life, "256M")
        guest.wait(lambda: life.main_pid() not in {0, pid}, 90, "systemd has started it again")
        life.wait_request(starved, 90)
        life.assert_unharmed()

        # rule 51: stopped for good, and the address stays
        guest.run(["systemctl", "stop", f"holdfast@{LINK}.service"], check=True)
        assert guest.addresses() == [life.address]
        stopped = boottime()
        guest.run(["systemctl", "start", f"holdfast@{LINK}.service"], check=True)
        life.wait_request(stopped, 90)
        assert life.net.packets.sent("RELEASE", "DECLINE", "DISCOVER", since=started) == []
        life.probe.finish()  # a translated guest may be slow to answer on a busy machine; that is no lost address
        assert life.probe.longest_gap(life.address) < 5

        # rule 61: the card's carrier goes for a while, as in a live migration to another switch
        guest.carrier(False)
        guest.wait(lambda: "NO-CARRIER" in guest.shell(f"ip link show {LINK}"), 60, "no carrier")
        assert guest.addresses() == [life.address]
        plugged = boottime()
        guest.carrier(True)
        life.wait_request(plugged, 60)
        assert guest.addresses() == [life.address]
        assert [line for line in life.deleted() if "inet " in line] == []


def test_pauses_and_sleep() -> None:
    with living() as life:
        guest = life.guest

        # A pause beyond T1: the guest cannot know, and renews when its own clock says so, while the lease is valid.
        updates = life.updates()
        guest.pause()
        life.sleep(TERMS.t1 or 0)
        resumed = boottime()
        guest.resume()
        life.wait_request(resumed, 90)
        guest.wait(lambda: life.updates() > updates, 60, "the kernel's lifetimes are written anew")
        life.assert_unharmed()

        # The same, and then somebody (NTP, a hypervisor's agent) sets the clock: now it knows, and asks at once.
        guest.pause()
        life.sleep(8)
        guest.resume()
        resumed = boottime()
        guest.run(["date", "-s", f"@{int(time.time()) + 1}"], check=True)
        life.wait_request(resumed, 40)
        life.assert_unharmed()

        # rule 45, 46: suspended to RAM past T1, and past what the kernel thought to have left of the lifetime
        asleep = (TERMS.t1 or 0) + 5
        # Not before the answer to this command has left the guest, which takes a slow one some time.
        guest.shell("nohup sh -c 'sleep 5; echo mem >/sys/power/state' >/dev/null 2>&1 &")
        guest.qmp.wait_event("SUSPEND", timeout=60)
        life.sleep(asleep)
        woken = boottime()
        guest.qmp.execute("system_wakeup")
        guest.qmp.wait_event("WAKEUP", timeout=60)
        request = life.wait_request(woken, 60)
        guest.wait(life.lifetime_is_right, 30, "the lifetime is the new lease's")
        life.assert_unharmed()
        print(f"asleep {asleep} s; the first REQUEST {request.at - woken:.2f} s after the wake-up call")
        assert life.outcomes("expired", "moved") == []
        assert life.net.packets.sent("DISCOVER", "RELEASE", "DECLINE", since=resumed) == []


def test_a_restored_snapshot_asks_at_once(tmp_path: Path) -> None:
    with living(newer_kernel=True) as life:
        guest = life.guest
        guest.save(tmp_path / "memory")
        restored = boottime()
        guest.restore(tmp_path / "memory", generation=uuid.uuid4())
        request = life.wait_request(restored, 60)
        print(f"the first REQUEST {request.at - restored:.2f} s after QEMU was started anew")
        life.assert_unharmed()
        assert "virtual machine fork" in guest.shell("dmesg")
        assert life.net.packets.sent("DISCOVER", "RELEASE", "DECLINE", since=restored) == []
