"""What the managers' files say; how the doctor and a take-over use that is tested with them."""

from __future__ import annotations

import pytest
from tests.unit.managers.conftest import Put

from holdfast.managers import cloud_init, dhcpcd, ifcfg, ifupdown, networkd, networkmanager
from holdfast.managers.formats.tree import Tree

NETWORK = "/run/systemd/network/10-netplan-eth0.network"
UNITS = "/etc/systemd/system"


def test_a_network_file_with_drop_ins_of_all_folders(tree: Tree, put: Put) -> None:
    """By their names; of one name the strongest folder's; each begins without a section; netplan's old section."""
    put(NETWORK, "[Match]\nName=eth0 eth1\n[Network]\nDNS=192.0.2.1\nDNS=192.0.2.2\n[DHCP]\nRouteMetric=100\n")
    put("/etc/systemd/network/10-netplan-eth0.network.d/10.conf", "[DHCPv4]\nRouteMetric=200\nUseDNS=no\n")
    put("/run/systemd/network/10-netplan-eth0.network.d/90.conf", "DNS=nobody\n[Network]\nDNS=\nDNS=192.0.2.3\n")
    put("/usr/lib/systemd/network/10-netplan-eth0.network.d/10.conf", "[DHCPv4]\nRouteMetric=300\n")
    file = networkd.network_file(tree, NETWORK)
    assert (file.last("DHCPv4", "RouteMetric"), file.last("DHCPv4", "UseDNS")) == ("200", "no")
    assert file.every("Network", "DNS") == ["192.0.2.3"]
    assert (file.links, file.by_name, file.manages) == (("eth0", "eth1"), True, True)
    assert file.last("Link", "Unmanaged") is None


@pytest.mark.parametrize(("match", "links", "by_name"), [
    ("Name=eth0\nName=\nName=en*", ("en*",), True), ("Name=!lo", ("*",), False), ("Type=ether", ("*",), True),
    ("Name=eth0\nDriver=virtio", ("eth0",), False), ("", ("*",), True),
])
def test_which_links_a_network_file_matches(
    tree: Tree, put: Put, match: str, links: tuple[str, ...], by_name: bool
) -> None:
    put(NETWORK, f"[Match]\n{match}\n[Network]\nDHCP=yes\n")
    (file,) = networkd.network_files(tree, rendered=False)
    assert (file.links, file.by_name) == (links, by_name)


def test_networkmanager_s_files_in_order(tree: Tree, put: Put) -> None:
    put("/usr/lib/NetworkManager/conf.d/99.conf", "[keyfile]\nunmanaged-devices=interface-name:a\n")
    put("/run/NetworkManager/conf.d/50.conf", "[keyfile]\nunmanaged-devices+=interface-name:b\n")
    put("/usr/lib/NetworkManager/conf.d/50.conf", "[keyfile]\nunmanaged-devices=interface-name:hidden\n")
    put("/etc/NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices+=c\n[device]\nmatch-device=e*\n")
    put("/etc/NetworkManager/conf.d/00.conf",
        "[keyfile]\nunmanaged-devices-=interface-name:a\n[device]\nmanaged=false\n")
    assert networkmanager.unmanaged_devices(tree) == ["interface-name:b", "c", "e*"]


def test_what_ifup_leaves_alone(tree: Tree, put: Put) -> None:
    """systemd.exec(5): environment files go before Environment=, the last one that says it counts."""
    drop_ins = f"{UNITS}/networking.service.d"
    put(f"{drop_ins}/50.conf", '[Service]\nEnvironment="EXCLUDE_INTERFACES=en* eth*"\n')
    assert ifupdown.excluded(tree) == ["en*", "eth*"]
    put("/etc/default/networking", "EXCLUDE_INTERFACES='eth7'\n")
    assert ifupdown.excluded(tree) == ["eth7"]
    put(f"{drop_ins}/60.conf", "[Service]\nEnvironmentFile=-/run/network/other.env\n")
    put("/run/network/other.env", 'EXCLUDE_INTERFACES="eth7 eth8"\n')
    assert ifupdown.excluded(tree) == ["eth7", "eth8"]
    put(f"{drop_ins}/70.conf", "[Service]\nEnvironmentFile=\n")
    assert ifupdown.excluded(tree) == ["en*", "eth*"]


def test_which_stanza_serves_which_link(tree: Tree, put: Put) -> None:
    put("/etc/network/interfaces", "auto lan=x\nallow-hotplug /eth*\niface eth0 inet dhcp\niface x inet dhcp\n"
                                   "iface eth5 inet manual\n")
    found = list(ifupdown.served(ifupdown.read(tree)))
    assert [(one.links, one.hotplug) for one in found] == [("eth0", True), ("lan", False)]
    put("/run/network/ifstate", "lo=lo\nlan=x\neth0\n")
    assert [ifupdown.logical_name(tree, name) for name in ("lan", "eth0", "eth1")] == ["x", "eth0", None]


def test_ifcfg_files_of_a_link(tree: Tree, put: Put) -> None:
    for name, text in (("eth0", "DEVICE=eth1\n"), ("lan", "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=no\n"),
                       ("mac", 'HWADDR="02:00:00:00:00:0A"\nBOOTPROTO=BOOTP\n'), ("eth0.bak", "DEVICE=eth0\n")):
        put(f"{ifcfg.FOLDER}/ifcfg-{name}", text)
    every = ifcfg.files(tree)
    found = ifcfg.files_of(every, "eth0", bytes.fromhex("02000000000a"))
    assert [(one.name, one.dhcp, one.at_boot, one.links) for one in found] == [
        ("mac", True, True, "*"), ("lan", True, False, "eth0")
    ]
    assert [one.name for one in ifcfg.files_of(every, "eth1", bytes(6))] == ["eth0"]


def test_dhcpcd_s_options(tree: Tree, put: Put) -> None:
    put(dhcpcd.CONFIGURATION, "# denyinterfaces x\nduid\ndenyinterfaces wl* eth1 # mine\nallowinterfaces eth*\n")
    said = dhcpcd.options(tree)
    assert (said.denied, said.allowed) == (("wl*", "eth1"), ("eth*",))
    assert said.names() == {"duid", "denyinterfaces", "allowinterfaces"}
    assert [dhcpcd.claim(said, link) for link in ("eth1", "eth0", "ens3")] == [None, "nothing denies it", None]


def test_cloud_init_s_renderer(tree: Tree, put: Put) -> None:
    assert cloud_init.renderer(tree) == ""
    put(cloud_init.PROGRAM, "")
    assert cloud_init.renderer(tree) == "networkd"  # the last resort: no program says that it is there
    put("/sbin/ifup", "")
    assert cloud_init.renderer(tree) == "eni"
    put("/etc/cloud/cloud.cfg.d/80-own.cfg", "system_info:\n  network:\n    renderers: ['netplan', sysconfig]\n")
    assert cloud_init.renderer(tree) == "sysconfig"
