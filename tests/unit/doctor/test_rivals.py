"""A second DHCP client on the same links, found in configuration files."""

from __future__ import annotations

import pytest
from tests.unit.doctor.helpers import SYSTEM, Image

from holdfast.doctor.rivals import check_rivals
from holdfast.managers.formats.tree import Tree

NETWORKD = ("systemd-networkd.service",)
NM = ("NetworkManager.service", "/usr/sbin/NetworkManager")
IFUPDOWN = ("networking.service", "/usr/sbin/ifup")
SOURCES = "source /etc/network/interfaces.d/*\n"
WAIT = "systemd-networkd-wait-online.service"


def rivals(image: Image) -> list[str]:
    assert {check for check, _ in image.bad()} <= {"second-client"}
    return [line for _, line in image.bad()]


@pytest.mark.parametrize("text", [
    "[Match]\nName=ens3\n[Network]\nDHCP=yes\n", "[Match]\nName=e*\n[Network]\nDHCP=ipv4\n",
    "[Match]\nMACAddress=52:54:00:12:34:56\n[Network]\nDHCP=yes\n", "[Match]\nType=ether\n[Network]\nDHCP=yes\n",
    "[Match]\nName=!lo\n[Network]\nDHCP=yes\n",
    "[Match]\nName=ens3\nVirtualization=kvm\n[Link]\nUnmanaged=no\n[Network]\nDHCP=yes\n",
    "[Match]\nName=ens3\n[Network]\nAddress=10.0.0.1/24\n",
])
def test_networkd(image: Image, text: str) -> None:
    image.manager(*NETWORKD)
    image.remove("/usr/bin/cloud-init")  # what it writes has a test of its own
    assert rivals(image) == []
    image.write("/etc/systemd/network/20-wired.network", text)
    assert rivals(image)
    assert all("20-wired.network" in line for line in rivals(image))
    image.drop_in("etc/systemd/network/05-holdfast.network")
    assert rivals(image) == []


