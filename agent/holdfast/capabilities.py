"""The capabilities that this process has, as root in a container may have few (capabilities(7))."""

from __future__ import annotations

#: linux/capability.h: what packet sockets and the configuration of interfaces need.
_NEEDED = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


def missing_capabilities(status: str = "/proc/self/status") -> list[str]:
    """The needed capabilities that this process does not have (proc(5): CapEff); none when that cannot be read."""
    try:
        with open(status, encoding="ascii", errors="replace") as file:
            effective = next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), None)
    except OSError:
        effective = None
    if effective is None:  # no /proc: the daemon will find out
        return []
    return [name for name, number in _NEEDED.items() if not effective >> number & 1]


def root_lacks(missing: list[str]) -> str:
    """The message when root has not all capabilities, as in a container."""
    return (f"root has no {' and no '.join(missing)} here, as in a container without it: packet sockets and the "
            "configuration of interfaces need it; give it to the container, or run this on the host")
