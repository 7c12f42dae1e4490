"""Images made by the real tools, diskimage-builder and mkosi of Debian 12, then looked at by the doctor and booted.

What they begin with is the guests' tree instead of a new debootstrap; everything else is theirs and ours.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.support.distribution import Distribution, sha256
from tests.support.firstboot import BY_NAME
from tests.support.guests import ROOT, Disk, File, Nspawn, Terms, Variant, tree
from tests.support.guests.install import UNHURRIED
from tests.support.guests.variants import seed_files, variant_files
from tests.support.images import ImageRoot
from tests.support.workshop import Workshop

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

RECIPES = ROOT / "packaging" / "image"
SEED = seed_files({"user-data": "#cloud-config\n{}\n", "network-config": BY_NAME})
#: What diskimage-builder's own element for Debian writes for the links that it knows: a second client, if it ran.
INTERFACES = {"/etc/network/interfaces.d/ens3": File("auto ens3\niface ens3 inet dhcp\n")}
#: An element that stands for debian-minimal. The tar needs no disk, so no loop device is made for one, of which
#: disk-image-create is told by the files that it would have written itself.
ELEMENT = {
    "element-deps": File("dpkg\nsysprep\n"),
    "element-provides": File("operating-system\n"),
    "environment.d/10-tree.bash": File(
        "export DISTRO_NAME=debian DIB_RELEASE=bookworm DIB_INIT_SYSTEM=systemd DIB_PYTHON_VERSION=3\n"
    ),
    "root.d/10-tree": File(
        '#!/bin/sh\nset -eu\n'
        'tar -C /mnt --exclude "./boot/*" --exclude "./usr/lib/modules/*" --exclude "./var/cache/apt/*.bin" -c . |\n'
        '    sudo tar -C "$TARGET_ROOT" --numeric-owner -x\n'
        'sudo cp --recursive --no-dereference /srv/files/. "$TARGET_ROOT"\n',
        0o755,
    ),
    "block-device.d/10-none": File(
        "#!/usr/bin/python3\nimport json, os, pickle\nbuild = os.environ['TMP_BUILD_DIR']\n"
        "os.mkdir(f'{build}/mnt')\nstates = f'{build}/states/block-device'\n"
        "json.dump({'blockdev': {'image0': {'image': '', 'device': ''}}}, open(f'{states}/state.json', 'w'))\n"
        "pickle.dump([], open(f'{states}/nodes.pickle', 'wb'))\nprint('IMAGE_BLOCK_DEVICE=none')\n",
        0o755,
    ),
}


def test_disk_image_create(distribution: Distribution, tmp_path: Path) -> None:
    with Workshop() as shop:
        shop.bring(RECIPES / "dib", "/srv/dib")
        shop.bring(distribution.deb, f"/srv/{distribution.deb.name}")
        shop.put(ELEMENT, "elements/guests-tree")
        shop.put({**variant_files("ifupdown", configured=False), **SEED, **INTERFACES}, "files")
        environment = {
            "ELEMENTS_PATH": "/srv/dib:/srv/elements", "DIB_HOLDFAST_PACKAGE": f"/srv/{distribution.deb.name}",
            "TMP_DIR": "/srv", "DIB_NO_TIMESTAMP": "1",
        }
        command = ["disk-image-create", "-n", "-t", "tar", "-o", "guest", "guests-tree", "cloud-init"]
        done = shop.build([*command, "holdfast"], env=environment | {"DIB_HOLDFAST_SHA256": sha256(distribution.deb)})
        said = done.stdout.decode()
        assert done.returncode == 0, said[-4000:]
        assert "started by the list, for en* eth*" in said
        disk = tmp_path / "disk"
        disk.mkdir()
        (tmp_path / "names").write_text("\0".join(changed(shop.work / "guest.tar")))
        unpack = ["tar", "-xf", str(shop.work / "guest.tar"), "--numeric-owner", "--xattrs", "--xattrs-include=*"]
        names = ["--no-recursion", "--null", "--files-from", str(tmp_path / "names")]
        subprocess.run([*unpack, "--directory", str(disk), *names], check=True)
    assert_serves("ifupdown", disk)


def test_the_element_refuses_another_package_than_was_meant(distribution: Distribution, tmp_path: Path) -> None:
    """Before anything of it is in the image."""
    script = RECIPES / "dib" / "holdfast" / "extra-data.d" / "50-holdfast"
    means = {"DIB_HOLDFAST_PACKAGE": str(distribution.deb), "DIB_HOLDFAST_SHA256": "0" * 64}
    environment = {**os.environ, "TMP_HOOKS_PATH": str(tmp_path), **means}
    done = subprocess.run([str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{distribution.deb.name}: FAILED" in done.stdout + done.stderr


def test_mkosi(distribution: Distribution, tmp_path: Path) -> None:
    with Workshop() as shop:
        shop.bring(RECIPES / "mkosi" / "mkosi.postinst", "/srv/mkosi.postinst")
        shop.bring(RECIPES / "bake.sh", "/srv/mkosi.extra/opt/holdfast-bake/bake.sh")
        shop.bring(distribution.deb, f"/srv/mkosi.extra/opt/holdfast-bake/{distribution.deb.name}")
        shop.put({**variant_files("networkd", configured=False), **SEED}, "mkosi.extra")
        shop.put({
            "mkosi.conf": File(  # nothing answers there: what is needed is in the base
                "[Distribution]\nDistribution=debian\nRelease=bookworm\nMirror=http://127.0.0.1:9/debian\n"
                "[Output]\nFormat=directory\nOutput=guest\n[Content]\nBaseImage=/mnt\nWithDocs=yes\n"
            ),
            "mkosi.skeleton/etc/apt/apt.conf.d/90offline": File('Acquire::Retries "0";\n'),
        })
        done = shop.build(["mkosi", "--nspawn-keep-unit", "build"])
        said = done.stdout.decode()
        assert done.returncode == 0, said[-4000:]
        disk = tmp_path / "disk"
        subprocess.run(["cp", "--archive", str(shop.work / "guest"), str(disk)], check=True)
    assert not (disk / "opt/holdfast-bake").exists()
    assert_serves("networkd", disk)


def changed(archive: Path) -> list[str]:
    """What a disk has on top of the tree when a guest is to have what is in this tar: folders, and what differs."""
    names = []
    with tarfile.open(archive) as members:
        for member in members:
            try:
                was = os.lstat(tree().root / member.name)
                same = (stat.S_IMODE(was.st_mode), int(was.st_mtime)) == (member.mode, member.mtime)
            except FileNotFoundError:
                same = False
            if member.isdir() or not (same and (was.st_size == member.size or not member.isreg())):
                names.append(member.name)
    return names


def assert_serves(variant: Variant, disk: Path) -> None:
    """The doctor has nothing to say; and the booted image has its address from the one client that is in it."""
    with ImageRoot("bare", layers=[disk]) as image:
        status, said = image.doctor()
    assert status == 0, said
    with Nspawn(variant, terms=Terms(lease_time=600), disk=Disk(disk), files=UNHURRIED) as guest:
        assert guest.wait_booted() == "running", guest.shell("systemctl --failed; systemctl list-jobs")
        assert guest.wait_address()
        assert {seen.kind for seen in guest.net.packets.sent()} == {"DISCOVER", "REQUEST"}
        assert guest.run(["holdfast", "doctor"]).returncode == 0
    shutil.rmtree(disk)
