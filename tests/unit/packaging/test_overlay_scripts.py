"""The generator and the fallback: shell scripts that work without Python, run here with another root and PATH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from holdfast.state import identity

SYSTEMD = Path(__file__).parents[3] / "packaging" / "systemd"
DATA = Path(__file__).parents[2] / "data"
#: Programs of the system that the scripts use; no Python among them.
COREUTILS = ("cat", "cut", "grep", "head", "ln", "ls", "mkdir", "mv", "rm", "rmdir", "sed", "sha256sum", "sort", "tr")
LINES = {
    "link\tens3\t/run/systemd/network/05-x.network": "run/systemd/network/05-x.network",
    "file\tens3\t/run/systemd/network/05-x.network.d/99.conf": "run/systemd/network/05-x.network.d/99.conf",
    "file\ten*\t/run/NetworkManager/system-connections/x": "run/NetworkManager/system-connections/x",
}


class Scripts:
    """A root, and programs that write down how they were called."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin, self.calls = root / "root", root / "bin", root / "calls"
        self.root.mkdir()
        self.bin.mkdir()
        self.calls.touch()
        for name in COREUTILS:
            (self.bin / name).symlink_to(f"/bin/{name}")
        for name in ("systemctl", "networkctl", "nmcli", "ip", "ifup"):
            self.program(name, "")

    def program(self, name: str, body: str) -> None:
        """One that is found in PATH."""
        file = self.bin / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.calls}"\n{body}\n')
        file.chmod(0o755)

    def put(self, path: str, text: str = "", mode: int = 0o644) -> None:
        """One file of the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def run(self, script: str, *words: str, units: str = "", **environment: str) -> None:
        """Run it as it is, but for its PATH, and ``units`` as user-data for pip writes it; it must succeed."""
        text = (SYSTEMD / script).read_text().replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin\n", f"PATH={self.bin}\n", 1)
        assert f"PATH={self.bin}\n" in text
        text = text.replace("units=/usr/lib/systemd/system", units) if units else text
        done = subprocess.run(["/bin/sh", "-s", "--", *words], input=text, text=True, capture_output=True, timeout=60,
                              env={"HOLDFAST_ROOT": str(self.root), **environment}, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path)


@pytest.fixture
def units(scripts: Scripts, tmp_path: Path) -> Path:
    """Holdfast is installed; the folder of generated units."""
    scripts.put("usr/lib/holdfast/overlay", mode=0o755)
    scripts.put("usr/lib/systemd/system/holdfast-overlay.service")
    folder = tmp_path / "generated"
    folder.mkdir()
    return folder


def wanted(units: Path) -> list[str]:
    return sorted(os.listdir(units / "multi-user.target.wants")) if (units / "multi-user.target.wants").exists() else []


def test_names_have_an_agent_each_and_patterns_one_for_all(scripts: Scripts, units: Path) -> None:
    scripts.put("etc/holdfast/links", "# cards\nens3\n\n  br-lan  # a bridge\nen*\neth[0-3]\nwl?")
    scripts.run("holdfast-generator", str(units))
    assert wanted(units) == ["holdfast-overlay.path", "holdfast-overlay.service", "holdfast.service",
                             "holdfast@br-lan.service", "holdfast@ens3.service"]
    assert (units / "multi-user.target.wants/holdfast@ens3.service").readlink() == Path(
        "/usr/lib/systemd/system/holdfast@.service")
    drop_in = (units / "holdfast@ens3.service.d/50-overlay.conf").read_text().splitlines()
    assert drop_in == ["[Unit]", "Requires=holdfast-overlay.service", "After=holdfast-overlay.service",
                       "Wants=holdfast-fallback@ens3.timer"]
    waiting = units / "network-online.target.wants/holdfast-wait-online.service"
    assert waiting.readlink() == Path("/usr/lib/systemd/system/holdfast-wait-online.service")
    assert "Wants=holdfast-fallback@:all.timer" in (units / "holdfast.service.d/50-overlay.conf").read_text()


@pytest.mark.parametrize(("text", "made"), [
    ("auto lo\nsource-directory /run/network/interfaces.d\n", True), ("source /etc/network/interfaces.d/*\n", False),
])
def test_stanzas_below_run_are_overlaid_before_ifup(scripts: Scripts, units: Path, text: str, made: bool) -> None:
    scripts.put("etc/holdfast/links", "ens3\n")
    scripts.put("etc/network/interfaces", text)
    scripts.run("holdfast-generator", str(units))
    for unit in ("networking.service", "ifup@.service"):
        drop_in = units / f"{unit}.d/50-holdfast-overlay.conf"
        assert drop_in.exists() == made
        assert not made or "ExecStartPre=-+/usr/bin/timeout 5 /usr/lib/holdfast/overlay\n" in drop_in.read_text()


@pytest.mark.parametrize("units_folder", ["usr/lib/systemd/system", "etc/systemd/system"])
def test_before_networkmanager_no_stage_of_cloud_init_waits(
    scripts: Scripts, units: Path, tmp_path: Path, units_folder: str
) -> None:
    shipped = (SYSTEMD / "holdfast-wait-online.service").read_text()
    (tmp_path / "early").mkdir()
    scripts.put("etc/holdfast/links", "ens3\n")
    for unit in ("holdfast-wait-online.service", "holdfast-overlay.service"):
        scripts.put(f"{units_folder}/{unit}", shipped)
    scripts.put("etc/systemd/system/multi-user.target.wants/x")
    (scripts.root / "etc/systemd/system/multi-user.target.wants/NetworkManager.service").symlink_to("/dev/null")
    scripts.run("holdfast-generator", str(units), str(tmp_path / "early"), units=f"units=/{units_folder}")
    folder = tmp_path / "early" if units_folder.startswith("etc") else units
    before = "Before=cloud-init.service cloud-init-network.service\n"
    assert before in shipped
    assert (folder / "holdfast-wait-online.service").read_text() == shipped.replace(before, "")


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n \n", "a b\n", "../x\n", "$(touch x)\n", "a;b\n", ".\n..\n"])
def test_a_list_that_names_nothing_generates_nothing(scripts: Scripts, units: Path, text: str) -> None:
    scripts.put("etc/holdfast/links", text)
    scripts.run("holdfast-generator", str(units))
    assert [name for name in wanted(units) if "@" in name or name == "holdfast.service"] == []
    assert list(units.rglob("x")) == []


@pytest.mark.parametrize("gone", ["etc/holdfast/links", "usr/lib/holdfast/overlay",
                                  "usr/lib/systemd/system/holdfast-overlay.service"])
def test_without_a_list_or_a_whole_package_nothing_is_generated(scripts: Scripts, units: Path, gone: str) -> None:
    scripts.put("etc/holdfast/links", "ens3\n")
    (scripts.root / gone).unlink()
    scripts.run("holdfast-generator", str(units))
    assert list(units.iterdir()) == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_machines_uuid_is_handed_over(scripts: Scripts, units: Path, listed: bool) -> None:
    scripts.put(identity.PRODUCT_UUID[1:], "6a1b3ab6\n")
    if listed:
        scripts.put("etc/holdfast/links", "ens3\n")
    scripts.run("holdfast-generator", str(units))
    for unit in ("holdfast.service", "holdfast@.service"):
        # Where the file cannot be read, the agent starts all the same.
        assert (units / f"{unit}.d/50-uuid.conf").read_text() == (
            f"[Service]\nLoadCredential={identity.UUID_CREDENTIAL}:{identity.PRODUCT_UUID}\n"
            f"SetCredential={identity.UUID_CREDENTIAL}:\\x20\n")


@pytest.mark.parametrize("how", ["variable", "file", "no DMI"])
def test_a_containers_uuid_is_its_hosts_and_not_handed_over(scripts: Scripts, units: Path, how: str) -> None:
    if how != "no DMI":
        scripts.put(identity.PRODUCT_UUID[1:], "6a1b3ab6\n")
    if how == "file":
        scripts.put("run/systemd/container", "lxc")
    variables = {"SYSTEMD_VIRTUALIZATION": "container:systemd-nspawn"} if how == "variable" else {}
    scripts.run("holdfast-generator", str(units), **variables)
    assert list(units.iterdir()) == []


@pytest.fixture
def overlay(scripts: Scripts) -> Scripts:
    scripts.put("run/holdfast-overlay/entries", "".join(f"{line}\n" for line in LINES))
    for path in LINES.values():
        scripts.put(path)
    for link in ("ens3", "ens4", "lo"):
        scripts.put(f"sys/class/net/{link}")
    scripts.program("systemctl", 'case $1 in is-active) echo failed; exit 3 ;; esac')
    scripts.program("sleep", "")
    return scripts


def there(scripts: Scripts) -> list[str]:
    return [path for path in LINES.values() if (scripts.root / path).exists()]


def calls(scripts: Scripts) -> list[str]:
    """What was changed, in order."""
    seen = ("ip ", "sleep ", "systemctl is-")
    return [line for line in scripts.calls.read_text().splitlines() if not line.startswith(seen)]


def test_an_agent_that_did_not_come_up_loses_its_link_to_the_manager(overlay: Scripts) -> None:
    overlay.run("fallback", "ens3")
    assert there(overlay) == [LINES["file\ten*\t/run/NetworkManager/system-connections/x"]]
    assert not (overlay.root / "run/systemd/network/05-x.network.d").exists()
    assert calls(overlay) == [
        "systemctl stop holdfast@ens3.service", "networkctl reload", "networkctl reconfigure ens3"]
    entries = (overlay.root / "run/holdfast-overlay/entries").read_text()
    assert entries == "file\ten*\t/run/NetworkManager/system-connections/x\n"
    assert (overlay.root / "run/holdfast-overlay/fallen/ens3").exists()


def test_networkd_is_not_asked_twice_where_its_lease_comes(overlay: Scripts) -> None:
    """It lost the address in the middle of the first one's lease, and asked no more (systemd 252)."""
    overlay.program("sleep", f"touch {overlay.root}/leased")
    overlay.program("ip", f'[ ! -e {overlay.root}/leased ] || echo "2: ens3 inet 192.0.2.9/24 dynamic ens3"')
    (overlay.bin / "touch").symlink_to("/bin/touch")
    overlay.run("fallback", "ens3")
    assert calls(overlay) == ["systemctl stop holdfast@ens3.service", "networkctl reload"]


