"""How DHCPv4 is taken out of ifupdown's files."""

from __future__ import annotations

import pytest
from tests.unit.managers.conftest import Put

from holdfast.managers import ifupdown
from holdfast.managers.formats import substitutions
from holdfast.managers.formats.interfaces5 import INTERFACES
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, File, Link, Takeout

CLOUD = "/etc/network/interfaces.d/50-cloud-init"
STANZAS = ("# rendered\nauto lo\niface lo inet loopback\n    dns-nameservers 10.77.0.1\n\nauto eth0\n"
           "iface eth0 inet dhcp\n    accept-ra 1\n    mtu 1450\n    post-up ip route add 10.9.0.0/16 via 10.77.0.1\n\n"
           "# control-alias eth0\niface eth0 inet6 dhcp\n    mtu 1400\n\n"
           "iface eth0 inet static\n    address 10.7.0.2/24\n"
           "iface eth1 inet dhcp\n")


@pytest.fixture(autouse=True)
def _installed(put: Put) -> None:
    put("/sbin/ifup", "")
    put("/etc/systemd/system/multi-user.target.wants/networking.service", "[Unit]\n")
    put(INTERFACES, "source interfaces.d/*\n")


def take(tree: Tree, name: str = "eth0", mac: str | None = None) -> Takeout:
    found = ifupdown.takeout(tree, Link(name, mac))
    assert found is not None
    return found


def copies(takeout: Takeout) -> dict[str, str]:
    """Path of the file -> text of the copy that is mounted over it."""
    files = {entry.path: entry.content.decode() for entry in takeout.entries if isinstance(entry, File)}
    return {entry.path: files[entry.source] for entry in takeout.entries if isinstance(entry, Bind)}


def without_comments(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.startswith("#holdfast")]


def test_only_the_method_of_the_link_changes(tree: Tree, put: Put) -> None:
    put(CLOUD, STANZAS)
    ((path, text),) = copies(take(tree)).items()
    assert (path, substitutions.original(text)) == (CLOUD, STANZAS)
    lines = without_comments(text)
    (wait,) = [line for line in lines if line.startswith("\tup n=0")]
    assert lines[lines.index(wait) - 1] == "iface eth0 inet manual"
    lines.remove(wait)
    expected = STANZAS.replace("iface eth0 inet dhcp", "iface eth0 inet manual").replace("mtu 1450", "MTU 1450")
    assert "\n".join(lines) == expected


def test_the_copy_in_place_of_the_file_is_read_as_the_file(tree: Tree, put: Put) -> None:
    put(CLOUD, STANZAS)
    first = take(tree)
    put(CLOUD, copies(first)[CLOUD])
    assert take(tree) == first
    both = substitutions.merged(copies(first)[CLOUD], copies(take(tree, "eth1"))[CLOUD])
    assert both is not None
    assert "inet dhcp" not in "\n".join(without_comments(both))


def test_files_that_udev_writes_below_run(tree: Tree, put: Put) -> None:
    """A copy of the folder is read, which is there, with what it had, before anything is in it."""
    folder = "/run/network/interfaces.d"
    put(INTERFACES, f"source interfaces.d/*\nsource-directory {folder} /etc/more\nauto lo\n")
    before = take(tree)
    (text,) = copies(before).values()
    assert without_comments(text) == [
        "source interfaces.d/*", f"source-directory {ifupdown.COPIES}{folder} /etc/more", "auto lo", ""]
    assert (before.source, before.settings["metric"]) == (INTERFACES, 0)
    put(f"{folder}/eth0", "auto eth0\niface eth0 inet dhcp\n\niface eth0 inet6 manual\n  try_dhcp 1\n")
    put(f"{folder}/eth1", "auto eth1\niface eth1 inet static\n")
    after = take(tree)
    assert copies(after) == copies(before)
    files = {entry.path: entry.content.decode() for entry in after.entries if isinstance(entry, File)}
    assert "iface eth0 inet manual\n" in files[f"{ifupdown.COPIES}{folder}/eth0"]
    assert "iface eth0 inet6 manual\n  try_dhcp 1\n" in files[f"{ifupdown.COPIES}{folder}/eth0"]
    assert files[f"{ifupdown.COPIES}{folder}/eth1"] == "auto eth1\niface eth1 inet static\n"
    assert (after.source, after.settings) == (f"{folder}/eth0", before.settings)


