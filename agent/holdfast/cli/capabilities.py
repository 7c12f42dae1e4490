"""What the kernel lets us do, for root in a container too."""

from __future__ import annotations

#: linux/capability.h: what packet sockets and the configuration of interfaces need.
_NEEDED = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


def missing_capabilities(status: str = "/proc/self/status") -> list[str]:
    """The capabilities that we need and surely lack (proc(5): CapEff)."""
    try:
        with open(status, encoding="ascii", errors="replace") as file:
            effective = next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), None)
    except OSError:
        effective = None
    if effective is None:  # no /proc: the daemon will find out
        return []
    return [name for name, number in _NEEDED.items() if not effective >> number & 1]


def root_lacks(missing: list[str]) -> str:
    """The line for a root that is none of the whole machine."""
    return (f"root has no {' and no '.join(missing)} here, as in a container that was not given it: packet sockets and "
            "interfaces need it; give it to the container, or work on the host")
