"""The blocks of the README's section "Install", run in guests as they are printed. The first is in test_baked.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.distribution import Distribution, python_index
from tests.support.firstboot import BY_NAME, FirstBoot
from tests.support.guests import LINK, ROOT, File, Guest, Nspawn, Terms
from tests.support.userdata import edit, readme_blocks

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

TERMS = Terms(lease_time=600)
#: The guests' root needs no sudo, and has none.
SUDO = {"/usr/local/sbin/sudo": File('#!/bin/sh\nexec "$@"\n', 0o755)}


def test_there_are_four() -> None:
    assert len(readme_blocks("Install")) == 4


def test_by_user_data(distribution: Distribution, tmp_path: Path) -> None:
    with Nspawn("bare", terms=TERMS) as elsewhere:  # from where the package can be fetched, as at a user's desk
        url = elsewhere.net.serve_http(distribution.deb.parent) + distribution.deb.name
        block = edit(readme_blocks("Install")[1], url)
        elsewhere.shell("ip address add 10.77.0.9/24 dev ens3; ip link set ens3 up")
        elsewhere.push_tree(ROOT / "cloud-init", "/root/cloud-init")
        elsewhere.shell(f"cd /root\n{block}")
        user_data = elsewhere.pull("/root/user-data").decode()
    with Nspawn("netplan", terms=TERMS, seed={"user-data": user_data, "network-config": BY_NAME}) as guest:
        guest.net.serve_http(distribution.deb.parent)
        boot = FirstBoot(guest)
        boot.assert_taken_over()
        boot.assert_no_gap()


def test_by_package(distribution: Distribution) -> None:
    with Nspawn("ifupdown", terms=TERMS, files=SUDO) as guest:
        guest.wait_booted()
        boot = FirstBoot(guest)
        guest.push(f"/root/{distribution.deb.name}", distribution.deb.read_bytes())
        install, dry, real = (
            f"sudo apt-get install -y ./{distribution.deb.name}", f"sudo holdfast takeover {LINK} --dry-run",
            f"sudo holdfast takeover {LINK}",
        )
        guest.shell(f"cd /root\nset -e\n{edit(readme_blocks('Install')[2], install, dry, real)}", timeout=120)
        boot.assert_serves()
        boot.assert_no_gap()


def test_by_hand(distribution: Distribution, tmp_path: Path) -> None:
    """In the foreground; what pip needs comes from an index in the guest's network."""
    python_index(tmp_path, *distribution.dependencies)
    pip = {"/etc/pip.conf": File("[global]\ntrusted-host = 10.77.0.1\nindex-url = http://10.77.0.1/simple\n")}
    with Nspawn("networkd", terms=TERMS, files={**SUDO, **pip}) as guest:
        guest.net.serve_http(tmp_path)
        guest.wait_booted()
        boot = FirstBoot(guest)
        for path in (distribution.wheel, distribution.requirements):
            guest.push(f"/root/dist/{path.name}", path.read_bytes())
        *before, last = edit(readme_blocks("Install")[3], None, f"sudo holdfast run {LINK} --takeover").splitlines()
        guest.shell("cd /root\nset -e\n" + "\n".join(before), timeout=120)
        guest.shell('systemd-run --quiet --unit=terminal sh -c "$1"', last)
        guest.wait(lambda: serves(guest, boot.address), 60, "Holdfast serves the link")
        boot.assert_no_gap()


def serves(guest: Guest, address: str) -> bool:
    """Whether an agent holds the address."""
    return address in guest.run(["/usr/local/bin/holdfast", "status", LINK]).stdout