@pytest.mark.parametrize(("text", "expected"), [
    ("iface eth0 \\\n  inet\tdhcp  \n", "iface eth0 \\\n  inet\tmanual  \n"),
    ("iface x inet dhcp\niface eth0 inherits x\n", "iface x inet dhcp\niface eth0 inet manual inherits x\n"),
    ("iface eth0 inet dhcp\niface x inet inherits eth0\n", "iface eth0 inet manual\niface x inet dhcp inherits eth0\n"),
    ("iface x inet dhcp\n mtu 1400\n up true\niface eth0 inet inherits x\n metric 7\n",  # dhcp has no mtu, manual has
     "iface x inet dhcp\n mtu 1400\n up true\niface eth0 inet manual\n    MTU 1400\n    up true\n metric 7\n"),
    ("auto /e*=dhcp\niface dhcp inet dhcp\n", "auto /e*=dhcp\niface dhcp inet manual\n"),
])
def test_how_a_stanza_may_be_written(tree: Tree, put: Put, text: str, expected: str) -> None:
    put(INTERFACES, text)
    lines = without_comments(copies(take(tree, "e*" if "/e*" in text else "eth0"))[INTERFACES])
    assert "\n".join(line for line in lines if not line.startswith("\tup n=0")) == expected


def test_what_cannot_be_taken_out_is_refused(tree: Tree, put: Put) -> None:
    put(INTERFACES, "auto /e*=lan\niface lan inet dhcp\n")
    assert take(tree).refusals == (
        f"{INTERFACES}: `auto e*=lan` and `iface lan inet dhcp` also serves other links than eth0; serve e*, or give "
        "eth0 a stanza of its own",)


def test_a_link_without_dhcp_is_left_alone(tree: Tree, put: Put) -> None:
    put(INTERFACES, "iface eth0 inet manual\niface eth1 inet dhcp\n")
    assert ifupdown.takeout(tree, Link("eth0")) is None


def test_settings_of_dhclient(tree: Tree, put: Put) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n metric 7\n hostname ignored\n")
    put("/var/lib/dhcp/dhclient.eth0.leases", r'default-duid "\000\001\000\001";' + "\n")
    put("/etc/dhcp/dhclient.conf", 'send host-name = gethostname();\nrequest subnet-mask, routers,\n domain-name;\n'
        'interface "eth0" { send vendor-class-identifier "box"; }\ninterface "eth1" { send user-class "x"; }\n'
        "timeout 60;\nrequire subnet-mask;\nscript \"/own\";\n")
    put("/etc/dhcp/dhclient-exit-hooks.d/mine", "")
    found = take(tree, mac="02:00:00:00:00:09")
    assert found.settings == {
        "use_domain_name": True, "dotted_search": True, "client_id": "ff0000000900010001", "metric": 7,
        "subnet_metric": 0, "hostname": "@system", "vendor_class": "box",
        "require": (1,), "use_dns": False, "use_mtu": False, "use_ntp": False, "option_edits": ("supersede 119",)}
    assert found.refusals == ('/etc/dhcp/dhclient.conf: `script "/own"` cannot be honoured; '
                              "take it out, or leave this link to dhclient",)
    assert found.lost == ("/etc/dhcp/dhclient-exit-hooks.d/mine is not run for DHCPv4 any more; a program in "
                          "/etc/holdfast/hooks.d can do it",)


@pytest.mark.parametrize(("statements", "options"), [
    ("send dhcp-lease-time 3600;", ("51=hex:00000e10",)),
    ('interface "eth0" { send dhcp-lease-time 7200; }\nsend dhcp-lease-time 3600;', ("51=hex:00001c20",)),
    ('send site "a b";\nsend dhcp-lease-time = 60;\nsend octets 1:ff;',
     ("224=hex:612062", "51=hex:0000003c", "225=hex:01ff")),
    ("send unknown-226 0a;", ("226=hex:0a",)),
    ("require dhcp-lease-time, dhcp-message-type;\nalso require dhcp-lease-time;", None),
])
def test_options_that_are_sent(tree: Tree, put: Put, statements: str, options: tuple[str, ...] | None) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", f"option site code 224 = text;\noption octets code 225 = string;\n{statements}\n")
    found = take(tree)
    assert found.settings.get("send_options") == options
    assert found.refusals == ()


