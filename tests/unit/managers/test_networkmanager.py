"""What NetworkManager does on a link by its files, and its profiles without DHCPv4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import File, Link, Takeout
from holdfast.managers.networkmanager import LATEST, STAND_IN, takeout, uuid_of

ETC = "etc/NetworkManager/system-connections"
RUN = "run/NetworkManager/system-connections"
UUID = "2f1b3ab6-1d5c-4d8f-9a5b-2f2f0c7d9e12"
ENS3 = Link("ens3", mac="fa:16:3e:00:00:01", permanent_mac="fa:16:3e:00:00:01", driver="virtio_net", kind="ether")
HEAD = f"[connection]\nid=a\nuuid={UUID}\ntype=ethernet\n"
NAMED = f"{HEAD}interface-name=ens3\n"
#: NetworkManager 1.42 sends ff:b5:5e:67:ff:... on a link of this name.
IAID = f"networkd:{0xb55e67ff}"
Take = Callable[..., "Takeout | None"]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """What the files say of a link: ``take({path: text}, link)``."""
    unit = tmp_path / "etc/systemd/system/multi-user.target.wants/NetworkManager.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/lib/systemd/system/NetworkManager.service")
    service = tmp_path / "lib/systemd/system/NetworkManager.service"
    service.parent.mkdir(parents=True)
    service.write_text("[Install]\nWantedBy=multi-user.target\n")

    def of(files: Mapping[str, str], link: Link = ENS3) -> Takeout | None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return takeout(Tree(str(tmp_path)), link)

    return of


def profile(text: str) -> dict[str, str]:
    return {f"{ETC}/a.nmconnection": text}


def shadow(found: Takeout | None) -> str:
    assert found is not None
    (one,) = [entry for entry in found.entries if entry.path.endswith(".nmconnection")]
    assert isinstance(one, File)
    assert (one.mode, one.mtime) == (0o600, LATEST)
    assert one.path.startswith(f"/{RUN}/holdfast-")
    return one.content.decode()


def test_only_dhcpv4_is_taken_out(take: Take) -> None:
    """Zone, MTU, IPv6 and what nobody here knows stay as they are."""
    text = f"# by hand\n{NAMED}zone=internal\n[ethernet]\nmtu=1450\n\n[ipv4]\nmethod=auto\nmay-fail=false\n" \
           "route1=198.18.0.0/24,10.0.0.1\nnew-key=x\n\n[ipv6]\nmethod=auto\ndns=2620:fe::fe;\n[unheard]\nof=it\n"
    found = take(profile(text))
    assert shadow(found) == text.replace("method=auto\nmay-fail=false\n", "", 1).replace(
        "[ipv4]\n", f"[ipv4]\nroute1_options=onlink=true\naddress1={STAND_IN}\nmethod=manual\n")
    assert found is not None
    assert (found.refusals, found.lost, found.source) == ((), (), f"/{ETC}/a.nmconnection")
    assert found.settings == {"wait_for": "networkmanager", "client_id": "mac", "hostname": "@system", "metric": 100,
                              "use_mtu": False}


@pytest.mark.parametrize("method", ["disabled", "link-local", "manual"])
def test_without_addresses_to_wait_for_there_is_no_ipv4(take: Take, method: str) -> None:
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\n\n[ipv6]\nmethod={method}\n"))
    assert shadow(found) == f"{NAMED}[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod={method}\n"


def test_the_carrier_is_ignored(take: Take) -> None:
    found = take(profile(NAMED))
    assert found is not None
    first = found.entries[0]
    assert isinstance(first, File)
    assert first.path == "/run/NetworkManager/conf.d/90-holdfast-ens3.conf"
    assert b"match-device=interface-name:=ens3\nignore-carrier=yes\n" in first.content


def test_own_addresses_stay_networkmanagers(take: Take) -> None:
    text = f"{NAMED}[ipv4]\nmethod=auto\naddress1=192.0.2.7/24\ndns=9.9.9.9;\n"
    found = take(profile(text))
    assert shadow(found) == text.replace("auto", "manual").replace("dns=9.9.9.9;\n", "")
    assert found is not None
    assert found.settings["dns"] == ("9.9.9.9",)


def test_own_name_servers_come_from_holdfast(take: Take) -> None:
    """A profile that is disabled may hold none."""
    own = "dns=9.9.9.9;1.1.1.1;\ndns-search=a.test;\n"
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\n{own}ignore-auto-dns=true\n"))
    assert shadow(found) == f"{NAMED}[ipv4]\naddress1={STAND_IN}\nmethod=manual\nignore-auto-dns=true\n"
    assert found is not None
    assert (found.settings["dns"], found.settings["search"]) == (("9.9.9.9", "1.1.1.1"), ("a.test",))
    assert found.settings["use_dns"] is False


@pytest.mark.parametrize(("line", "key", "wanted"), [
    ("ignore-auto-routes=true", "use_routes", False), ("never-default=true", "use_gateway", False),
    ("route-metric=50", "metric", 50), ("route-table=77", "route_table", 77),
    ("dhcp-hostname=other", "hostname", "other"), ("dhcp-fqdn=a.example", "fqdn", "a.example"),
    ("dhcp-vendor-class-identifier=x", "vendor_class", "x"), ("dhcp-client-id=01:2:aB", "client_id", "0102ab"),
    ("dhcp-client-id=perm-mac", "client_id", "01fa163e000001"), ("dhcp-client-id=me", "client_id", "006d65"),
    ("dhcp-client-id=duid", "client_id", IAID), ("dhcp-client-id=duid\ndhcp-iaid=ifname", "client_id", IAID),
    ("dhcp-client-id=duid\ndhcp-iaid=7", "client_id", "networkd:7"),
    ("dhcp-client-id=duid\ndhcp-iaid=0x10", "client_id", "networkd:16"),
    ("dhcp-client-id=duid\ndhcp-iaid=mac", "client_id", f"networkd:{0x3e000001}"),
    ("dhcp-client-id=duid\ndhcp-iaid=perm-mac", "client_id", f"networkd:{0x3e000001}"),
    ("dhcp-reject-servers=192.0.2.1;198.51.100.7/24;", "deny_servers", ("192.0.2.1", "198.51.100.0/24")),
])
def test_what_it_sends_and_uses_are_settings(take: Take, line: str, key: str, wanted: object) -> None:
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\n{line}\n"))
    assert found is not None
    assert (found.settings[key], found.refusals) == (wanted, ())


def test_no_host_name_is_sent_where_it_sends_none(take: Take) -> None:
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\ndhcp-send-hostname=false\n"))
    assert found is not None
    assert "hostname" not in found.settings


def test_defaults_of_its_configuration_count(take: Take) -> None:
    conf = "[connection]\nipv4.route-metric=7\nipv4.dhcp-client-id=none\n" \
           "[connection-x]\nmatch-device=interface-name:ens3\nipv4.route-metric=9\n"
    found = take({**profile(NAMED), "etc/NetworkManager/NetworkManager.conf": conf})
    assert found is not None
    assert (found.settings["metric"], found.settings["client_id"]) == (9, "none")


@pytest.mark.parametrize("line", [
    "dhcp-client-id=stable", "dhcp-client-id=duid\ndhcp-iaid=stable", "dhcp-reject-servers=server;", "dns-priority=-5",
    "dns=name;",
])
def test_what_cannot_be_honoured_is_refused_by_name(take: Take, line: str) -> None:
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\n{line}\n"))
    assert found is not None
    assert any(f"a.nmconnection: ipv4.{line.partition('=')[0]}" in refusal for refusal in found.refusals)


def test_a_name_of_a_server_counts_for_resolved_alone(take: Take, tmp_path: Path) -> None:
    files = profile(f"{NAMED}[ipv4]\nmethod=auto\ndns=9.9.9.9#dns.example;1.1.1.1;\n")
    found = take(files)
    assert found is not None
    assert (found.settings["dns"], found.refusals) == (("9.9.9.9", "1.1.1.1"), ())
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    found = take(files)
    assert found is not None
    assert "ipv4.dns=9.9.9.9#dns.example cannot be honoured" in found.refusals[0]
    found = take({**files, "etc/NetworkManager/NetworkManager.conf": "[main]\ndns=none\n"})
    assert found is not None
    assert found.refusals == ()


def test_dhclient_s_configuration_counts_where_it_runs(take: Take) -> None:
    files = {
        **profile(f"{NAMED}[ipv4]\nmethod=auto\n"),
        "etc/NetworkManager/NetworkManager.conf": "[main]\ndhcp=dhclient\n",
        "etc/dhcp/dhclient.conf": 'send user-class "x";\nsupersede domain-name "a";\nrequest routers;\n'
                                  'script "/own";\n',
    }
    found = take(files)
    assert found is not None
    assert "user_class" not in found.settings, "there is no dhclient"
    found = take({**files, "usr/sbin/dhclient": ""})
    assert found is not None
    assert found.settings == {"wait_for": "networkmanager", "client_id": "none", "hostname": "@system", "metric": 100,
                              "user_class": ("x",), "option_edits": ("supersede 15 61",)}
    assert 'script "/own"` cannot be honoured' in found.refusals[0]
    found = take({"etc/dhcp/dhclient-ens3.conf": 'send dhcp-client-identifier "abc";\nsend host-name "box";\n'})
    assert found is not None
    assert (found.settings["client_id"], found.settings["hostname"], found.refusals) == ("616263", "box", ())
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\ndhcp-client-id=mac\n"))
    assert found is not None
    assert found.settings["client_id"] == "mac"


def test_more_servers_than_holdfast_takes_are_refused(take: Take) -> None:
    every = "".join(f"192.0.2.{number};" for number in range(65))
    found = take(profile(f"{NAMED}[ipv4]\nmethod=auto\ndhcp-reject-servers={every}\n"))
    assert found is not None
    assert "dhcp-reject-servers= has 65 entries, and Holdfast takes 64" in found.refusals[0]


@pytest.mark.parametrize("text", [
    f"{NAMED}[ipv4]\nmethod=manual\naddress1=192.0.2.7/24\n", f"{NAMED}[ipv4]\nmethod=disabled\n",
    f"{NAMED}master=br0\nslave-type=bridge\n", f"{NAMED}autoconnect=false\n",
])
def test_no_dhcpv4_is_nothing_to_take_out(take: Take, text: str) -> None:
    assert take(profile(text)) is None


@pytest.mark.parametrize("text", [
    f"{HEAD}interface-name=ens4\n", f"{HEAD}[ethernet]\nmac-address=FA:16:3E:00:00:02\n",
    f"{HEAD}[ethernet]\nmac-address-blacklist=FA:16:3E:00:00:01;\n", f"{HEAD}[match]\ninterface-name=eth*;\n",
    f"{HEAD}[match]\ninterface-name=!ens3;\n", f"{HEAD}[match]\ndriver=e1000;\n",
])
def test_a_profile_of_another_link_is_not_the_links(take: Take, text: str) -> None:
    found = take(profile(text))
    assert found is not None
    assert "no profile" in found.source  # the automatic one


@pytest.mark.parametrize("text", [
    f"{HEAD}[802-3-ethernet]\nmac-address=FA:16:3E:00:00:01\n", f"{HEAD}[match]\ninterface-name=eth*;ens*;\n",
    f"{HEAD}[match]\ndriver=virtio_net;\n", HEAD,
])
def test_a_profile_may_fit_by_more_than_the_name(take: Take, text: str) -> None:
    found = take(profile(text))
    assert found is not None
    assert found.source.endswith("a.nmconnection")
    assert f"uuid={UUID}\n" in shadow(found)


def test_the_priority_decides(take: Take) -> None:
    other = NAMED.replace(UUID, "b" * 8) + "autoconnect-priority=9\n[ipv4]\nmethod=manual\naddress1=192.0.2.1/24\n"
    assert take({**profile(NAMED), f"{ETC}/b.nmconnection": other}) is None


def test_among_equals_the_last_used_counts(take: Take) -> None:
    other = NAMED.replace(UUID, "b" * 8) + "[ipv4]\nroute-metric=3\n"
    found = take({**profile(NAMED), f"{ETC}/b.nmconnection": other,
                  "var/lib/NetworkManager/timestamps": f"[timestamps]\n{UUID}=5\n{'b' * 8}=9\n"})
    assert found is not None
    assert found.settings["metric"] == 3
    assert len([entry for entry in found.entries if isinstance(entry, File)]) == 3  # both are without DHCPv4


def test_what_netplan_renders_is_read_and_ours_is_not(take: Take) -> None:
    found = take({f"{RUN}/netplan-ens3.nmconnection": NAMED, f"{RUN}/holdfast-{UUID}-ens3.nmconnection":
                  f"{NAMED}[ipv4]\nmethod=disabled\n"})
    assert found is not None
    assert found.source == f"/{RUN}/netplan-ens3.nmconnection"


def test_a_profile_for_several_links_stays_for_the_others(take: Take) -> None:
    found = take(profile(f"{HEAD}multi-connect=3\n"))
    assert found is not None
    texts = [entry.content.decode() for entry in found.entries if isinstance(entry, File)][1:]
    assert f"uuid={UUID}\n" in texts[0]
    assert "interface-name=ens3\n" in texts[0]
    assert UUID not in texts[1]
    assert "[match]\ninterface-name=!ens3;\n" in texts[1]
    assert "method=" not in texts[1]


@pytest.mark.parametrize(("keys", "added"), [
    ("route1=0.0.0.0/0,10.77.0.1", "route1_options=onlink=true"),
    ("route1=198.18.0.0/15,10.77.0.1,5\nroute1_options=mtu=1400", "route1_options=mtu=1400,onlink=true"),
    ("address1=192.0.2.7/24\nroute2=198.18.0.0/15,10.77.0.1", "route2_options=onlink=true"),
    ("address1=192.0.2.7/24,192.0.2.1\nroute2=198.18.0.0/15,192.0.2.9", ""),  # reached by its own address
    ("route1=198.18.0.0/15,10.77.0.1\nroute1_options=onlink=false", ""),  # as somebody wants it
    ("route1=198.18.0.0/15", ""), ("route1=198.18.0.0/15,0.0.0.0,7", ""), ("route1=nonsense,here", ""),
])
def test_a_router_of_the_leases_subnet_gets_no_route_of_its_own(take: Take, keys: str, added: str) -> None:
    """NetworkManager 1.42 adds one where no address of the profile reaches the router."""
    text = shadow(take(profile(f"{NAMED}[ipv4]\nmethod=auto\n{keys}\n")))
    assert [line for line in text.splitlines() if "onlink=true" in line] == ([added] if added else [])


@pytest.mark.parametrize("folder", [ETC, RUN])
def test_a_profile_without_uuid_keeps_the_one_that_is_made_of_its_files_name(take: Take, folder: str) -> None:
    """netplan's; seen with netplan 0.106 and NetworkManager 1.42."""
    text = shadow(take({f"{folder}/netplan-ens3.nmconnection":
                        "[connection]\ntype=ethernet\ninterface-name=ens3\n[ipv4]\nmethod=auto\n"}))
    assert "[connection]\nid=netplan-ens3\nuuid=bec3d02a-c9e5-3283-92ab-ee43a4246c85\ntype=ethernet\n" in text


