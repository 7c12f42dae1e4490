"""The user-data for Red Hat's family, by real dnf from a real signed repository, in guests that are Debian beneath."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.distribution import Distribution, sha256
from tests.support.firstboot import BY_NAME, FirstBoot, snippet
from tests.support.guests import SERVER, Terms
from tests.support.redhat import SETTINGS, RedHat
from tests.support.repositories import repositories
from tests.support.userdata import edited

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

TERMS = Terms(lease_time=600)


def from_a_repository(distribution: Distribution, folder: Path, *, key: str = "key.asc") -> str:
    """The user-data for dnf; ``folder`` gets the repository."""
    return snippet("user-data-yum.yaml", distribution, folder, key=key)


def one_package(distribution: Distribution, folder: Path) -> str:
    """The user-data for one package, told of the .rpm."""
    rpm = distribution.rpm
    (folder / rpm.name).write_bytes(rpm.read_bytes())
    return edited("user-data-package-url.yaml", f"http://{SERVER}/{rpm.name}", sha256(rpm))


def guest_told(user_data: str, distribution: Distribution, folder: Path) -> RedHat:
    """``folder`` also gets what the .rpm requires."""
    (folder / "base").symlink_to(repositories(distribution) / "base")
    seed = {"user-data": user_data, "network-config": BY_NAME}
    return RedHat("networkmanager", seed=seed, terms=TERMS, files=SETTINGS)


@pytest.mark.parametrize("told", [from_a_repository, one_package])
def test_first_boot(
    told: Callable[[Distribution, Path], str], distribution: Distribution, tmp_path: Path
) -> None:
    with guest_told(told(distribution, tmp_path), distribution, tmp_path) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        events = guest.net.watch()
        boot.assert_taken_over()
        boot.assert_no_gap()
        assert events.events("address-") == []
        assert len(guest.net.packets.sent("DISCOVER")) == 1, "a take-over asks nothing anew"
        # Of all that are new enough, the Python that the package suggests; and nothing but what it requires.
        came = guest.shell("rpm --query --all --queryformat '%{NAME}\\n' | grep -v gpg-pubkey").split()
        assert sorted(came) == ["bash", "holdfast", "python3.12", "systemd"]


def test_a_package_that_another_key_has_signed(distribution: Distribution, tmp_path: Path) -> None:
    told = from_a_repository(distribution, tmp_path, key="stranger.asc")
    with guest_told(told, distribution, tmp_path) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        boot.assert_failed("the package holdfast is not installed")
        assert "GPG check FAILED" in guest.pull("/var/log/cloud-init-output.log").decode()
        assert "holdfast" not in guest.shell("rpm --query --all")
        assert guest.run(["which", "holdfast"]).returncode != 0
