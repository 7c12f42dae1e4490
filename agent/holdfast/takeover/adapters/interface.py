"""What adapters need of the interface: an address's lifetime, the host name that is sent, and IPv6."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface

from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Command, Found


def lifetime(host: Host, ifname: str, interface: IPv4Interface) -> float:
    """Seconds that the kernel still gives the address, inf for no end. TakeoverError when it is not there."""
    held = host.observe(ifname).find(interface)
    if held is None:
        raise TakeoverError(f"{ifname}: the lease is for {interface}, which is not on it; try again")
    return held.valid


def machine_name(host: Host) -> str | None:
    """The name that clients send as option 12 by default, None when the machine has none of its own."""
    name = host.nodename().partition(".")[0]
    return None if name in ("", "localhost", "(none)") else name


def refuse_dhcpv6(host: Host, ifname: str, client: str) -> None:
    """TakeoverError when the interface has an IPv6 address that only ``client`` can keep: one from DHCPv6."""
    done = host.run(["ip", "-6", "-o", "addr", "show", "dev", ifname, "scope", "global", "dynamic"])
    if done.ok and "/128 " in done.stdout:
        raise TakeoverError(
            f"{ifname}: {client} also holds an IPv6 address from DHCPv6; leave this one to it"
        )


def kernel_router_advertisements(host: Host, ifname: str) -> list[Command]:
    """Switch the kernel's processing of router advertisements on, which a manager that processes them itself has
    switched off, so that IPv6 stays; at the next boot that is the kernel's default. TakeoverError where it would not be
    the same."""
    settings = f"/proc/sys/net/ipv6/conf/{ifname}"
    if host.text(f"{settings}/accept_ra").strip() != "0":
        return []
    done = host.run(["ip", "-6", "route", "show", "dev", ifname, "proto", "ra"])
    if not (done.ok and done.stdout.strip() and host.which("sysctl")):
        return []
    if host.text(f"{settings}/forwarding").strip() == "1":
        raise TakeoverError(
            f"{ifname}: its manager has IPv6 routes from router advertisements, to which the kernel would not listen "
            "because this machine forwards IPv6; leave this one to it"
        )
    _refuse_private_address(host, ifname)
    key = f"net/ipv6/conf/{ifname}/accept_ra"
    return [Command(("sysctl", "-q", "-w", f"{key}=1"), ("sysctl", "-q", "-w", f"{key}=0"))]


def _refuse_private_address(host: Host, ifname: str) -> None:
    """TakeoverError when an advertised prefix has an address that the kernel would not make: of a secret (RFC 7217) or
    a token, not of the hardware address (RFC 4291, appendix A)."""
    mac = host.mac(ifname)
    made = int.from_bytes(bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:], "big")
    done = host.run(["ip", "-6", "-o", "addr", "show", "dev", ifname, "scope", "global", "dynamic"])
    for line in done.stdout.splitlines():
        words = line.split()
        if "temporary" in words or len(words) < 4:
            continue
        try:
            held = IPv6Interface(words[3])
        except ValueError:
            continue
        if int(held) & (1 << 64) - 1 != made:
            raise TakeoverError(
                f"{ifname}: the kernel would make another IPv6 address than {held}, so that one would be gone when its "
                "lifetime ends; first let its manager make it of the hardware address (NetworkManager: "
                "ipv6.addr-gen-mode eui64; networkd: no Token= in [IPv6AcceptRA]), or leave this one to it"
            )


def metric(text: str) -> dict[str, int]:
    """A client's route metric as our setting; empty when it says none, or -1 for its own default."""
    return {"metric": int(text)} if text.isascii() and text.isdigit() and int(text) < 1 << 32 else {}


def comment(ifname: str) -> str:
    """The first line of a file of ours."""
    return f"# {ifname} is served by Holdfast. `holdfast handback {ifname}` removes this file.\n"


def await_lease(
    host: Host, found: Found, address: IPv4Interface, held: Callable[[], str | None], patience: float
) -> None:
    """Wait until ``held`` returns that address. TakeoverError when it has not within ``patience`` seconds."""
    if not host.wait(lambda: held() == str(address.ip), patience):
        raise TakeoverError(f"{found.ifname}: {found.client} has no lease for {address.ip} after {patience:g} s; see "
                            f"`journalctl -u {found.unit}`")
