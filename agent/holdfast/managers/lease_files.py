"""Where other DHCP clients keep their leases, in the order in which they are looked for."""

from __future__ import annotations

#: Debian's dhclient, and Enterprise Linux's.
DHCLIENT = ("/var/lib/dhcp/dhclient.leases", "/var/lib/dhclient/dhclient.leases")
#: A file for each interface, by its number.
NETWORKD = "/run/systemd/netif/leases"
DHCPCD = "/var/lib/dhcpcd"


def dhcpcd(ifname: str) -> tuple[str, ...]:
    """dhcpcd 7 and later, before that, and Debian's dhcpcd5."""
    return f"{DHCPCD}/{ifname}.lease", f"{DHCPCD}/dhcpcd-{ifname}.lease", f"/var/lib/dhcpcd5/dhcpcd-{ifname}.lease"
