"""250 interfaces of one agent, on a network of a real server: the lab's own is one thread with 205 addresses."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections import Counter
from pathlib import Path

from holdfast_lab.attack.arena import Arena, Attack, Scale, descriptors, memory
from holdfast_lab.attack.scarcity import BURST, burst
from holdfast_lab.testbed import dnsmasq
from holdfast_lab.testbed.netns import Switch
from holdfast_lab.witness.wirelog import boottime

#: Interfaces, and the links' first letter.
LINKS, LETTER = 250, "m"
#: Renewals of each that are waited for.
RENEWALS = 2
#: Seconds. dnsmasq grants no shorter lease than 120 s; T1 and T2 can be forced.
TIME, T1, T2 = 120, 30, 105
#: Fair seconds until all are bound, and until all have renewed.
ALL_BOUND, ALL_RENEWED = 120.0, 300.0
#: LimitNOFILE= of holdfast.service.
DESCRIPTORS = 4096
CONFIG = f'[agent]\nserve = ["eth0", "{LETTER}*"]\n'
_ACK = re.compile(r"DHCPACK\(br0\) \S+ ([0-9a-f:]{17})")


class Crowd:
    """The links of the arena's client that are not judged by the lab's server, and their server."""

    def __init__(self, arena: Arena, links: int) -> None:
        """Plug so many links into a switch of their own, and start dnsmasq on it; the arena ends both."""
        self.arena = arena
        self.names = [f"{LETTER}{number}" for number in range(links)]
        switch = Switch("crowd")
        arena.on_close(switch.close)
        # Each link of the client is alone on its cable: no broadcast reaches another.
        dnsmasq.prepare(arena.client)
        for name in self.names:
            port = switch.plug(arena.client, name)
            switch.namespace.output(["ip", "link", "set", port, "type", "bridge_slave", "isolated", "on"])
        forced = [f"dhcp-option-force=58,{T1}", f"dhcp-option-force=59,{T2}"]
        self.server, self.log = dnsmasq.serve(switch, time=TIME, more=forced)

    def grants(self) -> Counter[str]:
        """ACKs so far, by hardware address."""
        assert self.server.poll() is None, f"dnsmasq ended: {self.log.read_text(errors='replace')[-300:]}"
        return Counter(_ACK.findall(self.log.read_text(encoding="utf-8", errors="replace")))

    def addresses(self) -> set[tuple[str, str]]:
        """(link, address) of the kernel's now."""
        told = self.arena.client.output(["ip", "-4", "-o", "address", "show"])
        words = [line.split() for line in told.splitlines()]
        return {(one[1], one[3]) for one in words if one[1] in self.names}

    def granted(self, times: int) -> bool:
        """Whether each link was granted its lease so many times at least."""
        now = self.grants()
        return len(now) == len(self.names) and min(now.values()) >= times


def many(arena: Arena, _scale: Scale) -> str:
    """250 links are bound by a pattern, and each renews twice."""
    return held(arena, LINKS, DESCRIPTORS)


def many_overrun(arena: Arena, _scale: Scale) -> str:
    """The same, while netlink messages are lost three times."""
    return held(arena, LINKS, DESCRIPTORS, bursts=3)


def held(arena: Arena, links: int, limit: int, *, bursts: int = 0, renewals: int = RENEWALS) -> str:
    """Have the agent, with so many descriptors at the most, bind ``links`` at the same moment and renew each so often,
    and lose netlink messages meanwhile. AssertionError says what was lost."""
    arena.terminate()
    crowd = Crowd(arena, links)
    arena.client.run(_in_a_container)
    arena.links = []  # the pattern finds them
    # A server that comes back: all bind at the same moment, which takes the most descriptors.
    crowd.server.send_signal(signal.SIGSTOP)
    arena.start()
    resource.prlimit(arena.pid, resource.RLIMIT_NOFILE, (limit, limit))
    last = f"{crowd.names[-1]}: {crowd.names[-1]} is here"
    arena.wait_until(lambda: last in arena.log(), ALL_BOUND, "all are served")
    arena.renewed()  # meanwhile all ask, and again
    crowd.server.send_signal(signal.SIGCONT)
    began = boottime()
    arena.wait_until(lambda: len(crowd.addresses()) == links, ALL_BOUND, f"{links} addresses")
    bound, there = boottime() - began, crowd.addresses()
    before, used = sum(crowd.grants().values()), processor_time(arena.pid)
    first = min(crowd.grants().values())
    for _ in range(bursts):
        burst(arena)
        arena.renewed()
    arena.wait_until(lambda: crowd.granted(first + renewals), ALL_RENEWED, f"{renewals} renewals of each link")
    renewed, used = sum(crowd.grants().values()) - before, processor_time(arena.pid) - used
    lost = [event.what for event in arena.watch.events("address-") if event.what.startswith(dnsmasq.PREFIX)]
    assert not lost, f"{len(lost)} addresses were removed, {lost[0]} first"
    assert crowd.addresses() == there, f"other addresses: {sorted(crowd.addresses() ^ there)[:4]}"
    assert "Too many open files" not in arena.log(), f"{limit} descriptors do not suffice"
    assert len({address for _link, address in there}) == links, "two links have one address"
    each = 1000 * used / max(renewed, 1)
    told = [f"{links} bound in {bound:.1f} s", f"{renewed} renewals of {each:.1f} ms processor time",
            f"{memory(arena.pid) / (1 << 20):.0f} MiB", f"{descriptors(arena.pid)} descriptors"]
    return ", ".join([*told, f"{2 * BURST * bursts:,} messages"] if bursts else told)


def processor_time(pid: int) -> float:
    """Seconds of user and system time of a process (fields 14 and 15 of /proc/PID/stat, proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _in_a_container() -> None:
    """systemd's mark of a container: a pattern takes a veth there only, on a host it is a container's cable."""
    Path("/run/systemd").mkdir(exist_ok=True)
    Path("/run/systemd/container").touch()


ATTACKS = (
    Attack("many", "250 interfaces of one agent", many, config=CONFIG, lengthy=True),
    Attack("many-overrun", "250 interfaces, and netlink messages are lost", many_overrun, config=CONFIG, lengthy=True),
)
