"""The user-data that we ship, in guests whose network the real cloud-init has configured: pasted, edited, booted.

Each test ends up with the same question: is the interface Holdfast's, with the address that the former client had,
and has anybody noticed? The texts are those of cloud-init/; only values on lines marked "# edit" are replaced.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.support.distribution import Distribution, sha256
from tests.support.firstboot import BY_NAME, TRUST, FirstBoot, snippet
from tests.support.guests import LINK, Nspawn, Terms, Variant, tree
from tests.support.userdata import FOLDER, edited

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.netns import MS_BIND, Namespace, mount

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

#: T1 is far away: what a test sees of DHCP is the take-over's and its own doing.
TERMS = Terms(lease_time=600)


# --- every file, without a guest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml")))
def test_the_real_schema(name: str) -> None:
    assert "Valid cloud-config" in in_the_tree(f"cloud-init schema --config-file {name}", FOLDER)


# --- first boots -------------------------------------------------------------------------------------------------


CELLS = [
    (name, variant)
    for name in ("user-data-package-url.yaml", "user-data-apt.yaml", "user-data-pip.yaml")
    for variant in ("netplan", "ifupdown", "networkmanager")
]


@pytest.mark.parametrize(("name", "variant"), [*CELLS, ("user-data-package-url.yaml", "networkd")])
def test_first_boot(name: str, variant: Variant, distribution: Distribution, tmp_path: Path) -> None:
    seed = {"user-data": snippet(name, distribution, tmp_path), "network-config": BY_NAME}
    with Nspawn(variant, seed=seed, terms=TERMS, files=TRUST) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        events = guest.net.watch()
        boot.assert_taken_over()
        boot.assert_no_gap()
        assert events.events("address-") == []
        assert guest.net.packets.sent("DISCOVER", since=boot.began) == [], "a take-over asks nothing anew"


def test_beside_user_data_of_ones_own(distribution: Distribution, tmp_path: Path) -> None:
    """The variant for merging, made one with another's user-data by the command that it names."""
    own = tmp_path / "YOURS"
    own.write_text("#cloud-config\nwrite_files:\n  - {path: /etc/own, content: 'yes'}\nruncmd:\n  - touch /run/own\n")
    merged = tmp_path / "user-data-merge.yaml"
    merged.write_text(snippet("user-data-merge.yaml", distribution, tmp_path))
    command = next(line for line in merged.read_text().splitlines() if "make-mime" in line).lstrip("# ")
    seed = {"user-data": in_the_tree(command.partition(" >")[0], tmp_path), "network-config": BY_NAME}
    with Nspawn("netplan", seed=seed, terms=TERMS) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        boot.assert_taken_over()
        boot.assert_no_gap()
        assert guest.pull("/etc/own") == b"yes"
        guest.run(["test", "-e", "/run/own"], check=True)


@pytest.mark.parametrize(("name", "own"), [("vendor-data.yaml", "{}"), ("vendor-data.sh", "runcmd: [touch /run/own]")])
def test_vendor_data(name: str, own: str, distribution: Distribution, tmp_path: Path) -> None:
    """Of the cloud's operator; the script is run whatever the user's own user-data says."""
    vendor = snippet(name, distribution, tmp_path)
    seed = {"user-data": f"#cloud-config\n{own}\n", "vendor-data": vendor, "network-config": BY_NAME}
    with Nspawn("networkd", seed=seed, terms=TERMS) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        boot.assert_taken_over()
        boot.assert_no_gap()
        assert (guest.run(["test", "-e", "/run/own"]).returncode == 0) == ("own" in own)


def in_the_tree(command: str, folder: Path) -> str:
    """What a command prints that is run in a folder, with the guests' programs."""
    root = tree().root
    with Namespace("tree", private_files=False) as space:
        space.run(lambda: mount(str(folder), str(root / "mnt"), None, MS_BIND))
        words = ["chroot", str(root), "sh", "-c", f"cd /mnt && {command}"]
        done = space.popen(words, stdout=subprocess.PIPE, text=True)
        said, _ = fair_time.communicate(done, 60)
    assert done.returncode == 0, said
    return str(said)