def test_a_pattern_is_given_back_for_all_links_that_fit(overlay: Scripts) -> None:
    overlay.put("run/systemd/generator/multi-user.target.wants/x")
    (overlay.root / "run/systemd/generator/multi-user.target.wants/holdfast@ens3.service").symlink_to("/dev/null")
    overlay.run("fallback", ":all")
    assert there(overlay) == list(LINES.values())[:2], "a link with an agent of its own has a fallback of its own"
    assert calls(overlay) == [
        "systemctl stop holdfast.service", "systemctl reload NetworkManager.service", "nmcli connection reload",
        "nmcli device connect ens3", "nmcli device connect ens4"]


def test_a_link_that_is_served_is_left_alone(overlay: Scripts) -> None:
    overlay.program("systemctl", "echo active")
    overlay.run("fallback", "ens3")
    overlay.run("fallback", ":all")
    overlay.program("systemctl", "echo activating; exit 3")
    overlay.program("ip", 'echo "2: ens3 inet 192.0.2.9/24 scope global dynamic ens3"')
    overlay.run("fallback", "ens3")
    overlay.run("fallback", ":all")
    assert there(overlay) == list(LINES.values())
    assert calls(overlay) == []


def test_of_a_failed_overlay_nothing_stays(overlay: Scripts) -> None:
    overlay.run("fallback", ":failed", SERVICE_RESULT="success")
    assert there(overlay) == list(LINES.values())
    overlay.run("fallback", ":failed", SERVICE_RESULT="timeout")
    assert there(overlay) == []
    assert (overlay.root / "run/holdfast-overlay/entries").read_text() == ""
    assert calls(overlay) == [], "the managers start afterwards"