def test_its_automatic_connection_keeps_its_uuid(take: Take) -> None:
    """Seen with NetworkManager 1.42: stable-privacy addresses are made of it."""
    machine = "168978155e0b32626faf8246991eb8df"
    known = "83d18225-8742-362e-a31c-d7943df9dffe"
    assert uuid_of("default-wired", machine, "Wired connection 1", "52:54:00:12:9E:9B") == known
    link = ENS3._replace(mac="52:54:00:12:9e:9b", permanent_mac=None)
    text = shadow(take({"etc/machine-id": f"{machine}\n"}, link))
    assert f"id=Wired connection 1\nuuid={known}\n" in text
    assert "interface-name=ens3\n" in text
    assert f"[ipv4]\naddress1={STAND_IN}\nmethod=manual\n" in text


@pytest.mark.parametrize("said", ["*", "ens3", "FA:16:3E:00:00:01"])
def test_without_an_automatic_connection_there_is_nothing(take: Take, said: str) -> None:
    assert take({"etc/NetworkManager/NetworkManager.conf": f"[main]\nno-auto-default={said}\n"}) is None


def test_an_unmanaged_link_is_not_its(take: Take) -> None:
    conf = "[keyfile]\nunmanaged-devices=interface-name:ens*\n"
    assert take({**profile(NAMED), "etc/NetworkManager/conf.d/a.conf": conf}) is None


