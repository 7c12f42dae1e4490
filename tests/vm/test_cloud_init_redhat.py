"""The user-data for Red Hat's family, by real dnf from a real signed repository, in guests that are Debian beneath."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.distribution import Distribution, sha256
from tests.support.firstboot import BY_NAME, FirstBoot, snippet
from tests.support.guests import LINK, SERVER, Guest, Terms
from tests.support.redhat import SETTINGS, RedHat
from tests.support.repositories import repositories
from tests.support.userdata import edited

from holdfast.managers.networkmanager import STAND_IN

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

TERMS = Terms(lease_time=600)


def guest_told(user_data: str, distribution: Distribution, folder: Path) -> RedHat:
    """``folder`` also gets what the .rpm requires."""
    (folder / "base").symlink_to(repositories(distribution) / "base")
    seed = {"user-data": user_data, "network-config": BY_NAME}
    return RedHat("networkmanager", seed=seed, terms=TERMS, files=SETTINGS)


def main_pid(guest: Guest) -> str:
    """Of the agent; "0" when there is none."""
    return guest.shell(f"systemctl show --value --property=MainPID holdfast@{LINK}.service").strip()


def test_first_boot_from_a_repository(distribution: Distribution, tmp_path: Path) -> None:
    with guest_told(snippet("user-data-yum.yaml", distribution, tmp_path), distribution, tmp_path) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        events = guest.net.watch()
        boot.assert_taken_over()
        boot.assert_no_gap()
        assert events.events("address-") == []
        assert guest.net.packets.sent("DISCOVER", since=boot.began) == [], "a take-over asks nothing anew"
        came = guest.shell("rpm --query --all").split()
        pythons = [name.rpartition("-")[0].rpartition("-")[0] for name in came if name.startswith("python")]
        assert pythons == ["python3.12"], "of all that are new enough the one that the package suggests"


def test_a_package_that_another_key_has_signed(distribution: Distribution, tmp_path: Path) -> None:
    user_data = snippet("user-data-yum.yaml", distribution, tmp_path, key="stranger.asc")
    with guest_told(user_data, distribution, tmp_path) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        boot.assert_failed("the package holdfast is not installed")
        assert "GPG check FAILED" in guest.pull("/var/log/cloud-init-output.log").decode()
        assert "holdfast" not in guest.shell("rpm --query --all")
        assert guest.run(["which", "holdfast"]).returncode != 0


def test_one_package_and_its_later_life(distribution: Distribution, tmp_path: Path) -> None:
    """The .rpm by its URL; then an upgrade and the removal by dnf, while it serves what it has taken over."""
    rpm = distribution.rpm
    (tmp_path / rpm.name).write_bytes(rpm.read_bytes())
    user_data = edited("user-data-package-url.yaml", f"http://{SERVER}/{rpm.name}", sha256(rpm))
    with guest_told(user_data, distribution, tmp_path) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        events = guest.net.watch()
        boot.assert_taken_over()
        guest.push("/root/newer.rpm", distribution.newer_rpm.read_bytes())
        before = main_pid(guest)
        guest.run(["dnf", "--assumeyes", "upgrade", "/root/newer.rpm"], check=True)
        assert main_pid(guest) not in ("0", before)
        boot.assert_serves()
        guest.run(["dnf", "--assumeyes", "remove", "holdfast"], check=True)
        assert guest.run(["which", "holdfast"]).returncode != 0
        assert "connected" in guest.shell("nmcli --get-values GENERAL.STATE device show $1", LINK)
        assert guest.addresses() == [boot.address]
        boot.assert_no_gap()
        # The profile's stand-in goes with the overlay; nothing else does.
        assert {event.what for event in events.events("address-")} <= {STAND_IN}
        assert guest.net.packets.sent("DISCOVER", since=boot.began) == []