def test_before_a_removal_all_managers_do_dhcp_again(overlay: Scripts) -> None:
    overlay.run("fallback", ":removed")
    assert there(overlay) == []
    assert calls(overlay) == [
        "systemctl reload NetworkManager.service", "nmcli connection reload", "nmcli device connect ens3",
        "nmcli device connect ens4", "nmcli device connect ens3", "networkctl reload", "networkctl reconfigure ens3",
        "networkctl reconfigure ens4", "networkctl reconfigure ens3"]


def test_before_a_removal_the_files_of_former_images_go(scripts: Scripts) -> None:  # rule 53
    """Those of 0.1 keep managers off; not one that somebody has changed."""
    for file in sorted((DATA / "0.1.0/image").rglob("*")):
        if file.is_file():
            scripts.put(str(file.relative_to(DATA / "0.1.0/image")), file.read_text())
    scripts.put("etc/NetworkManager/conf.d/90-holdfast.conf", "# mine\n")
    scripts.run("fallback", ":removed")
    left = [str(path.relative_to(scripts.root)) for path in scripts.root.rglob("*") if path.is_file()]
    assert left == ["etc/NetworkManager/conf.d/90-holdfast.conf"]


UUID = "5f0e0f43-4e43-4b4b-9d5d-0d8e2b1c9b00"
PROFILE = f"[connection]\nid=x\nuuid={UUID}\n{{}}\n[ipv4]\nmethod=disabled\n[ipv6]\nmethod={{}}\n"
SHADOW = "run/NetworkManager/system-connections/holdfast-x-ens3.nmconnection"