def test_networkd_the_first_file_wins(image: Image) -> None:
    image.manager(*NETWORKD)
    image.remove("/usr/bin/cloud-init")  # what it writes has a test of its own
    image.drop_in("etc/systemd/network/05-holdfast.network")
    image.write("/usr/lib/systemd/network/04-early.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    assert len(rivals(image)) == 1
    assert "configure eth* too" in rivals(image)[0]
    image.link("/etc/systemd/network/04-early.network", "/dev/null")
    assert rivals(image) == []


def test_networkd_for_other_links(image: Image) -> None:
    image.manager(*NETWORKD)
    image.remove("/usr/bin/cloud-init")  # what it writes has a test of its own
    image.write("/etc/systemd/network/20-wifi.network", "[Match]\nName=wl*\n[Network]\nDHCP=yes\n")
    assert rivals(image) == []


def test_netplan_writes_at_boot(image: Image) -> None:
    image.write("/lib/systemd/system/systemd-networkd.service", "[Service]\n")
    image.write("/usr/sbin/netplan", "")
    assert len(rivals(image)) == 2
    assert all("netplan" in line for line in rivals(image))
    image.drop_in("etc/systemd/network/05-holdfast.network")
    assert rivals(image) == []


def test_what_is_written_depends_on_the_renderer(image: Image) -> None:
    image.write("/lib/systemd/system/systemd-networkd.service", "[Service]\n")
    image.write("/usr/sbin/netplan", "")
    image.write("/etc/cloud/cloud.cfg.d/80-own.cfg", "system_info:\n  network:\n    renderers: ['eni', netplan]\n")
    assert rivals(image) != []  # no ifupdown here
    image.manager(*IFUPDOWN)
    assert all("ifupdown" in line for line in rivals(image))
    image.write("/etc/cloud/cloud.cfg.d/80-own.cfg", "system_info: {network: {renderers: [network-manager]}}\n")
    image.remove("/usr/bin/cloud-init")
    assert rivals(image) == []
    image.write("/etc/netplan/00-installer.yaml", "network: {ethernets: {ens3: {dhcp4: true}}}\n")
    assert len(rivals(image)) == 2
    image.write("/etc/netplan/00-installer.yaml", "network:\n  renderer: NetworkManager\n")
    assert rivals(image) == []


def test_networkd_that_is_off_or_masked(image: Image) -> None:
    image.write("/etc/systemd/network/20-wired.network", "[Match]\nName=ens3\n[Network]\nDHCP=yes\n")
    image.write("/lib/systemd/system/systemd-networkd.service", "[Service]\n")
    image.remove("/usr/bin/cloud-init")
    assert rivals(image) == []
    image.enable("systemd-networkd.service")
    assert rivals(image) != []
    image.link(f"{SYSTEM}/systemd-networkd.service", "/dev/null")
    assert rivals(image) == []


def test_networkd_would_wait_for_nothing(image: Image) -> None:
    image.manager(*NETWORKD)
    image.remove("/usr/bin/cloud-init")  # what it writes has a test of its own
    image.drop_in("etc/systemd/network/05-holdfast.network")
    image.manager(WAIT)
    assert [check for check, _ in image.bad()] == ["wait-online"]
    image.drop_in(f"etc/systemd/system/{WAIT}.d/90-holdfast.conf")
    assert image.bad() == []
    image.write(f"{SYSTEM}/{WAIT}.d/90-holdfast.conf", "[Service]\nExecStart=\nExecStart=/bin/true\n")
    assert image.bad() == []
    image.write(f"{SYSTEM}/{WAIT}.d/90-holdfast.conf", "[Unit]\nConditionPathExists=!/etc/none\n")
    assert [check for check, _ in image.bad()] == ["wait-online"]


def test_network_manager(image: Image) -> None:
    image.manager(*NM)
    assert len(rivals(image)) == 2
    image.drop_in("etc/NetworkManager/conf.d/90-holdfast.conf")
    assert rivals(image) == []
    image.write("/etc/NetworkManager/conf.d/95-own.conf", "[keyfile]\nunmanaged-devices+=except:interface-name:eth0\n")
    assert len(rivals(image)) == 1
    image.write("/etc/NetworkManager/conf.d/95-own.conf", "[keyfile]\nunmanaged-devices=interface-name:wl*\n")
    assert len(rivals(image)) == 2


@pytest.mark.parametrize("text", [
    "[keyfile]\nunmanaged-devices=*\n", "[keyfile]\nunmanaged-devices=type:ethernet\n",
    "[device-x]\nmatch-device=interface-name:e*\nmanaged=0\n", "[keyfile]\nunmanaged-devices=en*,eth*\n",
])
def test_network_manager_told_otherwise(image: Image, text: str) -> None:
    image.manager(*NM)
    image.write("/etc/NetworkManager/NetworkManager.conf", text)
    assert rivals(image) == []


def test_ifupdown(image: Image) -> None:
    image.remove("/usr/bin/cloud-init")
    image.manager(*IFUPDOWN)
    image.write("/etc/network/interfaces", "auto lo\niface lo inet loopback\nsource interfaces.d/*\n")
    assert rivals(image) == []
    image.write("/etc/network/interfaces.d/eth0", "auto eth0\niface eth0 inet dhcp\n")
    assert len(rivals(image)) == 1
    assert "`iface eth0 inet dhcp`" in rivals(image)[0]
    image.drop_in("etc/systemd/system/networking.service.d/90-holdfast.conf")
    assert rivals(image) == []
    image.write("/etc/network/interfaces.d/eth0", "allow-hotplug eth0\niface eth0 inet dhcp\n")
    assert len(rivals(image)) == 1  # udev calls ifup with the name, and nothing is excluded then


def test_ifupdown_and_what_cloud_init_writes(image: Image) -> None:
    image.manager(*IFUPDOWN)
    assert len(rivals(image)) == 2
    assert "cloud-init writes" in rivals(image)[0]
    image.write("/etc/default/networking", 'EXCLUDE_INTERFACES="en* eth*"\n')
    assert rivals(image) == []
    image.drop_in("etc/systemd/system/networking.service.d/90-holdfast.conf")
    image.write("/etc/default/networking", "EXCLUDE_INTERFACES=wl*\n")  # goes before the drop-in
    assert len(rivals(image)) == 2


def test_a_link_that_ifup_is_told_is_up(image: Image) -> None:
    image.remove("/usr/bin/cloud-init")
    image.remove(f"{SYSTEM}/multi-user.target.wants/holdfast.service")
    image.enable("holdfast@ens3.service")
    image.manager(*IFUPDOWN)
    image.write("/etc/network/interfaces", SOURCES)
    image.write("/etc/network/interfaces.d/ens3", "auto ens3\niface ens3 inet dhcp\n")
    assert len(rivals(image)) == 1
    marked = "[Service]\nExecStartPre=/bin/sh -c 'echo ens3 >/run/network/ifstate.ens3 && true'\n"
    image.write(f"{SYSTEM}/networking.service.d/50-holdfast-ens3.conf", marked)
    assert rivals(image) == []
    image.write("/etc/network/interfaces.d/ens3", "allow-hotplug ens3\niface ens3 inet dhcp\n")
    assert len(rivals(image)) == 1
    image.write(f"{SYSTEM}/ifup@ens3.service.d/50-holdfast.conf", marked)
    assert rivals(image) == []


def test_dhcpcd(image: Image) -> None:
    image.manager("dhcpcd.service")
    assert len(rivals(image)) == 2
    image.write("/etc/dhcpcd.conf", "denyinterfaces en* eth*\n")
    assert rivals(image) == []
    image.write("/etc/dhcpcd.conf", "allowinterfaces wlan0\n")
    assert rivals(image) == []


def test_the_rest(image: Image) -> None:
    image.manager("wicked.service")
    image.write("/usr/local/sbin/dhcp-all-interfaces.sh", "")
    image.write("/etc/sysconfig/network-scripts/ifup-eth", "")
    image.write("/etc/sysconfig/network-scripts/ifcfg-eth0", 'DEVICE="eth0"\nBOOTPROTO=dhcp\nONBOOT=yes\n')
    image.write("/etc/sysconfig/network-scripts/ifcfg-eth1", "DEVICE=eth1\nBOOTPROTO=none\n")
    assert [line.split()[0] for line in rivals(image)] == ["wicked.service", "the", "network-scripts"]


@pytest.mark.parametrize(("text", "words"), [
    ("allow-hotplug /en*=x\niface x inet dhcp\n", "`allow-hotplug en*=x` and `iface x inet dhcp`"),
    ("allow-hotplug /en*\niface ens3 inet dhcp\n", "`iface ens3 inet dhcp`"),
    ("allow-hotplug /eth*/1=x\niface x inet dhcp\n", "`allow-hotplug eth*=x`"),
    ("allow-hotplug /mac/52:54:00:12:34:56=x\niface x inet dhcp\n", "`allow-hotplug *=x`"),
])
def test_ifupdown_by_pattern(image: Image, text: str, words: str) -> None:
    image.remove("/usr/bin/cloud-init")
    image.manager(*IFUPDOWN)
    image.drop_in("etc/systemd/system/networking.service.d/90-holdfast.conf")
    image.write("/etc/network/interfaces", SOURCES)
    image.write("/etc/network/interfaces.d/all", text)
    lines = rivals(image)
    assert lines
    assert all(words in line for line in lines)
    assert all("in /etc/holdfast/links: " in line for line in lines)
    assert not any("put cloud-init" in line for line in lines)
    image.write("/etc/network/interfaces.d/all", text.replace("allow-hotplug", "auto"))
    assert rivals(image) == []


def test_ifupdown_by_pattern_for_others(image: Image) -> None:
    image.remove("/usr/bin/cloud-init")
    image.manager(*IFUPDOWN)
    image.write("/etc/network/interfaces", "allow-hotplug /wl*=x\niface x inet dhcp\n")
    assert rivals(image) == []
    image.write("/etc/network/interfaces", "auto /en*=x\niface x inet dhcp\n")
    assert len(rivals(image)) == 1
    assert "name en* in /etc/holdfast/links" in rivals(image)[0]
    image.write("/etc/network/interfaces", "auto /en*=x\niface x inet static\n")
    assert rivals(image) == []


@pytest.mark.parametrize(("path", "text", "count"), [
    ("/etc/default/grub", 'GRUB_CMDLINE_LINUX="console=ttyS0 ip=dhcp"\n', 2),
    ("/etc/default/grub.d/50-cloud.cfg", "GRUB_CMDLINE_LINUX_DEFAULT='ip=::::::dhcp'\n", 2),
    ("/etc/kernel/cmdline", "root=/dev/vda1 ip=eth0:dhcp\n", 1),
    ("/etc/kernel/cmdline", "ip=:::::ens3:on rw\n", 1),
    ("/etc/kernel/cmdline", "ip=[2001:db8::1]:::64:host:ens3:dhcp\n", 1),
    ("/etc/kernel/cmdline", "ip=wlan0:dhcp\n", 0),
    ("/etc/kernel/cmdline", "ip=10.0.0.5::10.0.0.1:255.255.255.0::eth0:off vip=dhcp ip=off ip=eth0:auto6\n", 0),
    ("/etc/default/grub", '#GRUB_CMDLINE_LINUX="ip=dhcp"\n', 0),
])
def test_the_kernel_s_command_line(image: Image, path: str, text: str, count: int) -> None:
    image.write(path, text)
    image.write("/proc/cmdline", "ip=dhcp\n")  # that of the machine on which an image was mounted
    assert len(rivals(image)) == count
    assert all(f"in {path}; take it out" in line for line in rivals(image))


def test_the_command_line_of_this_boot(image: Image) -> None:
    image.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz ip=dhcp\n")
    tree = Tree(str(image.root))
    try:
        found = list(check_rivals(tree, ["eth0"], booted=True))
    finally:
        tree.close()
    assert [finding.line for finding in found] == [
        "the kernel's command line would have eth0 configured too: `ip=dhcp` in /proc/cmdline; "
        "take it out of the boot loader's configuration"
    ]


@pytest.mark.parametrize(("main", "other", "count"), [
    ("source /etc/network/more/*\n", "auto eth0\niface eth0 inet dhcp\n", 1),
    ("source-directory more\n", "auto eth0\niface eth0 \\\n  inet dhcp\n", 1),
    ("auto eth0\niface base inet dhcp\niface eth0 inherits base\n", "", 1),
    ("mapping eth*\n  script /usr/local/sbin/where\n  map 192.0.2.1 office\niface office inet dhcp\n", "", 1),
    ("# auto eth0 \\\niface eth0 inet manual\n", "auto eth0\niface eth0 inet dhcp\n", 0),
])
def test_ifupdown_reads_what_is_sourced_and_nothing_else(image: Image, main: str, other: str, count: int) -> None:
    """A continued line and another folder were not seen; a file that nobody sources was."""
    image.remove("/usr/bin/cloud-init")
    image.manager(*IFUPDOWN)
    image.write("/etc/network/interfaces", main)
    image.write("/etc/network/more/eth0", other)
    assert len(rivals(image)) == count


def test_ifupdown_whose_files_never_end(image: Image) -> None:
    image.remove("/usr/bin/cloud-init")
    image.manager(*IFUPDOWN)
    image.write("/etc/network/interfaces", "source /etc/network/more/*\n")
    for number in range(300):
        image.write(f"/etc/network/more/{number}", "")
    (line,) = rivals(image)
    assert "reads more than 256 files" in line


def test_ifcfg_leftovers_and_the_other_way_to_say_dhcp(image: Image) -> None:
    folder = "/etc/sysconfig/network-scripts"
    image.write(f"{folder}/ifup-eth", "")
    image.write(f"{folder}/ifcfg-eth0.rpmsave", "DEVICE=eth0\nBOOTPROTO=dhcp\n")
    assert rivals(image) == []
    image.write(f"{folder}/ifcfg-eth0", "export BOOTPROTO='bootp'\n")
    assert len(rivals(image)) == 1


def test_networkd_s_drop_ins_count(image: Image) -> None:
    """In the order of their names, whatever folder they are in."""
    image.manager(*NETWORKD)
    image.remove("/usr/bin/cloud-init")
    image.write("/etc/systemd/network/20-wired.network", "[Match]\nName=ens3\n[Network]\nDHCP=yes\n")
    image.write("/run/systemd/network/20-wired.network.d/50.conf", "[Link]\nUnmanaged=yes\n")
    assert rivals(image) == []
    image.write("/etc/systemd/network/20-wired.network.d/40.conf", "[Link]\nUnmanaged=no\n")
    assert rivals(image) == []
    image.write("/usr/local/lib/systemd/network/20-wired.network.d/60.conf", "[Link]\nUnmanaged=no\n")
    assert len(rivals(image)) == 1


def test_network_manager_reads_the_vendor_s_files_before_its_own(image: Image) -> None:
    image.manager(*NM)
    image.write("/usr/lib/NetworkManager/conf.d/50-vendor.conf", "[keyfile]\nunmanaged-devices=*\n")
    assert rivals(image) == []
    image.write("/etc/NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices=interface-name:wl*\n")
    assert len(rivals(image)) == 2


@pytest.mark.parametrize("match", [
    "Type=wlan", "WLANInterfaceType=station", "SSID=home", "Type=wwan", "Kind=bridge", "Name=wl*", "Type=!ether",
])
def test_a_file_for_wireless_links_is_not_for_ours(image: Image, match: str) -> None:
    """As the examples of systemd have them: 80-wifi-station.network.example."""
    image.remove("/usr/bin/cloud-init")
    image.manager("systemd-networkd.service")
    image.write("/etc/systemd/network/25-wireless.network", f"[Match]\n{match}\n[Network]\nDHCP=yes\n")
    assert image.bad() == []


def test_a_file_for_every_card_is_for_ours(image: Image) -> None:
    image.remove("/usr/bin/cloud-init")
    image.manager("systemd-networkd.service")
    image.write("/etc/systemd/network/25-all.network", "[Match]\nType=ether\n[Network]\nDHCP=yes\n")
    assert [check for check, _ in image.bad()] == ["second-client", "second-client"]
