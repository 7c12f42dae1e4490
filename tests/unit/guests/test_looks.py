"""What a guest's network looks like, and how two looks differ."""

from __future__ import annotations

import json
from typing import Any

from tests.support.guests.cases.looks import Look, differences, read

ADDRESS = {"family": "inet", "local": "10.77.0.60", "prefixlen": 24, "scope": "global", "valid_life_time": 90}
DEFAULT = {"dst": "default", "gateway": "10.77.0.1", "dev": "ens3", "protocol": "dhcp", "metric": 100, "flags": []}


def seen(**parts: Any) -> Look:
    """A look at a guest with one link; ``parts`` instead of what it is like."""
    said: dict[str, Any] = {
        "link": [{"ifindex": 2, "ifname": "ens3", "mtu": 1500, "address": "fa:16:3e:00:00:01"}],
        "addr": [{"ifname": "ens3", "addr_info": [ADDRESS]}], "rt4": [DEFAULT], "rt6": [], "rule4": [], "rule6": [],
        "neigh": [], "source": "198.51.100.77 via 10.77.0.1 dev ens3 src 10.77.0.60 uid 0", "resolv": "# by hand\n",
        "resolved": "Link 2 (ens3): 10.77.0.1\nLink 3 (ens4):\n", "switches": "ens3/accept_ra:0\nlo/accept_ra:1\n",
        "zone": "", "also": "", **parts,
    }
    texts = {name: part if isinstance(part, str) else json.dumps(part) for name, part in said.items()}
    return read("".join(f"\x1e {name}\n{text}\n" for name, text in texts.items()))


def test_what_changes_by_itself_is_no_difference() -> None:
    other = seen(
        link=[{"ifindex": 9, "ifname": "ens3", "mtu": 1500, "address": "fa:16:3e:00:00:01"}],
        addr=[{"ifname": "ens3", "addr_info": [{**ADDRESS, "valid_life_time": 30}]}],
        rt4=[{**DEFAULT, "protocol": "static"},
             {"dst": "10.77.0.1", "dev": "ens3", "protocol": "dhcp", "scope": "link", "metric": 100}],
        resolv="# by another\n", resolved="Link 9 (ens3): 10.77.0.1\n",
    )
    assert differences(seen(), other) == []


def test_every_kind_of_difference() -> None:
    changed = {
        "link": [{"ifname": "ens3", "mtu": 1500, "address": "fa:16:3e:00:00:01", "master": "br0"}],
        "addr": [], "rt4": [{**DEFAULT, "metric": 1024}],
        "rt6": [{"dst": "default", "dev": "ens3", "gateway": "fe80::1"}],
        "rule4": [{"priority": 9, "src": "all", "table": "9"}], "neigh": [{"dst": "10.77.0.9", "dev": "ens3"}],
        "source": "RTNETLINK answers: Network is unreachable", "resolv": "nameserver 9.9.9.9\n",
        "switches": "ens3/accept_ra:2\n", "zone": "work\n", "also": "# a line\n",
    }
    for name, part in changed.items():
        (difference,) = differences(seen(), seen(**{name: part}))
        kind = {"rule4": "rule", "resolv": "dns"}.get(name, name)
        assert difference.startswith(f"{kind}: -"), difference
    assert differences(seen(), seen(addr=[])) == ["addr: -['ens3 inet 10.77.0.60/24'] +[]"]


def test_the_order_of_name_servers_is_a_difference() -> None:
    first = seen(resolv="nameserver 9.9.9.9\nnameserver 9.9.9.10\n")
    second = seen(resolv="nameserver 9.9.9.10\nnameserver 9.9.9.9\n")
    assert len(differences(first, second)) == 1


def test_a_temporary_address_is_known_by_its_network() -> None:
    def with_address(text: str, *, tentative: bool) -> Look:
        info = {"family": "inet6", "local": text, "prefixlen": 64, "scope": "global", "temporary": True}
        return seen(addr=[{"ifname": "ens3", "addr_info": [{**info, "tentative": True} if tentative else info]}])

    one, other = with_address("2001:db8:77::1234", tentative=False), with_address("2001:db8:77::5678", tentative=True)
    assert differences(one, other) == []
    assert one.settled
    assert not other.settled


def test_the_kernels_own_table_and_a_route_of_two_hops() -> None:
    hops = [{"gateway": "fe80::1", "dev": "ens3"}, {"gateway": "fe80::2", "dev": "ens3"}]
    routes = [{"dst": "10.77.0.60", "table": "local", "type": "local"}, {"dst": "default", "nexthops": hops}]
    assert seen(rt6=routes).parts["rt6"] == ("default nexthop via fe80::1 dev ens3 nexthop via fe80::2 dev ens3",)