def test_a_pattern_is_overlaid_as_one(take: Take) -> None:
    text = shadow(take(profile(HEAD), Link("en*")))
    assert "[match]\ninterface-name=&en*;\n" in text
    found = take({**profile(NAMED), f"{ETC}/b.nmconnection": NAMED.replace(UUID, "b" * 8).replace("ens3", "ens4")
                  + "[ipv4]\nroute-metric=3\n"}, Link("en*"))
    assert found is not None
    assert any("list the links by name" in line for line in found.refusals)


def test_dispatcher_scripts_are_named(take: Take, tmp_path: Path) -> None:
    take({"etc/NetworkManager/dispatcher.d/30-x": "#!/bin/sh\n", "etc/NetworkManager/dispatcher.d/off": ""})
    (tmp_path / "etc/NetworkManager/dispatcher.d/30-x").chmod(0o755)
    found = take(profile(NAMED))
    assert found is not None
    (line,) = found.lost
    assert line.startswith("/etc/NetworkManager/dispatcher.d/30-x ")
    assert line.endswith("; a program in /etc/holdfast/hooks.d can do it")


def test_an_ifcfg_profile_of_its_own_is_refused_by_name(take: Take) -> None:
    found = take({"etc/sysconfig/network-scripts/ifcfg-ens3": "BOOTPROTO=dhcp\n"})
    assert found is not None
    assert "nmcli connection migrate" in found.refusals[0]
