"""How DHCPv4, and only DHCPv4, is taken out of the hands of a dhcpcd that serves every link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.managers.conftest import Put

from holdfast.managers import dhcpcd, overlay
from holdfast.managers.formats import dhcpcd_conf, substitutions
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, File, Link, Takeout
from holdfast.settings.load import load

CARD = Link("eth0", mac="dc:a6:32:01:02:03", kind="ether", ifindex=2)
DUID = "00:01:00:01:2a:2b:2c:2d:dc:a6:32:01:02:03"
#: As on Raspberry Pi OS.
STOCK = ("hostname\nduid\npersistent\nvendorclassid\noption rapid_commit\n"
         "option domain_name_servers, domain_name, domain_search\noption classless_static_routes\n"
         "option interface_mtu\nrequire dhcp_server_identifier\nslaac private\n")


@pytest.fixture(autouse=True)
def enabled(put: Put, tmp_path: Path) -> None:
    put("/lib/systemd/system/dhcpcd.service", "[Service]\nExecStart=/usr/sbin/dhcpcd -q -b\n")
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "dhcpcd.service").symlink_to("/lib/systemd/system/dhcpcd.service")


def taken(tree: Tree, link: Link = CARD) -> Takeout:
    found = dhcpcd.takeout(tree, link)
    assert found is not None
    return found


def copied(found: Takeout) -> str:
    entry = found.entries[0]
    assert isinstance(entry, File)
    return entry.content.decode()


def test_a_copy_takes_ipv4_alone_out_of_its_hands_on_the_one_link(tree: Tree, put: Put) -> None:
    put("/etc/dhcpcd.conf", STOCK)
    put("/var/lib/dhcpcd/duid", DUID + "\n")
    assert "client_id" not in taken(tree).settings, "before dhcpcd has had a lease"
    put("/var/lib/dhcpcd/eth0.lease", "")
    found = taken(tree)
    assert found.entries[1] == Bind("/etc/dhcpcd.conf", "/run/holdfast-overlay/dhcpcd/etc/dhcpcd.conf")
    text = copied(found)
    assert text.startswith(STOCK)
    assert substitutions.original(text) == STOCK
    assert [line[0] for line in dhcpcd_conf.applied(text, "eth0")][-2:] == ["slaac", "noipv4"]
    assert "noipv4" not in [line.option for line in dhcpcd_conf.applied(text, "eth1")]
    assert found.settings == {
        "use_ntp": False, "hostname": "@system", "metric": 1002,
        "client_id": "ff32010203" + DUID.replace(":", ""),
    }
    assert found.refusals == ()
    assert found.lost == ("dhcpcd makes no link-local address (169.254.0.0/16) any more when no server answers",)


def test_the_copy_is_what_it_reads_and_holdfast_reads_the_original(tree: Tree, put: Put) -> None:
    put("/etc/dhcpcd.conf", STOCK)
    assert dhcpcd.does_dhcpv4(tree, "eth0")
    first = taken(tree)
    put("/etc/dhcpcd.conf", copied(first))
    assert [dhcpcd.does_dhcpv4(tree, name) for name in ("eth0", "eth1")] == [False, True]
    assert taken(tree) == first


def test_two_links_share_one_copy(tree: Tree, put: Put) -> None:
    put("/etc/dhcpcd.conf", STOCK.rstrip("\n"))
    computed = overlay.compute(tree, [CARD, CARD._replace(name="eth1", ifindex=3)])
    (copy,) = (entry for path, (_, entry) in computed.entries().items() if path.endswith("/etc/dhcpcd.conf")
               and isinstance(entry, File))
    text = copy.content.decode()
    assert [(line.option, line.block) for line in dhcpcd_conf.lines(text)][-2:] == [
        ("noipv4", "interface eth0"), ("noipv4", "interface eth1")]


@pytest.mark.parametrize(("more", "expected"), [
    ("clientid\n", {"client_id": "mac"}),
    ("clientid 01:AB:cd\n", {"client_id": "01abcd"}),
    ("clientid office\n", {"client_id": "006f6666696365"}),
    ("clientid \"quoted\"\n", {"client_id": None}),
    ("duid\n", {"client_id": "ff32010203" + DUID.replace(":", "")}),
    ("interface eth0\niaid 7\n", {"client_id": "ff00000007" + DUID.replace(":", "")}),
    ("interface eth0\niaid wide\n", {"client_id": None}),
    ("interface eth1\nmetric 9\n", {"metric": 1002}),
    ("interface eth0\nmetric 9\n", {"metric": 9}),
    ("ssid home\nmetric 9\n", {"metric": 1002}),
    ("nooption domain_name_servers\n", {"use_dns": False, "use_domains": None}),
    ("option ntp_servers # of the lease\n", {"use_ntp": None}),
    ("nohook resolv.conf, 50-ntp.conf\n", {"use_dns": False, "use_domains": False, "use_ntp": False}),
    ("nogateway\n", {"use_gateway": False}),
    ("nogateway\ngateway\n", {"use_gateway": True}),
    ("broadcast\n", {"broadcast_flag": True}),
    ("anonymous\n", {"anonymize": True}),
    ("hostname box\n", {"hostname": "box"}),
    ("vendorclassid MSFT 5.0\n", {"vendor_class": "MSFT 5.0"}),
    ("userclass a\nuserclass b\n", {"user_class": ("a", "b")}),
    ("static domain_name_servers=192.0.2.1 192.0.2.2\n", {"dns": ("192.0.2.1", "192.0.2.2"), "use_dns": False}),
    ("static domain_search=lab.example\n", {"search": ("lab.example",), "use_domains": False}),
    ("interface eth0\nstatic ip6_address=2001:db8::5/64\n", {"use_dns": None}),
])
def test_its_words_are_settings_of_ours(tree: Tree, put: Put, more: str, expected: dict[str, Any]) -> None:
    put("/etc/dhcpcd.conf", STOCK + more)
    put("/var/lib/dhcpcd/duid", DUID)
    put("/var/lib/dhcpcd/eth0.lease", "")
    found = taken(tree)
    refused = 'clientid "' in more
    assert bool(found.refusals) == refused
    assert {key: found.settings.get(key) for key in expected} == expected
    load(["x"], lambda _: overlay.settings_text("eth0", found.settings).encode())  # the agent takes all of it


@pytest.mark.parametrize("line", [
    "arping 192.0.2.1", "fallback office", "vendor 1,a", "bootp", "xidhwaddr",
    "blacklist server", "require never_heard_of", "reject 4", "authprotocol token", "msuserclass a",
    "static routers=here", "leasetime long", "static domain_name_servers=2001:db8::1", "lastleaseextend",
    "noalias", "metric low", "vendorclassid 01:02", "hostname \"a b\"", "never_heard_of it",
])
def test_what_is_not_known_or_cannot_be_done_is_refused_by_name(tree: Tree, put: Put, line: str) -> None:
    put("/etc/dhcpcd.conf", f"{STOCK}{line}\n")
    assert taken(tree).refusals == (
        f"/etc/dhcpcd.conf: `{line}` cannot be honoured; take it out, or leave this link to dhcpcd",)
    put("/etc/dhcpcd.conf", f"{STOCK}interface eth9\n{line}\n")
    assert taken(tree).refusals == ()


@pytest.mark.parametrize(("more", "expected"), [
    ("blacklist 192.0.2.9\nblacklist 198.51.100.0/24\nwhitelist 192.0.2.0/24",
     {"deny_servers": ("192.0.2.9", "198.51.100.0/24"), "allow_servers": ("192.0.2.0/24",)}),
    ("leasetime 3600\nmudurl https://x", {"send_options": ("51=hex:00000e10", "161=hex:68747470733a2f2f78")}),
    ("require domain_name_servers, 3", {"require": (6, 3)}),
    ("static routers=192.0.2.1\nstatic interface_mtu=1400\nstatic ntp_servers=192.0.2.2",
     {"option_edits": ("supersede 3 c0000201", "supersede 26 0578", "supersede 42 c0000202"), "use_gateway": True,
      "use_mtu": True, "use_ntp": True}),
    ("request 192.0.2.7\nlastlease\nbackoff_cutoff 60", {}),
    ("fallback home\nprofile home\nstatic ip_address=192.168.1.23/24\nstatic routers=192.168.1.1\n"
     "static domain_name_servers=192.168.1.1",
     {"fallback_address": "192.168.1.23/24", "fallback_gateway": "192.168.1.1", "fallback_after": 5}),
    ("fallback home\nfallback_time 20\nprofile home\nstatic ip_address=192.168.1.23/24",
     {"fallback_address": "192.168.1.23/24", "fallback_after": 20}),
])
def test_what_else_is_honoured(tree: Tree, put: Put, more: str, expected: dict[str, Any]) -> None:
    put("/etc/dhcpcd.conf", f"{STOCK}{more}\n")
    found = taken(tree)
    assert found.refusals == ()
    assert found.settings == {"use_ntp": False, "hostname": "@system", "metric": 1002, **expected}


@pytest.mark.parametrize("more", [
    "denyinterfaces eth*\n", "allowinterfaces wlan0\n", "interface eth0\nstatic ip_address=192.0.2.7/24\n",
    "ipv6only\n", "noipv4\n", "interface eth0\nnodhcp\n", "inform 192.0.2.7\n",
])
def test_where_it_does_no_dhcpv4_nothing_is_taken(tree: Tree, put: Put, more: str) -> None:
    put("/etc/dhcpcd.conf", STOCK + more)
    assert dhcpcd.takeout(tree, CARD) is None


def test_links_that_it_leaves_alone_by_itself(tree: Tree, put: Put, tmp_path: Path) -> None:
    put("/etc/dhcpcd.conf", STOCK)
    bridge = Link("br0", kind="bridge", ifindex=4)
    assert dhcpcd.takeout(tree, bridge) is None
    put("/etc/dhcpcd.conf", f"{STOCK}interface br0\n")
    assert taken(tree, bridge).settings["metric"] == 1004
    assert taken(tree, Link("wlan0", kind="wlan", ifindex=5)).settings["metric"] == 3005
    assert "metric" not in taken(tree, Link("eth7")).settings
    (tmp_path / "etc/systemd/system/multi-user.target.wants/dhcpcd.service").unlink()
    assert dhcpcd.takeout(tree, CARD) is None


def test_a_vlan_s_own_number_is_not_known_so_its_lease_s_client_id_stays(tree: Tree, put: Put) -> None:
    put("/etc/dhcpcd.conf", STOCK)
    put("/var/lib/dhcpcd/duid", DUID)
    put("/var/lib/dhcpcd/eth0.5.lease", "")
    assert "client_id" not in taken(tree, CARD._replace(name="eth0.5", kind="vlan")).settings


def test_patterns_a_missing_file_and_command_lines_are_refused(tree: Tree, put: Put) -> None:
    assert taken(tree).refusals == (
        "/etc/dhcpcd.conf is not there; make an empty one, for a copy is mounted over it",)
    put("/etc/dhcpcd.conf", STOCK)
    assert taken(tree, Link("eth*")).refusals == (
        "/etc/dhcpcd.conf: eth* is a pattern, and dhcpcd serves other links, too: name the links, or say "
        "`allowinterfaces eth*`",)
    put("/etc/systemd/system/dhcpcd.service.d/a.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/dhcpcd -q -w -4\n")
    assert taken(tree).refusals == (
        "dhcpcd.service: `dhcpcd -4` cannot be honoured; write it into /etc/dhcpcd.conf",)


@pytest.mark.parametrize(("pattern", "more"), [
    ("eth*", "allowinterfaces eth*\n"), ("e*", "allowinterfaces eth0 eth1\ninterface eth1\nmetric 9\n"), ("*", ""),
])
def test_a_pattern_of_all_that_it_serves_is_a_line_before_all_blocks(
    tree: Tree, put: Put, pattern: str, more: str
) -> None:
    put("/etc/dhcpcd.conf", STOCK + more)
    found = taken(tree, Link(pattern))
    assert found.refusals == ()
    assert "noipv4" in [line.option for line in dhcpcd_conf.lines(copied(found)) if not line.block]


@pytest.mark.parametrize(("more", "command", "waits"), [
    ("", "dhcpcd -w", True), ("background\n", "dhcpcd -w", False), ("", "dhcpcd -qb", False), ("", "dhcpcd", True),
])
def test_a_boot_that_waits_for_an_address_of_dhcpcd_s_is_told(
    tree: Tree, put: Put, more: str, command: str, waits: bool
) -> None:
    put("/etc/dhcpcd.conf", STOCK + more)
    put("/etc/systemd/system/dhcpcd.service.d/a.conf", f"[Service]\nExecStart=/usr/sbin/{command}\n")
    assert any("waits up to 30 s" in line for line in taken(tree).lost) == waits


def test_hooks_that_are_not_run_for_dhcpv4_any_more_are_named(tree: Tree, put: Put) -> None:
    put("/etc/dhcpcd.conf", STOCK.replace("vendorclassid\n", "noipv4ll\n"))
    for name in ("20-resolv.conf", "30-hostname", "64-timesyncd.conf", "70-own"):
        put(f"/usr/lib/dhcpcd/dhcpcd-hooks/{name}", "")
    put("/etc/dhcpcd.exit-hook", "")
    told = "is not run for DHCPv4 any more; a program in /etc/holdfast/hooks.d can do it"
    assert taken(tree).lost == (
        f"/usr/lib/dhcpcd/dhcpcd-hooks/70-own {told}", f"/etc/dhcpcd.exit-hook {told}",
        "the vendor class of dhcpcd's own (option 60: its version and the kernel's) is not sent any more",
    )
