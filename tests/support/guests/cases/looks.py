"""What a guest's network looks like, without what changes by itself, and how two looks differ.

Left out: indexes, lifetimes, the protocol that a route is marked with, the kernel's own table ``local``, networkd's
/32 route to the gateway of a lease, and the random part of temporary IPv6 addresses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv6Interface
from typing import Any, NamedTuple

#: Each part begins with a line "\x1e NAME".
_SCRIPT = r"""
part() { printf '\036 %s\n' "$1"; }
part link; ip -json link
part addr; ip -json address
part rt4; ip -json -4 route show table all
part rt6; ip -json -6 route show table all
part rule4; ip -json -4 rule
part rule6; ip -json -6 rule
part neigh; ip -json neigh show nud permanent
part source; ip -4 route get 198.51.100.77 2>&1 | head -n 1
part resolv; cat /etc/resolv.conf
part resolved; if systemctl --quiet is-active systemd-resolved; then resolvectl dns; resolvectl domain; fi
part switches; cd /proc/sys/net/ipv6/conf && grep . */disable_ipv6 */use_tempaddr */forwarding */accept_ra
part zone; if systemctl --quiet is-active firewalld; then firewall-cmd --get-active-zones; fi
part also; cd /; eval "$1"
"""
#: Routes are written with these, in this order.
_ROUTE = (("gateway", "via"), ("dev", "dev"), ("table", "table"), ("scope", "scope"), ("metric", "metric"))


class Look(NamedTuple):
    """``parts``: kind -> its lines. ``settled``: no address is still being checked for duplicates."""

    parts: Mapping[str, tuple[str, ...]]
    settled: bool


def look(shell: Callable[..., str], also: str = "") -> Look:
    """A look by way of ``shell(script, *words)``; ``also``: a command whose output belongs to it."""
    return read(shell(_SCRIPT, also or ":", check=False))


def read(text: str) -> Look:
    """A look from what the script has printed."""
    said = {name: rest for name, _, rest in (part.partition("\n") for part in text.split("\x1e ")[1:])}
    addresses = _json(said["addr"])
    return Look({
        "link": _sorted(_link(entry) for entry in _json(said["link"])),
        "addr": _sorted(line for entry in addresses for line in _addresses(entry)),
        "rt4": _sorted(_routes(_json(said["rt4"]))),
        "rt6": _sorted(_routes(_json(said["rt6"]))),
        "rule": _sorted(f"{family} {_words(entry)}" for family in "46" for entry in _json(said[f"rule{family}"])),
        "neigh": _sorted(f"{entry['dst']} dev {entry['dev']} {entry.get('lladdr')}" for entry in _json(said["neigh"])),
        "source": _source(said["source"]),
        "dns": (*_plain(said["resolv"]), *(line for line in map(_resolved, said["resolved"].splitlines()) if line)),
        "switches": _sorted(_switch(line) for line in said["switches"].splitlines() if not line.startswith("lo/")),
        "zone": _plain(said["zone"]),
        "also": _plain(said["also"], comments=True),
    }, settled=not any(info.get("tentative") for entry in addresses for info in entry.get("addr_info", ())))


def differences(before: Look, after: Look) -> list[str]:
    """One text for each kind that differs: what is gone, and what is new. Empty: nothing does."""
    found = []
    for kind, lines in before.parts.items():
        now = after.parts[kind]
        gone, new = [line for line in lines if line not in now], [line for line in now if line not in lines]
        if gone or new:
            found.append(f"{kind}: -{gone} +{new}")
        elif now != lines:
            found.append(f"{kind}: -{list(lines)} +{list(now)}")
    return found


def _json(text: str) -> list[dict[str, Any]]:
    return [entry for entry in json.loads(text or "[]") if entry]  # ip prints {} for what it was asked to leave out


def _sorted(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(lines))


def _link(entry: Mapping[str, Any]) -> str:
    master = f" master {entry['master']}" if "master" in entry else ""
    return f"{entry['ifname']} mtu {entry['mtu']}{master} {entry.get('address', '')}".rstrip()


def _addresses(entry: Mapping[str, Any]) -> list[str]:
    found = []
    for info in entry.get("addr_info", ()):
        if info.get("scope") == "global":
            text = f"{info['local']}/{info['prefixlen']}"
            if info.get("temporary"):
                text = f"temporary {IPv6Interface(text).network}"
            found.append(f"{entry['ifname']} {info['family']} {text}")
    return sorted(set(found))  # an old temporary address stays beside its successor


def _routes(entries: list[dict[str, Any]]) -> list[str]:
    gateways = {(entry["gateway"], entry.get("dev")) for entry in entries if "gateway" in entry}
    found = []
    for entry in entries:
        to_gateway = (entry["dst"], entry.get("dev")) in gateways and ":" not in entry["dst"]
        if entry.get("table") == "local" or (to_gateway and entry.get("protocol") == "dhcp" and "gateway" not in entry):
            continue
        hops = [f"nexthop via {hop.get('gateway')} dev {hop.get('dev')}" for hop in entry.get("nexthops", ())]
        words = [f"{word} {entry[key]}" for key, word in _ROUTE if key in entry]
        kind = [entry["type"]] if "type" in entry else []
        found.append(" ".join([*kind, entry["dst"], *words, *hops]))
    return found


def _words(entry: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {value}" for key, value in sorted(entry.items()) if key != "protocol")


def _source(text: str) -> tuple[str, ...]:
    found = re.search(r"dev \S+(?: table \S+)? src \S+", text)
    return (found[0],) if found else ("none",)


def _plain(text: str, *, comments: bool = False) -> tuple[str, ...]:
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and (comments or not line.startswith(("#", ";"))))


def _resolved(line: str) -> str:
    """ "Link 5 (ens3): 10.77.0.1" without its number; "" for a link that has nothing."""
    head, _, rest = re.sub(r"^Link \d+ ", "", line).partition(":")
    return f"{head}: {rest.strip()}" if rest.strip() else ""


def _switch(line: str) -> str:
    path, _, value = line.partition(":")
    link, _, name = path.partition("/")
    return f"{link} {name} {value}"
