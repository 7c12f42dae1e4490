"""What the former client was told to do becomes our configuration: the rest of the machine sees no difference."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_host import FakeHost
from tests.support.takeovers import ADDRESS, DEFAULT, GATEWAY, foreign_lease

from holdfast.network.plan import Address, Observed
from holdfast.network.spec import NetworkSpec, Route
from holdfast.settings.load import load
from holdfast.settings.model import InterfaceSettings, Settings
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.settings_override import SettingsOverride, check_default_route, override_settings

BEFORE = Observed((Address(ADDRESS),), (DEFAULT,))
#: proc(5): two interfaces with a default route.
ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
{other}	{destination}	016433C6	0003	0	0	50	{mask}	0	0	0
broken
"""


def ask(
    host: FakeHost, decided: dict[str, bool | int] | None = None, settings: Settings | None = None
) -> SettingsOverride:
    return override_settings(host, "eth0", settings or Settings(), foreign_lease(host.now), decided or {}, BEFORE)


def told(what: SettingsOverride) -> dict[str, Any]:
    """What the file says, which is what the agent will have."""
    if what.file is None:
        return {}
    assert what.file.path == "/etc/holdfast/holdfast.d/50-takeover-eth0.toml"
    assert what.file.content is not None
    content = what.file.content
    read = load(["file"], lambda _: content)
    keys = {key.rpartition(".")[2] for key in read.origins}
    told = {key: getattr(what.settings, key) for key in keys}
    assert told == {key: getattr(read.interface("eth0"), key) for key in keys}
    return told


def test_nothing_to_say(tmp_path: Path) -> None:
    assert ask(FakeHost(tmp_path), {"use_dns": True}) == SettingsOverride(InterfaceSettings(), None)


def test_the_metric_of_the_former_client_is_kept_also_where_it_is_our_first(tmp_path: Path) -> None:
    # rule 97
    assert told(ask(FakeHost(tmp_path), {"metric": 100})) == {"metric": 100}


def test_what_was_decided(tmp_path: Path) -> None:
    decided = {"use_dns": False, "use_mtu": False, "use_routes": True, "metric": 600}
    assert told(ask(FakeHost(tmp_path), decided)) == {"use_dns": False, "use_mtu": False, "metric": 600}


def test_our_own_configuration_goes_before(tmp_path: Path) -> None:
    settings = Settings(
        interfaces={"eth0": InterfaceSettings(metric=7, hostname="mine")},
        origins={"interfaces.eth0.metric": "holdfast.toml", "defaults.use_dns": "holdfast.toml"},
    )
    what = ask(FakeHost(tmp_path), {"use_dns": False, "use_mtu": False, "metric": 600}, settings)
    assert told(what) == {"use_mtu": False}
    assert (what.settings.metric, what.settings.hostname) == (7, "mine")


@pytest.mark.parametrize(("other", "destination", "mask", "keys"), [
    ("eth1", "00000000", "00000000", {"metric": 0}),
    ("eth0", "00000000", "00000000", {}),
    ("eth1", "0000640A", "00FFFFFF", {}),
    ("tun0", "00000000", "00000080", {}),  # half of the world, as VPNs say it
])
def test_with_a_second_default_route_the_order_stays(
    tmp_path: Path, other: str, destination: str, mask: str, keys: dict[str, int]
) -> None:
    """The interface that is used now is used afterwards."""
    host = FakeHost(tmp_path)
    host.put("/proc/net/route", ROUTES.format(other=other, destination=destination, mask=mask))
    assert told(ask(host)) == keys
    if keys:  # what was configured there says it better than the kernel
        assert told(ask(host, {"metric": 300})) == {"metric": 300}


def test_names(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    lease = foreign_lease(host.now)

    def names(hostname: str | None, vendor_class: bytes | None) -> dict[str, Any]:
        told_lease = replace(lease, hostname=hostname, vendor_class=vendor_class)
        return told(override_settings(host, "eth0", Settings(), told_lease, {}, BEFORE))

    assert names("guest", b"lab:1") == {"hostname": "@system", "vendor_class": "lab:1"}
    assert names("other", b'a"b') == {"hostname": "other"}
    assert names("not a name", b"\xff") == {}


def test_a_default_route_that_the_former_client_left_out() -> None:
    ours = Route(IPv4Network("0.0.0.0/0"), GATEWAY, 100, ADDRESS.ip)
    spec = NetworkSpec(IPv4Interface(ADDRESS), routes=(ours,))
    check_default_route("eth0", BEFORE, spec)
    check_default_route("eth0", Observed(), spec._replace(routes=()))
    elsewhere = Route(IPv4Network("10.0.0.0/8"), IPv4Address("192.0.2.7"), 0, None)
    with pytest.raises(TakeoverError, match=r"offers default via 192\.0\.2\.1, and eth0 has no default.*use_routes"):
        check_default_route("eth0", BEFORE._replace(routes=(elsewhere,)), spec)