@pytest.mark.parametrize("statement", [
    "send number 5", "send nobody-knows 1", "send dhcp-lease-time soon", "send unknown-12 61:62",
    "require nobody-knows", "require", "send host-name = option host-name",
    'send dhcp-client-identifier = concat(hardware, "x")',  # of a link whose address is not known
])
def test_what_is_sent_or_required_and_cannot_be(tree: Tree, put: Put, statement: str) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", f"option number code 224 = unsigned integer 16;\n{statement};\n")
    (refusal,) = take(tree).refusals
    assert f"`{statement}` cannot be honoured" in refusal


def test_the_default_route_stays_the_first_link_s(tree: Tree, put: Put) -> None:
    """Of two dhclients the kernel refuses the later one's, which would have no metric where ours had one."""
    put("/sbin/dhclient", "")
    put(INTERFACES, "auto eth0\niface eth0 inet dhcp\nauto eth1\niface eth1 inet dhcp\n")
    assert take(tree, "eth0").settings["metric"] == 0
    put(INTERFACES, "auto eth0 eth1\niface x inet dhcp\niface eth0 inherits x\niface eth1 inherits x\n")
    assert take(tree, "eth0").settings["metric"] == 0, "a template is no link"
    other = take(tree, "eth1").settings
    assert ("metric" in other, other["subnet_metric"]) == (False, 0), "the scripts leave that route to the kernel"


def test_servers_that_are_rejected(tree: Tree, put: Put) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", "reject 192.0.2.1, 198.51.100.0/24;\n"
        'interface "eth0" { reject 203.0.113.1; }\ninterface "eth1" { reject 203.0.113.2; }\n')
    found = take(tree)
    assert found.settings["deny_servers"] == ("192.0.2.1", "198.51.100.0/24", "203.0.113.1")
    assert found.refusals == ()


@pytest.mark.parametrize("statement", ["reject", "reject server", "reject 192.0.2.1/24", "reject 192.0.2.1, nobody"])
def test_servers_that_cannot_be_rejected(tree: Tree, put: Put, statement: str) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", f"{statement};\n")
    (refusal,) = take(tree).refusals
    assert f"`{statement}` cannot be honoured" in refusal


@pytest.mark.parametrize(("statement", "edits"), [
    ("supersede domain-name-servers 192.0.2.1, 192.0.2.2", ("supersede 6 c0000201c0000202",)),
    ('prepend domain-name "corp.example "', ("prepend 15 636f72702e6578616d706c6520",)),
    ('append domain-search "a.example", "b"', ("append 119 0161076578616d706c6500016200",)),
    ("default interface-mtu 1400", ("supersede 26", "default 26 0578")),
    ('supersede domain-name ""', ("supersede 15",)),
    ("supersede rfc3442-classless-static-routes 8, 10, 192, 0, 2, 1", ("supersede 121 080ac0000201",)),
    ("supersede dhcp-server-identifier 255.255.255.255", None),
    ("supersede dhcp6.name-servers 2001:db8::1", None),
])
def test_changes_to_replies(tree: Tree, put: Put, statement: str, edits: tuple[str, ...] | None) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", "option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n"
        f"also request domain-search;\n{statement};\n")
    found = take(tree)
    assert found.refusals == ()
    assert found.settings.get("option_edits") == edits


@pytest.mark.parametrize("statement", [
    "prepend dhcp-lease-time 600", "supersede dhcp-lease-time 0", "supersede dhcp-message-type \"\"",
    "supersede domain-name-servers localhost", "append nobody-knows 1", "supersede",
])
def test_changes_that_cannot_be_made(tree: Tree, put: Put, statement: str) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", f"{statement};\n")
    found = take(tree)
    assert len(found.refusals) == 1
    assert f"`{statement}` cannot be honoured" in found.refusals[0]


