"""First boots on networks that say more than "DHCP": an MTU, name servers, IPv6 of each kind.

cloud-init itself makes the managers' files of what nova serves. Holdfast takes DHCPv4 over; all the rest is as the
manager brought it up, at once and after a reboot. A container's card has no permanent address, by which netplan and
NetworkManager match what nova names: in containers they get the same by the link's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.distribution import Distribution
from tests.support.firstboot import FirstBoot, snippet
from tests.support.guests import LINK, SERVER, Guest, GuestError, Nspawn, Terms, Variant
from tests.support.guests.cases.looks import Look, differences, look
from tests.support.guests.cases.run import MAC
from tests.support.guests.net import IPv6
from tests.support.guests.variants import SECOND
from tests.support.userdata import config_drive, network_data

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.ondemand, pytest.mark.usefixtures("guests")]


class Cloud(NamedTuple):
    """What the metadata say."""

    mtu: int
    dns: Sequence[str] = ()
    ipv6: IPv6 | None = None
    macs: tuple[str, ...] = (MAC,)

    @property
    def terms(self) -> Terms:
        """The servers of that network."""
        return Terms(lease_time=600, ipv6=self.ipv6, extra=(f"dhcp-option=26,{self.mtu}",))

    def by_name(self) -> str:
        """network-config, version 2, with what cloud-init makes of the metadata."""
        lines = ["version: 2", "ethernets:"]
        for link, _ in zip((LINK, SECOND), self.macs, strict=False):
            lines += [f"  {link}:", "    dhcp4: true", f"    mtu: {self.mtu}"]
            lines += ["    dhcp6: true"] if self.ipv6 is not None else []
            lines += [f"    nameservers: {{addresses: [{', '.join(self.dns)}]}}"] if self.dns else []
        return "\n".join(lines) + "\n"


CLOUDS = {
    "mtu-1450": Cloud(1450, [SERVER]),
    "slaac": Cloud(1450, [SERVER], "slaac"),
    "stateless": Cloud(1500, [], "stateless"),
    "stateful": Cloud(1500, [SERVER], "stateful"),
    "two-links": Cloud(1450, [SERVER], None, (MAC, "fa:16:3e:d4:57:ae")),
}


def boot(variant: Variant, cloud: Cloud, user_data: str) -> Guest:
    """A guest whose cloud-init is told so."""
    second = cloud.macs[1] if len(cloud.macs) > 1 else None
    if variant in {"netplan", "networkmanager"}:
        seed = {"user-data": user_data, "network-config": cloud.by_name()}
        return Nspawn(variant, seed=seed, terms=cloud.terms, mac=MAC, second=second)
    network = network_data(*cloud.macs, mtu=cloud.mtu, dns=cloud.dns, ipv6=cloud.ipv6)
    return Nspawn(variant, seed={}, terms=cloud.terms, mac=MAC, second=second,
                  files=config_drive(user_data, network))


def alike(variant: Variant, cloud: Cloud) -> bool:
    """True where the default routes of two links have one metric, as networkd makes them: NetworkManager gives each its
    own, and of two dhclients the later one's route is refused by the kernel."""
    return len(cloud.macs) > 1 and variant in {"netplan", "networkd"}


def compared(seen: Look) -> Look:
    """A look at two links whose default routes are alike, without what is chance: which of them sends. Nor does the
    metric of the other one's subnet count: networkd, started anew, takes it away until the next boot."""
    subnet = re.compile(rf"(\S+ dev {SECOND} scope link) metric \d+")
    routes = tuple(sorted(subnet.sub(r"\1", line) for line in seen.parts["rt4"]))
    return seen._replace(parts={**seen.parts, "rt4": routes, "source": ()})


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("variant", ["netplan", "networkd", "networkmanager", "ifupdown"])
def test_first_boot(variant: Variant, name: str, distribution: Distribution, tmp_path: Path) -> None:
    cloud = CLOUDS[name]
    user_data = snippet("user-data-package-url.yaml", distribution, tmp_path)
    with boot(variant, cloud, user_data) as guest:
        guest.net.serve_http(tmp_path)
        if len(cloud.macs) > 1:
            guest.wait_address(link=SECOND)
        chance = alike(variant, cloud)
        first = FirstBoot(guest, frozenset({"routes"} if chance else ()))

        def looked() -> Look:
            return compared(look(guest.shell)) if chance else look(guest.shell)

        first.assert_taken_over()
        first.assert_no_gap()
        assert_network(guest, cloud)
        taken = looked()
        guest.reboot()
        guest.wait_booted()
        assert guest.wait_address() == first.address
        first.assert_serves()
        with suppress(GuestError):  # what differs says more
            guest.wait(lambda: differences(taken, looked()) == [], 20, "all is as before", pause=0.5)
        assert differences(taken, looked()) == []


def assert_network(guest: Guest, cloud: Cloud) -> None:
    """The link is as the metadata say, and so are its name servers."""

    def there() -> bool:
        seen = look(guest.shell).parts
        wanted = {"slaac": "2001:db8:77:0:", "stateless": "2001:db8:77:0:", "stateful": "2001:db8:77::1"}
        return (
            any(line.startswith(f"{LINK} mtu {cloud.mtu} ") for line in seen["link"])
            and (cloud.ipv6 is None or any(wanted[cloud.ipv6] in line for line in seen["addr"]))
            and (guest.variant == "networkmanager" or any(SERVER in line for line in seen["dns"]))
        )

    guest.wait(there, 30, "MTU, addresses and name servers are there", pause=0.5)
