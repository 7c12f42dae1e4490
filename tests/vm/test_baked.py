"""Holdfast in an image: baked in a chroot and as Packer does, looked at by the doctor, booted, copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.distribution import Distribution
from tests.support.firstboot import BY_NAME
from tests.support.guests import ROOT, File, Guest, Nspawn, Qemu, Terms, Variant, client_id
from tests.support.guests.install import UNHURRIED
from tests.support.images import ImageRoot
from tests.support.userdata import edit, readme_blocks

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

RECIPES = ROOT / "packaging" / "image"
TERMS = Terms(lease_time=600)
SEED = {"user-data": "#cloud-config\n{}\n", "network-config": BY_NAME}


def bake_as_the_readme_says(image: ImageRoot, distribution: Distribution) -> None:
    """The first block of the section "Install"."""
    image.bring(distribution.deb, f"/var/tmp/{distribution.deb.name}")
    block = edit(readme_blocks("Install")[0], f"apt-get install -y ./{distribution.deb.name}")
    done = image.run(["sh", "-e", "-c", f"cd /var/tmp\n{block}"])
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    image.run(["rm", f"/var/tmp/{distribution.deb.name}"])


def assert_ready(image: ImageRoot) -> None:
    """The doctor of this working tree has nothing to say."""
    status, said = image.doctor()
    assert status == 0, said
    assert "BAD" not in said


@pytest.mark.parametrize("variant", ["netplan", "networkd", "ifupdown", "networkmanager"])
def test_a_baked_image(variant: Variant, distribution: Distribution, tmp_path: Path) -> None:
    with ImageRoot(variant, seed=SEED) as image:
        assert image.doctor()[0] == 1
        bake_as_the_readme_says(image, distribution)
        assert_ready(image)
        disk = image.disk()
        with Nspawn(variant, terms=TERMS, disk=disk, files=UNHURRIED) as guest:
            assert guest.wait_booted() == "running", guest.shell("systemctl --failed; systemctl list-jobs")
            address = guest.wait_address()
            assert "status: done" in guest.wait_cloud_init()
            assert_first(guest)
            sent = guest.net.packets.sent()
            asked = {(seen.kind, seen.xid) for seen in sent}  # a first word may be lost, and is said again
            assert [kind for kind, _xid in sorted(asked)] == ["DISCOVER", "REQUEST"], "one client, and it asked once"
            assert guest.run(["holdfast", "doctor"]).returncode == 0
            guest.reboot()
            assert guest.wait_booted() == "running"
            assert guest.wait_address() == address
            assert {client_id(seen) for seen in guest.net.packets.sent()} == {client_id(sent[0])}
            guest.shell("cloud-init clean --logs --machine-id")
            guest.power_off()
            (tmp_path / "disk").mkdir()
            copy = guest.keep_disk(tmp_path / "disk")
        with Nspawn(variant, terms=TERMS, disk=copy) as other:
            other.wait_address()
            assert other.net.packets.sent()[0].kind == "DISCOVER", "nothing of the first one is remembered"
    shutil.rmtree(tmp_path / "disk")


def assert_first(guest: Guest) -> None:
    """The agent was there before the network, the address before the network was online and, where its manager is, too,
    before cloud-init's network stage: instants of systemd's own."""

    def at(unit: str, what: str = "ActiveEnterTimestampMonotonic") -> int:
        return int(guest.run(["systemctl", "show", "--value", f"--property={what}", unit]).stdout)

    assert 0 < at("holdfast.service") <= at("network.target")
    assert 0 < at("holdfast-wait-online.service") <= at("network-online.target")
    if guest.variant != "networkmanager":
        assert at("holdfast-wait-online.service") <= at("cloud-init.service", "ExecMainStartTimestampMonotonic")


@pytest.mark.machine
@pytest.mark.ondemand
def test_baked_in_a_virtual_machine_as_packer_does(distribution: Distribution, tmp_path: Path) -> None:
    """The provisioner's script in a booted guest; then a machine from its disk, with another MAC and machine-id."""
    with Qemu("bare", terms=TERMS, seed={"user-data": "#cloud-config\n{}\n"}) as guest:
        assert "status: done" in guest.wait_cloud_init(240)
        for source in (distribution.deb, RECIPES / "bake.sh", RECIPES / "packer" / "holdfast.sh"):
            guest.push(f"/var/tmp/{source.name}", source.read_bytes())
        guest.run(["mv", "/var/tmp/holdfast.sh", "/root/script.sh"], check=True)
        guest.run(["sh", "/root/script.sh"], check=True, timeout=180)
        assert guest.run(["systemctl", "is-active", "holdfast.service"]).stdout == "inactive\n", "nothing was started"
        guest.power_off()
        (tmp_path / "disk").mkdir()
        disk = guest.keep_disk(tmp_path / "disk")
    with Qemu("bare", terms=TERMS, disk=disk) as copy:
        assert copy.wait_address(120)
        assert copy.wait_booted() == "running", copy.shell("systemctl --failed; systemctl list-jobs")
        assert_first(copy)
        assert copy.run(["holdfast", "doctor"]).returncode == 0
        assert copy.pull("/etc/machine-id").decode().strip() != guest.machine_id
    shutil.rmtree(tmp_path / "disk")