# --- when it goes wrong ------------------------------------------------------------------------------------------


def assert_failed(boot: FirstBoot, *words: str) -> None:
    """It is told, and networkd has the interface as before."""
    boot.assert_failed(*words)
    assert "configured" in boot.guest.run(["networkctl", "status", LINK]).stdout


def test_another_package_than_the_one_meant(distribution: Distribution, tmp_path: Path) -> None:
    (tmp_path / "other.deb").write_bytes(b"!<arch>")
    seed = {"user-data": edited("user-data-package-url.yaml", "http://10.77.0.1/other.deb", "0" * 64),
            "network-config": BY_NAME}
    with Nspawn("netplan", seed=seed, terms=TERMS) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        assert_failed(boot, "other.deb has SHA-256", "nothing was changed")
        assert guest.run(["which", "holdfast"]).returncode != 0


@pytest.mark.parametrize("wrong", ["another wheel", "no hash", "a dependency is not named", "as printed"])
def test_pip_installs_nothing_that_is_not_named_by_its_hash(
    wrong: str, distribution: Distribution, tmp_path: Path
) -> None:
    user_data = snippet("user-data-pip.yaml", distribution, tmp_path)
    click = re.search(r"^ *click==.*\n", user_data, re.MULTILINE)
    assert click is not None
    if wrong == "another wheel":
        wheel = tmp_path / "simple" / "holdfast-dhcp" / distribution.wheel.name
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("holdfast/stranger.py", "")
        index = wheel.parent / "index.html"
        index.write_text(index.read_text().replace(sha256(distribution.wheel), sha256(wheel)))
    elif wrong == "no hash":
        user_data = user_data.replace(click[0], click[0].partition(" --hash")[0] + "\n")
    elif wrong == "a dependency is not named":
        user_data = user_data.replace(click[0], "")
    else:
        user_data = edited("user-data-pip.yaml", "http://10.77.0.1/simple", None)
    seed = {"user-data": user_data, "network-config": BY_NAME}
    with Nspawn("netplan", seed=seed, terms=TERMS, files=TRUST) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        assert_failed(boot, "pip could not install what /run/holdfast-requirements.txt names")
        assert guest.run(["which", "holdfast"]).returncode != 0
        assert guest.shell("ls /opt/holdfast/lib/python3*/site-packages | grep -i -e holdfast -e click || :") == ""


def test_a_repository_that_another_key_has_signed(distribution: Distribution, tmp_path: Path) -> None:
    """Nothing comes from it, nothing is half installed. There is no gpg, as in Debian's cloud images."""
    user_data = snippet("user-data-apt.yaml", distribution, tmp_path, key="stranger.asc")
    with Nspawn("netplan", seed={"user-data": user_data, "network-config": BY_NAME}, terms=TERMS) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        assert_failed(boot, "the package holdfast is not installed")
        assert "NO_PUBKEY" in guest.pull("/var/log/cloud-init-output.log").decode()
        assert guest.run(["which", "holdfast", "gpg"]).stdout == ""
        assert guest.shell("dpkg --audit; find / -xdev -name '*holdfast*_all*'") == ""


def test_a_take_over_that_no_server_confirms(distribution: Distribution, tmp_path: Path) -> None:
    """The lease is proven by a renewal before anything lasts; without an answer all is taken back."""
    seed = {"user-data": snippet("user-data-package-url.yaml", distribution, tmp_path), "network-config": BY_NAME}
    with Nspawn("netplan", seed=seed, terms=TERMS) as guest:
        boot = FirstBoot(guest)
        guest.net.drop_all()
        guest.net.serve_http(tmp_path)  # only now: the package comes after the server has gone silent
        assert_failed(boot, f"did not take {LINK} over")
        assert guest.run(["systemctl", "is-enabled", f"holdfast@{LINK}.service"]).stdout.strip() != "enabled"
