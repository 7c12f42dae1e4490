"""networkd.takeout: DHCPv4 taken out of the files in use, and [DHCPv4] as settings of Holdfast."""

from __future__ import annotations

import pytest
from tests.unit.managers.conftest import Put

from holdfast.managers import networkd, networkd_conditions
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import File, Link, Symlink, Takeout

ETC, RUN = "/etc/systemd/network", "/run/systemd/network"
LINK = Link("eth0", "02:00:00:00:00:0a", "02:00:00:00:00:0a", "virtio_net", "pci-0000:00:03.0", "ether")
#: What a file without [DHCPv4] means.
BY_DEFAULT = {"routes_to_dns": True, "routes_to_ntp": True,
              "use_domains": False, "use_mtu": False, "metric": 1024, "hostname": "@system", "client_id": "networkd"}


@pytest.fixture(autouse=True)
def networkd_starts(put: Put) -> None:
    put("/lib/systemd/system/systemd-networkd.service", "[Service]\n")
    put("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "[Service]\n")
    put("/run/systemd/system/any", "")
    put("/etc/hostname", "guest\n")


def made(tree: Tree, link: Link = LINK) -> Takeout:
    takeout = networkd.takeout(tree, link)
    assert takeout is not None
    return takeout


def symlinks(takeout: Takeout) -> dict[str, str]:
    return {entry.path: entry.target for entry in takeout.entries if isinstance(entry, Symlink)}


def drop_in(takeout: Takeout) -> list[str]:
    (content,) = [entry.content for entry in takeout.entries if isinstance(entry, File)]
    return [line for line in content.decode().splitlines() if not line.startswith("#")]


def test_the_file_in_use_with_its_drop_ins_and_ours_last(tree: Tree, put: Put) -> None:
    put(f"{RUN}/10-netplan-eth0.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[Link]\nMTUBytes=1450\n")
    put(f"{ETC}/10-netplan-eth0.network.d/20.conf", "[Network]\nDNS=192.0.2.1\n")
    put(f"{RUN}/10-netplan-eth0.network.d/zz-own.conf", "[Network]\nNTP=192.0.2.1\n")
    put("/usr/lib/systemd/network/10-netplan-eth0.network.d/20.conf", "hidden\n")
    takeout = made(tree)
    ours = f"{RUN}/05-holdfast-eth0.network"
    assert symlinks(takeout) == {
        ours: f"{RUN}/10-netplan-eth0.network",
        f"{ours}.d/20.conf": f"{ETC}/10-netplan-eth0.network.d/20.conf",
        f"{ours}.d/zz-own.conf": f"{RUN}/10-netplan-eth0.network.d/zz-own.conf",
    }
    assert takeout.entries[-1].path == ours  # in force only with its drop-ins
    assert drop_in(takeout) == ["[Match]", "Name=", "Name=eth0", "[Network]", "DHCP=ipv6", "KeepConfiguration=dhcp"]
    names = [entry.path.rpartition("/")[2] for entry in takeout.entries[:-1]]
    (last,) = [entry.path.rpartition("/")[2] for entry in takeout.entries if isinstance(entry, File)]
    assert max(names) == last
    assert (takeout.settings, takeout.refusals, takeout.lost) == (BY_DEFAULT, (), ())


@pytest.mark.parametrize(("dhcp", "left"), [
    ("yes", "DHCP=ipv6"), ("ipv4", "DHCP=no"), ("both", "DHCP=ipv6"), ("v4", "DHCP=no"),
    ("no", None), ("ipv6", None), ("yes\nDHCP=no", None),
])
def test_dhcpv4_alone_is_taken_out(tree: Tree, put: Put, dhcp: str, left: str | None) -> None:
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP={dhcp}\n")
    if left is None:
        assert networkd.takeout(tree, LINK) is None
    else:
        assert left in drop_in(made(tree))


@pytest.mark.parametrize(("said", "kept"), [
    ("", "dhcp"), ("no", "dhcp"), ("dhcp-on-stop", "dhcp"), ("static", "yes"), ("yes", "yes"), ("true", "yes"),
])
def test_what_the_file_keeps_is_still_kept(tree: Tree, put: Put, said: str, kept: str) -> None:
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP=yes\nKeepConfiguration={said}\n")
    assert f"KeepConfiguration={kept}" in drop_in(made(tree))


@pytest.mark.parametrize(("match", "taken"), [
    ("MACAddress=02:00:00:00:00:0A", True), ("MACAddress=02-00-00-00-00-0b 0200.0000.000a", True),
    ("MACAddress=02:00:00:00:00:0b", False), ("Driver=virtio*", True), ("Driver=!virtio*", False),
    ("Type=ether", True), ("Type=wlan", False), ("Path=pci-*", True), ("Name=!eth*", False), ("Name=!en*", True),
    ("Name=eth1\nName=\nName=eth0", True), ("Virtualization=yes", True), ("Name=eth0\nDriver=e1000", False),
])
def test_the_file_in_use_by_all_that_match_says(tree: Tree, put: Put, match: str, taken: bool) -> None:
    put(f"{ETC}/10-x.network", f"[Match]\n{match}\n[Network]\nDHCP=yes\n")
    assert (networkd.takeout(tree, LINK) is not None) == taken


def test_the_first_file_counts_and_an_undecided_one_stays_before_it(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-a.network", "[Match]\nHost=other\n[Network]\nAddress=192.0.2.9/24\n")
    put(f"{RUN}/20-b.network", "[Match]\nName=e*\n[Network]\nDHCP=ipv4\n")
    put(f"{ETC}/30-c.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    links = {path: target for path, target in symlinks(made(tree)).items() if path.endswith(".network")}
    assert links == {f"{RUN}/05-holdfast-eth0+0.network": f"{ETC}/10-a.network",
                     f"{RUN}/05-holdfast-eth0+1.network": f"{RUN}/20-b.network"}


def test_a_pattern_is_overlaid_as_a_pattern(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-one.network", "[Match]\nName=en7\n[Network]\nAddress=192.0.2.9/24\n")
    put(f"{ETC}/20-all.network", "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n")
    takeout = made(tree, Link("en*"))
    drop_ins = [entry.content.decode() for entry in takeout.entries if isinstance(entry, File)]
    assert ["Name=en7\n" in drop_ins[0], "Name=en*\n" in drop_ins[1]] == [True, True]
    assert ["DHCP=" in one for one in drop_ins] == [False, True]
    assert takeout.refusals == ()


def test_a_pattern_that_no_pattern_cuts_is_refused(tree: Tree, put: Put) -> None:
    put(f"{ETC}/20-all.network", "[Match]\nName=*1\n[Network]\nDHCP=yes\n")
    assert "name the links instead" in made(tree, Link("en*")).refusals[0]


def test_our_own_overlay_is_not_read_as_networkd_s(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    before = made(tree)
    for entry in before.entries:
        put(entry.path, entry.content.decode() if isinstance(entry, File) else "[Network]\nDHCP=no\n")
    assert made(tree) == before


def test_a_name_before_the_file_in_use(tree: Tree, put: Put) -> None:
    put(f"{ETC}/01-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    assert f"{RUN}/00-holdfast-eth0.network" in symlinks(made(tree))
    put(f"{ETC}/!x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    assert "comes before any name of ours" in made(tree).refusals[0]


def test_unmanaged_of_an_earlier_version_is_honoured(tree: Tree, put: Put) -> None:  # rule 53
    put(f"{ETC}/05-holdfast-eth0.network", "[Match]\nName=eth0\n[Link]\nUnmanaged=yes\n")
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    assert networkd.takeout(tree, LINK) is None


def test_where_networkd_does_not_start_nothing_is_taken_out(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    put("/etc/systemd/system/systemd-networkd.service", "")
    assert networkd.takeout(tree, LINK) is None


@pytest.mark.parametrize(("text", "settings"), [
    ("UseDNS=no\nUseNTP=false\nUseDomains=yes\nUseMTU=on", {
        "use_dns": False, "use_ntp": False, "routes_to_dns": None, "routes_to_ntp": None,
        "use_domains": None, "use_domain_name": True, "use_mtu": None}),
    ("RoutesToDNS=no\nRoutesToNTP=no", {"routes_to_dns": None, "routes_to_ntp": None}),
    ("UseDomains=route", {"route_domains": True, "use_domain_name": True, "use_domains": None}),
    ("UseRoutes=no", {"use_routes": False}), ("UseGateway=no", {"use_gateway": False}),
    ("RouteMetric=100\nRouteTable=main", {"metric": 100, "route_table": 254}),
    ("RouteTable=blue", {"route_table": 300}),
    ("ClientIdentifier=mac\nSendHostname=no", {"client_id": "mac", "hostname": None}),
    ("Hostname=db1\nVendorClassIdentifier=\"x y\"\nUserClass=a \"b c\"\nRequestOptions=42 0x78",
     {"hostname": "db1", "vendor_class": "x y", "user_class": ("a", "b c"), "request": (42, 120)}),
    ("DUIDType=vendor\nDUIDRawData=00:00:ab:11:01\nIAID=7", {"client_id": "ff0000000700020000ab1101"}),
    ("DenyList=192.0.2.1 198.51.100.7/24\nDenyList=203.0.113.0/24",
     {"deny_servers": ("192.0.2.1", "198.51.100.0/24", "203.0.113.0/24")}),
    ("DenyList=192.0.2.1\nAllowList=192.0.2.2", {"allow_servers": ("192.0.2.2",)}),
    ("DenyList=192.0.2.1\nAllowList=192.0.2.2\nAllowList=", {"deny_servers": ("192.0.2.1",)}),
    ("SendOption=224:string:x\nSendOption=225:uint16:0x102\nSendOption=224:string:site\\x20A",
     {"send_options": ("224=hex:736974652041", "225=hex:0102")}),
    ("SendOption=224:string:x\nSendOption=\nSendOption=225:ipv4address:192.0.2.1",
     {"send_options": ("225=hex:c0000201",)}),
    ("SendHostname=no\nSendOption=12:string:db", {"hostname": None, "send_options": ("12=hex:6462",)}),
    ("SendOption=51:uint32:600", {"send_options": ("51=hex:00000258",)}),
    ("SendOption=224:string:x\nAnonymize=yes", {"anonymize": True}),
    ("IAID=305419896", {"client_id": "networkd:305419896"}),
    ("DUIDType=vendor\nIAID=0x7", {"client_id": "networkd:7"}),
    ("DUIDType=link-layer", {"client_id": "networkd/link-layer"}),
    ("DUIDType=link-layer\nIAID=0x7", {"client_id": "networkd:7/link-layer"}),
    ("UseDomainName=yes", {"use_domain_name": True, "use_domains": None}),
    ("BlackList=192.0.2.1", {"deny_servers": ("192.0.2.1",)}),
    ("ListenPort=68\nWithoutRA=solicit\nRequestOptions=dns 300 42", {"request": (42,)}),
    ("UseRoutes=no\nUseGateway=yes", {"option_edits": ("supersede 121", "supersede 249", "supersede 33")}),
    ("MUDURL=https://x.example/m\nSendVendorOption=1:string:ab\nSendVendorOption=2:uint16:258",
     {"send_options": ("161=hex:68747470733a2f2f782e6578616d706c652f6d", "43=hex:0102616202020102")}),
    ("Label=eth0:dhcp", {"address_label": "eth0:dhcp"}),
    ("RouteMTUBytes=1400\nQuickAck=yes\nInitialCongestionWindow=30\nInitialAdvertisedReceiveWindow=31",
     {"route_metrics": ("initcwnd 30", "initrwnd 31", "mtu 1400", "quickack 1")}),
    ("FallbackLeaseLifetimeSec=forever", {"default_lease_time": 0xFFFFFFFF}),
    ("RequestBroadcast=yes\nIPv6OnlyMode=yes", {"broadcast_flag": True, "ipv6_only": True}),
])
def test_what_networkd_was_told_is_told_to_holdfast(
    tree: Tree, put: Put, text: str, settings: dict[str, object]
) -> None:
    put("/etc/systemd/networkd.conf", "[Network]\nRouteTable=blue:300\n")
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCP]\n{text}\n")
    wanted = {key: value for key, value in {**BY_DEFAULT, **settings}.items() if value is not None}
    takeout = made(tree)
    assert (takeout.settings, takeout.refusals) == (wanted, ())


@pytest.mark.parametrize("text", [
    "SendOption=50:string:x", "SendOption=12:string:x", "SendOption=224:ipv6address:::1", "SendOption=224:string",
    "SendVendorOption=1:uint8", "DenyList=server", "AllowList=192.0.2.0/255.255.255.0", "AllowList=192.0.2.0/33",
    "Brandnew=yes", "InitialCongestionWindow=many", "NFTSet=prefix:inet:filter:lan",
    "DUIDType=link-layer-time", "IAID=4294967296", "ClientIdentifier=duid-only", "RouteTable=nobody",
    "ListenPort=1068",
])
def test_what_cannot_be_honoured_is_refused_by_name(tree: Tree, put: Put, text: str) -> None:
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\n{text}\n")
    (refusal,) = made(tree).refusals
    assert text in refusal
    assert f"{ETC}/10-x.network" in refusal


def test_routes_by_the_router_of_the_lease(tree: Tree, put: Put) -> None:
    """amazon-ec2-net-utils writes them into a table for each card."""
    put("/etc/systemd/networkd.conf", "[Network]\nRouteTable=blue:300\n")
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[Route]\nTable=10001\nGateway=_ipv6ra\n"
        "[Route]\nTable=10001\nGateway=_dhcp4\n[Route]\nGateway=192.0.2.9\nDestination=198.51.100.0/24\n")
    put(f"{ETC}/10-x.network.d/a.conf", "[Route]\nGateway=_dhcp\nDestination=203.0.113.7/24\nTable=blue\nMetric=5\n"
        "[Route]\nGateway=_dhcp\nDestination=2001:db8::/32\n")
    takeout = made(tree)
    assert takeout.refusals == ()
    assert takeout.settings["router_routes"] == ("0.0.0.0/0 table 10001", "203.0.113.0/24 table 300 metric 5")
    put(f"{ETC}/10-x.network.d/a.conf", "[Network]\nGateway=_dhcp4\n")
    assert made(tree).settings["router_routes"] == ("0.0.0.0/0", "0.0.0.0/0 table 10001")


@pytest.mark.parametrize("text", ["Table=nobody", "Metric=-1", "Destination=here", "PreferredSource=192.0.2.1"])
def test_a_route_by_the_router_that_cannot_be_made_is_refused(tree: Tree, put: Put, text: str) -> None:
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP=yes\n[Route]\nGateway=_dhcp4\n{text}\n")
    (refusal,) = made(tree).refusals
    assert f"[Route] Gateway=_dhcp4 with {text} cannot be honoured" in refusal


def test_a_time_zone_of_the_servers_is_named_as_lost(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCP]\nUseTimezone=yes\n")
    assert made(tree).refusals == ()
    assert "time zone" in made(tree).lost[0]


@pytest.mark.parametrize(("condition", "fits"), [
    ("KernelCommandLine=quiet", True), ("KernelCommandLine=ip", True), ("KernelCommandLine=ip=dhcp", True),
    ("KernelCommandLine=ip=off", False), ("KernelCommandLine=!ip", False), ("KernelCommandLine=!nothing", True),
    ("Virtualization=vmware", False), ("Virtualization=!vmware", True), ("Virtualization=kvm", True),
    ("Virtualization=yes", True), ("Virtualization=vm", True), ("Virtualization=no", False),
    ("Virtualization=container", False), ("Host=gue*", True), ("Host=!guest", False), ("Host=0123*", True),
])
def test_files_of_other_machines_are_passed_over(tree: Tree, put: Put, condition: str, fits: bool) -> None:
    """Flatcar's images have such files before their default."""
    put("/proc/cmdline", "root=/dev/vda ip=dhcp quiet\n")
    put("/proc/sys/kernel/hostname", "guest\n")
    put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put("/sys/class/dmi/id/sys_vendor", "QEMU\n")
    put(f"{ETC}/yy-x.network", f"[Match]\n{condition}\n[Network]\nDHCP=yes\n[DHCPv4]\nRouteMetric=7\n")
    put(f"{ETC}/zz-default.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n")
    takeout = made(tree)
    assert (takeout.settings["metric"], takeout.refusals) == ((7 if fits else 1024), ())


@pytest.mark.parametrize(("files", "fits"), [
    ({"/run/systemd/container": "systemd-nspawn\n", "/sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, False),
    ({"/sys/class/dmi/id/product_name": "VMware7,1\n"}, True),
    ({"/sys/class/dmi/id/sys_vendor": "Dell Inc.\n", "/proc/cpuinfo": "flags : fpu vme\n"}, False),
    ({"/sys/class/dmi/id/sys_vendor": "Dell Inc.\n", "/proc/cpuinfo": "flags : fpu hypervisor\n"}, None),
    ({}, None),
])
def test_virtualization(tree: Tree, put: Put, files: dict[str, str], fits: bool | None) -> None:
    put("/proc/cmdline", "quiet\n")
    for path, text in files.items():
        put(path, text)
    assert networkd_conditions.fits(tree, "Virtualization", "vmware") is fits
    assert networkd_conditions.fits(tree, "Architecture", "x86-64") is None


def test_of_an_image_the_machine_is_not_known(tree: Tree, put: Put) -> None:
    for condition in ("KernelCommandLine=x", "Virtualization=vm", "Host=x"):
        key, _, value = condition.partition("=")
        assert networkd_conditions.fits(tree, key, value) is None


def test_an_iaid_with_a_duid_that_is_not_known_is_refused(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\nIAID=1\nDUIDType=uuid\n")
    (refusal,) = made(tree).refusals
    assert "[DHCPv4] IAID=1, DUIDType=uuid cannot be honoured" in refusal


def test_more_servers_than_holdfast_takes_are_refused(tree: Tree, put: Put) -> None:
    every = " ".join(f"192.0.2.{number}" for number in range(65))
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\nDenyList={every}\n")
    (refusal,) = made(tree).refusals
    assert "DenyList= has 65 entries, and Holdfast takes 64" in refusal


def test_more_options_than_holdfast_sends_are_refused(tree: Tree, put: Put) -> None:
    every = "".join(f"SendOption={number}:uint8:1\n" for number in range(128, 161))
    put(f"{ETC}/10-x.network", f"[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\n{every}")
    (refusal,) = made(tree).refusals
    assert "SendOption= has 33 options, and Holdfast sends 32" in refusal


def test_an_unknown_key_elsewhere_stays_networkd_s(tree: Tree, put: Put) -> None:
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\nNew=1\n[Newer]\nX=1\n[DHCPv6]\nUseDNS=no\n")
    assert made(tree).refusals == ()


def test_the_defaults_of_networkd_conf(tree: Tree, put: Put) -> None:
    put("/etc/systemd/networkd.conf.d/x.conf", "[Network]\nUseDomains=yes\n[DHCPv4]\nDUIDType=uuid\n")
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    takeout = made(tree)
    assert "use_domains" not in takeout.settings
    assert "DUIDType=uuid" in takeout.refusals[0]
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\n")
    assert made(tree).refusals == ()


def test_the_server_s_host_name_is_named_as_lost(tree: Tree, put: Put) -> None:
    put("/etc/hostname", "")
    put(f"{ETC}/10-x.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    assert "host name" in made(tree).lost[0]