@pytest.fixture
def devices(scripts: Scripts) -> Scripts:
    """Two cards; the overlay has a profile for NetworkManager, and an agent has given the link an address."""
    for index, link in enumerate(("ens3", "ens4"), 2):
        scripts.put(f"sys/class/net/{link}/ifindex", f"{index}\n")
        scripts.put(f"sys/class/net/{link}/address", f"fa:16:3e:00:00:0{index}\n")
    scripts.put("run/holdfast-overlay/entries", f"file\tens3\t/run/x.conf\nfile\tens3\t/{SHADOW}\n")
    scripts.put(SHADOW, PROFILE.format("", "auto"))
    scripts.program("ip", 'case $* in "-4"*) echo "2: inet 192.0.2.9/24" ;; esac')
    return scripts


def states(scripts: Scripts) -> dict[str, str]:
    folder = scripts.root / "run/NetworkManager/devices"
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}


def test_networkmanager_is_told_which_profile_is_active(devices: Scripts) -> None:
    devices.run("overlay-devices")
    assert states(devices) == {"2": f"[device]\nmanaged=true\nconnection-uuid={UUID}\nnm-owned=false\n"}
    devices.put("run/NetworkManager/devices/2", "its own")
    devices.run("overlay-devices")
    assert states(devices) == {"2": "its own"}, "one that has run knows by itself"


@pytest.mark.parametrize(("said", "links"), [
    ("", ["2", "3"]), ("interface-name=ens4", ["3"]), ("[ethernet]\nmac-address=FA:16:3E:00:00:03", ["3"]),
])
def test_of_a_pattern_each_link_has_its_own_profile(devices: Scripts, said: str, links: list[str]) -> None:
    devices.put("run/holdfast-overlay/entries", f"file\ten*\t/{SHADOW}\n")
    devices.put(SHADOW, PROFILE.format(said, "auto"))
    devices.run("overlay-devices")
    assert sorted(states(devices)) == links


def test_a_link_without_an_address_is_networkmanagers_to_activate(devices: Scripts) -> None:
    devices.program("ip", "")
    devices.run("overlay-devices")
    assert states(devices) == {}


def test_the_mtu_of_the_profile_is_set(devices: Scripts) -> None:
    devices.put(SHADOW, PROFILE.format("[ethernet]\nmtu=1450", "auto"))
    devices.run("overlay-devices")
    assert "ip link set dev ens3 mtu 1450" in scripts_calls(devices, "ip")


def scripts_calls(scripts: Scripts, program: str) -> list[str]:
    return [line for line in scripts.calls.read_text().splitlines() if line.startswith(f"{program} ")]


def test_a_record_of_others_removes_nothing_elsewhere(overlay: Scripts) -> None:
    overlay.put("etc/passwd", "root")
    overlay.put("run/holdfast-overlay/entries", "file\tens3\t/etc/passwd\nlink\tens3\t/run/../etc/passwd\n")
    overlay.run("fallback", "ens3")
    assert (overlay.root / "etc/passwd").read_text() == "root"