@pytest.mark.parametrize(("statements", "uses", "edits"), [
    ("timeout 60;", {"use_mtu", "use_ntp"}, ("supersede 119",)),
    ("also request interface-mtu, ntp-servers, domain-search;", set(), None),
    ("request subnet-mask, routers, domain-name-servers, domain-name, domain-search;", {"use_mtu", "use_ntp"}, None),
    ("request routers, domain-name-servers, domain-search;", {"use_mtu", "use_ntp"}, ("supersede 15",)),
    ("ignore domain-name-servers;", {"use_dns", "use_mtu", "use_ntp"}, ("supersede 119",)),
    # A value of one's own is used also where the server's is not.
    ("request subnet-mask;\nsupersede domain-name-servers 192.0.2.1;",
     {"use_mtu", "use_ntp", "use_gateway", "use_domains"},
     ("supersede 6", "supersede 6 c0000201")),
])
def test_what_is_requested_is_used(
    tree: Tree, put: Put, statements: str, uses: set[str], edits: tuple[str, ...] | None
) -> None:
    put("/sbin/dhclient", "")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", f"{statements}\n")
    found = take(tree)
    assert {key for key in found.settings if key.startswith("use_")} - {"use_domain_name"} == uses
    assert found.settings.get("option_edits") == edits


@pytest.mark.parametrize(("statement", "settings"), [
    ("supersede dhcp-lease-time 600", {"lease_time_limit": 600}),
    ("default dhcp-lease-time 600", {"default_lease_time": 600}),
    ("require subnet-mask, dhcp-lease-time, site", {"require": (1, 224)}),
    ("require routers;\nalso require domain-name-servers", {"require": (3, 6)}),
    ("bootp-broadcast-always", {"broadcast_flag": True}),
    ("send dhcp-requested-address 192.0.2.1;\nsend dhcp-max-message-size 576;\nvendor option space x", {}),
    ('send host-name = concat("vm-", substring(hardware, 5, 2), ".example")', {"hostname": "vm-ab.example"}),
    ("send host-name = pick-first-value(gethostname(), \"x\")", {"hostname": "@system"}),
    ("send fqdn.fqdn = gethostname();\nsend fqdn.encoded on", {"fqdn": "@system"}),
    ('send fqdn.fqdn = concat(gethostname(), ".site.example.")', {"fqdn": "guest.site.example"}),
    ('send dhcp-client-identifier = concat("id-", hardware)', {"client_id": "69642d01020000006162"}),
    ('send user-class = lcase("ABC")', {"user_class": ("abc",)}),
])
def test_what_else_is_honoured(tree: Tree, put: Put, statement: str, settings: dict[str, object]) -> None:
    put("/sbin/dhclient", "")
    put("/etc/hostname", "guest\n")
    put(INTERFACES, "iface eth0 inet dhcp\n")
    put("/etc/dhcp/dhclient.conf", "option site code 224 = text;\n"
        f"also request domain-search, interface-mtu, ntp-servers;\n{statement};\n")
    found = take(tree, mac="02:00:00:00:61:62")
    assert found.refusals == ()
    assert found.settings == {"use_domain_name": True, "dotted_search": True, "metric": 0, **settings}


def test_settings_of_other_clients(tree: Tree, put: Put) -> None:
    put(INTERFACES, "iface eth0 inet dhcp\n metric 7\n hostname box\n vendor v\n leasetime 60\n")
    put("/usr/sbin/dhcpcd", "")
    found = take(tree)
    assert found.refusals == ()
    assert found.settings == {"metric": 7, "hostname": "box", "vendor_class": "v", "send_options": ("51=hex:0000003c",)}
    put(INTERFACES, "iface eth0 inet dhcp\n metric 7\n hostname box\n client 01:ab\n")
    assert take(tree).settings == {"metric": 7, "hostname": "box", "client_id": "01ab"}
    put("/sbin/udhcpc", "")
    assert (take(tree).settings, take(tree).refusals) == ({"hostname": "box", "metric": 0}, ())


def test_a_pattern_that_means_one_link_has_the_settings_of_that_link(tree: Tree, put: Put) -> None:
    put(CLOUD, "auto eth0\niface eth0 inet dhcp\n")
    assert take(tree, "eth*").settings == take(tree).settings
    assert take(tree, "eth*").settings["metric"] == 0
