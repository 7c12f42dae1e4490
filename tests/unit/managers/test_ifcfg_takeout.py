"""How DHCPv4 is taken out of ifcfg files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.managers.conftest import Put

from holdfast.managers import ifcfg
from holdfast.managers.formats import substitutions
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, File, Link, Takeout

PATH = f"{ifcfg.FOLDER}/ifcfg-eth0"


def take(tree: Tree) -> Takeout:
    found = ifcfg.takeout(tree, Link("eth0", "02:00:00:00:00:01"))
    assert found is not None
    return found


def copy(tree: Tree) -> str:
    file, bind = take(tree).entries
    assert isinstance(file, File)
    assert bind == Bind(PATH, file.path)
    return file.content.decode()


@pytest.mark.parametrize(("before", "after"), [
    ("BOOTPROTO=dhcp", "BOOTPROTO=none"), ("BOOTPROTO='dhcp'\r\nX=1\r\n", "BOOTPROTO=none\r\nX=1\r\n"),
    ("  BOOTPROTO=dhcp\t# why\n", "  BOOTPROTO=none\t# why\n"), ("export BOOTPROTO=bootp\n", "export BOOTPROTO=none\n"),
    ("#BOOTPROTO=dhcp\nMY_BOOTPROTO=dhcp\nBOOTPROTO=dhcp\n", "#BOOTPROTO=dhcp\nMY_BOOTPROTO=dhcp\nBOOTPROTO=none\n"),
    ("MTU=1450\nBOOTPROTO=dhcp\nIPADDR0=192.0.2.1\nIPV6ADDR=::1\n", "MTU=1450\nBOOTPROTO=none\nIPV6ADDR=::1\n"),
])
def test_one_word_changes(tree: Tree, put: Put, before: str, after: str) -> None:
    put(PATH, before)
    text = copy(tree)
    assert substitutions.original(text).encode() == before.encode()
    assert "\n".join(line for line in text.split("\n") if not line.startswith("#holdfast")) == after
    first = take(tree)
    put(PATH, text)
    assert take(tree) == first, "the mounted copy is read as the file"


def test_arguments_of_dhclient(tree: Tree, put: Put) -> None:
    put(PATH, "BOOTPROTO=dhcp\nDHCLIENTARGS='-1 -timeout 120 -B -H box -F box.example -V site -C ab'\n")
    found = take(tree)
    assert found.refusals == ()
    assert found.settings == {"metric": 0, "broadcast_flag": True, "hostname": "box", "fqdn": "box.example",
                              "vendor_class": "site", "client_id": "6162"}


def test_the_configuration_of_the_link_goes_before(tree: Tree, put: Put) -> None:
    put(PATH, "BOOTPROTO=dhcp\n")
    put("/etc/dhcp/dhclient.conf", 'send host-name "one";\n')
    assert take(tree).settings == {"metric": 0, "hostname": "one"}, "Enterprise Linux requests all that is used"
    put("/etc/dhcp/dhclient-eth0.conf", 'send host-name "two";\n')
    assert take(tree).settings["hostname"] == "two"


def test_settings(tree: Tree, put: Put) -> None:
    put(PATH, "HWADDR=02:00:00:00:00:01\nBOOTPROTO=dhcp\nPEERDNS=no\nDEFROUTE=no\nMETRIC=200\nDHCP_HOSTNAME=box\n"
              "DHCLIENTARGS='-q -I abc'\n")
    found = take(tree)
    assert found.settings == {"use_dns": False, "use_gateway": False, "metric": 200, "subnet_metric": 0,
                              "hostname": "box"}
    put(f"{ifcfg.FOLDER}/ifcfg-eth1", "BOOTPROTO=dhcp\n")
    put(PATH, "BOOTPROTO=dhcp\n")
    assert take(tree).settings == {"subnet_metric": 0}, "the kernel has one default route of a metric"
    put(f"{ifcfg.FOLDER}/ifcfg-eth1", "BOOTPROTO=none\n")
    assert take(tree).settings == {"metric": 0}
    assert found.refusals == (f"{PATH}: DHCLIENTARGS=-I abc cannot be honoured; take it out, or leave this link to "
                              "dhclient",)


def test_networkmanager_s_own_are_left_alone(tree: Tree, put: Put) -> None:
    put(PATH, "BOOTPROTO=dhcp\n")
    put("/etc/systemd/system/multi-user.target.wants/NetworkManager.service", "[Unit]\n")
    assert ifcfg.takeout(tree, Link("eth0")) is None
    put(PATH, "BOOTPROTO=dhcp\nNM_CONTROLLED=no\n")
    assert ifcfg.takeout(tree, Link("eth0")) is not None


def test_a_copy_is_as_secret_as_its_file(tree: Tree, put: Put, tmp_path: Path) -> None:
    put(PATH, "BOOTPROTO=dhcp\nKEY=secret\n")
    (tmp_path / PATH.lstrip("/")).chmod(0o600)
    file = take(tree).entries[0]
    assert isinstance(file, File)
    assert file.mode == 0o600
