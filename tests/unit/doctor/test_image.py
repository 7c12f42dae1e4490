"""What an image must have, and must not have."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.unit.doctor.helpers import SYSTEM, Image

from holdfast.cli.commands.doctor import command
from holdfast.doctor.finding import BAD, NOTE


def test_a_baked_image_is_in_order(image: Image) -> None:
    assert image.bad() == []
    assert {finding.check for finding in image.findings()} >= {
        "package", "user", "configuration", "unit", "wait-online", "clean-hook", "lease", "identity", "machine-id"}


def test_nothing_installed(image: Image) -> None:
    for path in ("/usr/lib/holdfast/agent", "/usr/lib/systemd/system/holdfast@.service",
                 "/var/lib/dpkg/info/holdfast.md5sums"):
        image.remove(path)
    assert ("package", "Holdfast is not installed; install its .deb or .rpm") in image.bad()


def test_a_changed_and_a_missing_file_of_the_package(image: Image) -> None:
    image.write("/usr/lib/holdfast/agent", "#!/bin/sh\n")
    assert [check for check, line in image.bad()] == ["package"]
    assert "agent" in image.bad()[0][1]
    image.remove("/usr/lib/holdfast/agent")
    assert [check for check, _ in image.bad()] == ["package"]


def test_without_a_list_of_checksums(image: Image) -> None:
    image.remove("/var/lib/dpkg/info/holdfast.md5sums")
    assert image.bad() == []
    assert any(finding.check == "package" and finding.status == NOTE for finding in image.findings())
    image.remove("/usr/lib/holdfast/agent")  # by pip: units below /etc and nothing below /usr/lib/holdfast
    assert image.bad() == []


def test_no_user(image: Image) -> None:
    image.remove("/usr/lib/sysusers.d/holdfast.conf")
    assert [check for check, _ in image.bad()] == ["user"]
    image.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nholdfast:x:999:999::/:/bin/false\n")
    assert image.bad() == []


def test_no_unit_enabled(image: Image) -> None:
    image.remove(f"{SYSTEM}/multi-user.target.wants/holdfast.service")
    assert [check for check, _ in image.bad()] == ["unit"]
    image.enable("holdfast@eth0.service")
    assert image.bad() == []
    image.link(f"{SYSTEM}/holdfast@.service", "/dev/null")
    assert image.bad() == [("unit", "holdfast@.service is masked; systemctl unmask holdfast@.service, and enable it")]


def test_enabled_and_nothing_to_serve(image: Image) -> None:
    image.remove("/etc/holdfast/holdfast.d/50-image.toml")
    assert [check for check, _ in image.bad()] == ["unit"]
    assert "names no link" in image.bad()[0][1]
    image.write("/etc/holdfast/holdfast.toml", "[interfaces.eth0]\n")
    assert image.bad() == []


def test_a_wrong_configuration_is_named(image: Image) -> None:
    image.write("/etc/holdfast/holdfast.toml", "[agent]\nserv = []\n")
    checks = dict(image.bad())
    assert "/etc/holdfast/holdfast.toml" in checks["configuration"]
    assert "serv" in checks["configuration"]


def test_a_fixed_client_id(image: Image) -> None:
    image.write("/etc/holdfast/holdfast.toml", '[defaults]\nclient_id = "01:52:54:00:12:34:56"\n')
    assert [check for check, _ in image.bad()] == ["client-id"]
    for word in ("duid", "networkd:7"):
        image.write("/etc/holdfast/holdfast.toml", f'[defaults]\nclient_id = "{word}"\n')
        assert image.bad() == []


@pytest.mark.parametrize(("path", "check"), [
    ("/var/lib/holdfast/eth0.lease.json", "lease"), ("/var/lib/holdfast/eth0.lease.json.bad", "lease"),
    ("/var/lib/holdfast/eth0.outcomes.jsonl", "identity"), ("/var/lib/holdfast-takeover/eth0.json", "identity"),
])
def test_what_another_machine_left(image: Image, path: str, check: str) -> None:
    image.write(path, "{}")
    assert [found for found, _ in image.bad()] == [check]


def test_machine_id(image: Image) -> None:
    for text in ("", "uninitialized\n"):
        image.write("/etc/machine-id", text)
        assert image.bad() == []
    image.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    assert [check for check, _ in image.bad()] == ["machine-id"]
    image.write("/etc/machine-id", "")
    image.link("/var/lib/dbus/machine-id", "/etc/machine-id")
    assert image.bad() == []
    image.remove("/var/lib/dbus/machine-id")
    image.write("/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n")
    assert [check for check, _ in image.bad()] == ["machine-id"]


def test_the_hook_of_cloud_init(image: Image) -> None:
    image.write("/etc/cloud/clean.d/50-holdfast", "#!/bin/sh\n", 0o644)
    assert [check for check, _ in image.bad()] == ["clean-hook"]
    image.remove("/etc/cloud/clean.d/50-holdfast")
    assert [check for check, _ in image.bad()] == ["clean-hook"]
    image.remove("/usr/bin/cloud-init")
    assert image.bad() == []


def test_notes_are_not_bad(image: Image) -> None:
    image.remove(f"{SYSTEM}/network-online.target.wants/holdfast-wait-online.service")
    image.remove("/usr/sbin/dhclient")
    assert image.bad() == []
    assert {"wait-online", "cloud-init"} <= {finding.check for finding in image.findings() if finding.status == NOTE}


# --- the command -------------------------------------------------------------------------------------------------


def test_one_aligned_line_for_each_and_a_status(image: Image) -> None:
    done = CliRunner().invoke(command, ["--image", str(image.root)], standalone_mode=False)
    assert done.return_value == 0
    lines = done.output.splitlines()
    assert len(lines) == len(image.findings())
    column = lines[0].index("1 file is as it was installed")
    assert all(line[column - 2:column] == "  " and line[column] != " " for line in lines)
    image.write("/var/lib/holdfast/eth0.lease.json", "{}")
    assert CliRunner().invoke(command, ["--image", str(image.root)], standalone_mode=False).return_value == 1


def test_json(image: Image) -> None:
    done = CliRunner().invoke(command, ["--image", str(image.root), "--json"], standalone_mode=False)
    told = json.loads(done.output)
    assert (told["schema"], told["version"], told["verdict"]) == ("io.holdfast.doctor", 1, "ok")
    assert {finding["check"] for finding in told["findings"]} == {finding.check for finding in image.findings()}
    assert set(told["findings"][0]) == {"check", "verdict", "interface", "cause", "evidence", "todo"}


def test_a_root_that_is_none(image: Image) -> None:
    done = CliRunner().invoke(command, ["--image", str(image.root / "none")], standalone_mode=False)
    assert done.exception is not None
    assert "none cannot be read: No such file or directory" in str(done.exception)


def test_no_name_of_an_image_reaches_a_terminal_as_it_is(image: Image) -> None:
    image.write("/var/lib/holdfast/\x1b]0;owned\x07.lease.json", "{}")
    assert all(line.isprintable() for _, line in image.bad())
    assert image.bad()[0][0] == "lease"


def test_hostile_content_is_only_wrong(image: Image) -> None:
    (image.root / "etc/holdfast/holdfast.toml").write_bytes(b"\xff\x00[[[" * 1000)
    sums = b"\xff" * 5000 + b"\nx  \n" + b"0" * 32 + b"  ../../x\n"
    (image.root / "var/lib/dpkg/info/holdfast.md5sums").write_bytes(sums)
    image.link("/etc/systemd/network", "/proc/self/fd")
    image.link("/etc/NetworkManager", "../../../../../../etc")
    image.manager("NetworkManager.service")
    assert {finding.status for finding in image.findings()} >= {BAD}


# --- by the list of links ----------------------------------------------------------------------------------------


@pytest.fixture
def baked(image: Image) -> Image:
    """As packaging/image/bake.sh leaves it: a list, and no unit enabled."""
    image.remove(f"{SYSTEM}/multi-user.target.wants/holdfast.service")
    image.remove(f"{SYSTEM}/network-online.target.wants/holdfast-wait-online.service")
    image.remove("/etc/holdfast/holdfast.d/50-image.toml")
    image.write("/usr/lib/systemd/system-generators/holdfast-generator", "#!/bin/sh\n", 0o755)
    image.write("/etc/holdfast/links", "en*\neth*\n")
    return image


def texts(image: Image, check: str) -> list[str]:
    return [finding.line for finding in image.findings() if finding.check == check]


def test_an_image_with_a_list_is_in_order(baked: Image) -> None:
    assert baked.bad() == []
    assert texts(baked, "unit") == ["started by the list, for en* eth*"]
    assert texts(baked, "wait-online") == ["holdfast-wait-online.service is started by the list"]
    baked.write("/etc/holdfast/links", "a b\n")
    assert {check for check, _ in baked.bad()} == {"unit"}


def test_what_would_not_be_kept_is_named(baked: Image) -> None:
    baked.manager("NetworkManager.service")
    baked.write("/etc/NetworkManager/dispatcher.d/50-own", "#!/bin/sh\n", 0o755)
    assert baked.bad() == []
    assert any("50-own is no longer run for dhcp4-change" in line for line in texts(baked, "second-client"))
    baked.write("/etc/NetworkManager/system-connections/x",
                "[connection]\nuuid=1\ntype=ethernet\n[ipv4]\ndhcp-reject-servers=server\n")
    assert {line for _, line in baked.bad()} == {
        f"{links} stays with its former client: /etc/NetworkManager/system-connections/x: "
        "ipv4.dhcp-reject-servers=server is neither an IPv4 address nor a network; change that there"
        for links in ("en*", "eth*")}


def test_what_former_versions_keep_managers_off_with(image: Image) -> None:  # rule 53
    assert texts(image, "former") == []
    image.drop_in("etc/systemd/network/05-holdfast.network")
    image.drop_in("etc/NetworkManager/conf.d/90-holdfast.conf")
    assert [line.partition(",")[0] for line in texts(image, "former")] == [
        "/etc/systemd/network/05-holdfast.network", "/etc/NetworkManager/conf.d/90-holdfast.conf"]
