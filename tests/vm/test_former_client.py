"""What is broken of Holdfast leaves the guest to its former client: without an overlay from the boot on, and with one
but without an agent that comes up 30 s later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from tests.support.distribution import Distribution
from tests.support.guests import LINK, Guest, Nspawn, Terms, client_id
from tests.support.guests.install import install
from tests.support.guests.variants import Variant
from tests.support.monitor import boottime

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

VARIANTS: list[Variant] = ["networkd", "networkmanager", "ifupdown"]
ENTRIES = "/run/holdfast-overlay/entries"
SITE = "/usr/lib/holdfast/site/holdfast"
OVERLAY = "/usr/lib/holdfast/overlay"
AGENT = "/usr/lib/holdfast/agent"
#: What made it is a file or a folder: it is moved back.
_MEND = 'rm -rf "$1" && mv "$1.whole" "$1"'


class Fault(NamedTuple):
    """``text`` instead of the file ``path``, or nothing for None."""

    path: str
    text: str | None


#: No overlay is there, or what there was of it is removed again; no agent starts.
BEFORE: Mapping[str, Fault] = {
    "the package is half removed": Fault(SITE, None),
    "its code is broken": Fault(f"{SITE}/managers/overlay.py", "def\n"),
    "Python is gone": Fault(OVERLAY, "#!/opt/holdfast/bin/python\n"),
    "the list is no list": Fault("/etc/holdfast/links", f"{LINK}\nnot one word\n"),
    "the list is no text": Fault("/etc/holdfast/links", f"{LINK}\n\x00\x01\n"),
    "the overlay's program fails at its end": Fault(
        OVERLAY, f'#!/bin/sh\n{OVERLAY}.whole "$@"\nexit 1\n'),
    "the overlay's program does not end": Fault(
        OVERLAY, f'#!/bin/sh\n{OVERLAY}.whole "$@"\nexec sleep 600\n'),
}
#: The overlay is made, and the agent does not come up.
AFTER: Mapping[str, Fault] = {
    "the configuration is wrong": Fault("/etc/holdfast/holdfast.toml", "[agent\n"),
    "the agent ends at once": Fault(AGENT, "#!/bin/sh\nexit 1\n"),
    "the agent is killed before READY": Fault(AGENT, "#!/bin/sh\nsleep 3\nkill -9 $$\n"),
    "the agent is never ready": Fault(AGENT, "#!/bin/sh\nexec sleep 600\n"),
}


class Former:
    """A guest whose link is in the list. ``name``: the client-id with which its own client asks."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.address = guest.wait_address()
        self.name = client_id(guest.net.packets.sent("REQUEST")[-1])
        install(guest)
        guest.push("/etc/holdfast/links", f"{LINK}\n")
        guest.reboot()
        guest.wait(self.agent_runs, 60, "Holdfast serves the link", pause=0.2)
        assert guest.wait_address() == self.address
        assert self.entries()

    def agent_runs(self) -> bool:
        return self.guest.run(["systemctl", "is-active", f"holdfast@{LINK}.service"]).stdout == "active\n"

    def entries(self) -> str:
        return self.guest.shell(f"cat {ENTRIES} 2>/dev/null", check=False)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Booted with it; mended afterwards."""
        self.guest.shell('mv "$1" "$1.whole"', fault.path)
        if fault.text is not None:
            self.guest.push(fault.path, fault.text, mode=0o755)
        self.guest.reboot()
        yield
        self.guest.shell(_MEND, fault.path)

    def assert_back(self, began: float, seconds: float, what: str) -> None:
        """Within ``seconds`` of ``began`` its own client has the link, alone, as it had it before Holdfast came."""
        guest = self.guest
        left = began + seconds - boottime()
        guest.wait(lambda: guest.addresses() == [self.address] and not self.entries(), max(left, 1),
                   f"{what}: the former client has the link", pause=0.2)
        assert not self.agent_runs(), what
        assert guest.shell("mount | grep holdfast-overlay || true") == "", what
        said = guest.net.packets.sent(since=began)
        assert client_id(said[-1]) == self.name, what
        assert "holdfast" not in guest.shell(
            "find /run/systemd/network /run/NetworkManager -name '*holdfast*' 2>/dev/null || true"), what


def boot(variant: Variant) -> Guest:
    """The server gives the same address for the same hardware address, whatever the client calls itself."""
    return Nspawn(variant, terms=Terms(lease_time=600))


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_an_overlay_the_former_client_boots(variant: Variant) -> None:
    with boot(variant) as guest:
        former = Former(guest)
        for what, fault in BEFORE.items():
            began = boottime()
            with former.broken(fault):
                former.assert_back(began, 60, what)


@pytest.mark.ondemand
@pytest.mark.parametrize("variant", VARIANTS)
def test_without_an_agent_the_link_is_given_back(variant: Variant) -> None:
    with boot(variant) as guest:
        former = Former(guest)
        for what, fault in AFTER.items():
            began = boottime()
            with former.broken(fault):
                guest.wait(former.entries, 60, f"{what}: the overlay is made", pause=0.1)
                former.assert_back(began, 60, what)
                assert guest.shell(f"cat /run/holdfast-overlay/fallen/{LINK}") == (
                    "no agent was READY and no address was there 30 s after the start\n"), what


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_removed_package_gives_the_link_back_at_once(variant: Variant, distribution: Distribution) -> None:
    """And at the next boot it is as if Holdfast had never been there."""
    with boot(variant) as guest:
        address = guest.wait_address()
        guest.push("/var/tmp/holdfast.deb", distribution.deb.read_bytes())
        guest.run(["dpkg", "--install", "/var/tmp/holdfast.deb"], check=True, timeout=180)
        guest.push("/etc/holdfast/links", f"{LINK}\n")
        guest.reboot()
        serves = ["holdfast", "wait-online", LINK]
        guest.run(serves, check=True, timeout=130)
        began = boottime()
        guest.run(["dpkg", "--remove", "holdfast"], check=True, timeout=120)
        guest.wait(lambda: guest.addresses() == [address] and len(guest.net.packets.sent(since=began)) > 0, 60,
                   "the former client has the link", pause=0.2)
        assert guest.shell(f"cat {ENTRIES}") == ""
        began = boottime()
        guest.reboot()
        guest.wait_booted()
        assert guest.wait_address() == address
        assert len({client_id(seen) for seen in guest.net.packets.sent(since=began)}) == 1
        assert guest.shell("ls /run/holdfast-overlay 2>/dev/null || true") == ""