def test_the_doctor_tells_what_a_template_must_not_have(distribution: Distribution) -> None:
    """Of an image made from a guest that ran, and not cleaned."""
    with ImageRoot("networkmanager", seed=SEED) as image:
        bake_as_the_readme_says(image, distribution)
        image.run(["sh", "-c", "echo '{}' >/var/lib/holdfast/ens3.lease.json; echo 0123456789abcdef0123456789abcdef "
                               ">/etc/machine-id"])
        image.write({"/etc/NetworkManager/system-connections/x.nmconnection": File(
            "[connection]\nuuid=5f0e0f43-4e43-4b4b-9d5d-0d8e2b1c9b00\ntype=ethernet\n[ipv4]\ndhcp-client-id=stable\n",
            0o600)})
        status, said = image.doctor()
        bad = {line.split()[1] for line in said.splitlines() if line.startswith("BAD")}
        assert status == 1
        assert bad == {"lease", "machine-id", "second-client"}
        told = " ".join(said.split())  # lines are folded for the terminal
        assert "en* stays with its former client: /etc/NetworkManager/system-connections/x.nmconnection: " in told
        image.run(["holdfast", "clean"])
        assert "ens3.lease.json" not in image.doctor()[1]


def test_with_the_package_all_goes_that_is_no_configuration(distribution: Distribution) -> None:
    """Also a package without byte-code, because the disk was full, comes and goes."""
    with ImageRoot("networkd", seed=SEED, files={"/usr/bin/py3compile": File("#!/bin/sh\nexit 1\n", 0o755)}) as image:
        bake_as_the_readme_says(image, distribution)
        assert_ready(image)
        done = image.run(["apt-get", "remove", "--yes", "holdfast"])
        assert done.returncode == 0, done.stderr.decode()
        left = image.run(["find", "/etc", "-name", "*holdfast*", "-type", "f"]).stdout.decode().split()
        assert sorted(left) == [
            "/etc/apparmor.d/local/usr.lib.holdfast.agent", "/etc/apparmor.d/usr.lib.holdfast.agent",
            "/etc/cloud/clean.d/50-holdfast", "/etc/holdfast/holdfast.toml",
        ]


def test_links_of_an_image_do_not_lead_out_of_it(distribution: Distribution, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("0123456789abcdef0123456789abcdef\n")
    with ImageRoot("networkd", seed=SEED) as image:
        bake_as_the_readme_says(image, distribution)
        for target in (f"{tmp_path}/outside", f"{'../' * 30}{tmp_path}/outside"):
            image.run(["ln", "-sf", target, "/etc/machine-id"])
            assert_ready(image)  # there is no such file in the image
