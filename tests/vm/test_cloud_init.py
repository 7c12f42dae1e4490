"""The user-data that we ship, in guests whose network the real cloud-init has configured: pasted, edited, booted.

Each test ends up with the same question: is the interface Holdfast's, with the address that the former client had,
and has anybody noticed? The texts are those of cloud-init/; only values on lines marked "# edit" are replaced.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.distribution import Distribution, apt_repository, python_index, sha256
from tests.support.guests import LINK, File, Guest, GuestProbe, Nspawn, Qemu, Terms, Variant, client_id, tree
from tests.support.guests.variants import variant_files
from tests.support.userdata import FOLDER, OpenStack, edited

from holdfast.lab.netns import MS_BIND, Namespace, mount

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

#: T1 is far away: what a test sees of DHCP is the take-over's and its own doing.
TERMS = Terms(lease_time=600)
#: A container's interface has no permanent hardware address, by which cloud-init's own choice would match.
BY_NAME = f"version: 2\nethernets:\n  {LINK}:\n    dhcp4: true\n"
#: pip wants HTTPS; in a namespace without names there are no certificates.
TRUST = {"/etc/pip.conf": File("[global]\ntrusted-host = 10.77.0.1\n")}
#: The guests' tree has no ssh, and a list of its keys that cloud-init 22.4 finds too short.
HARMLESS = re.compile(r"SSH service 'ssh' is not installed|Invalid cloud-config provided")


# --- every file, without a guest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml")))
def test_the_real_schema(name: str) -> None:
    root = tree().root
    with Namespace("schema", private_files=False) as space:
        space.run(lambda: mount(str(FOLDER), str(root / "mnt"), None, MS_BIND))
        done = space.popen(
            ["chroot", str(root), "cloud-init", "schema", "--config-file", f"/mnt/{name}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        said, _ = done.communicate(timeout=60)
    assert done.returncode == 0, said
    assert "Valid cloud-config" in said


# --- what every first boot is asked ------------------------------------------------------------------------------


class FirstBoot:
    """A guest whose cloud-init has been told to install Holdfast. ``address``: what the former client brought."""

    def __init__(self, guest: Guest) -> None:
        self.guest, self.net = guest, guest.net
        self.address = guest.wait_address(120)
        self.probe: GuestProbe = guest.net.probe(self.address)
        guest.wait(lambda: self.probe.answering(self.address), 30, f"{self.address} answers")

    def status(self) -> Mapping[str, Any]:
        """What the agent says about the link."""
        said = self.guest.run(["holdfast", "status", "--json", LINK], check=True).stdout
        client: Mapping[str, Any] = json.loads(said)[0]
        return client

    def assert_taken_over(self) -> None:
        """cloud-init has ended without a complaint, and Holdfast has the interface, address and client-id."""
        said = self.guest.wait_cloud_init(240)
        output = self.guest.shell("cat /var/log/cloud-init-output.log", check=False)
        assert "status: done" in said, f"{said}\n{output[-4000:]}"
        log = self.guest.pull("/var/log/cloud-init.log").decode()
        wrong = [line for line in log.splitlines() if re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback", line)]
        assert [line for line in wrong if not HARMLESS.search(line)] == []
        assert "Valid cloud-config" in self.guest.run(["cloud-init", "schema", "--system"], check=True).stdout
        assert f"Holdfast serves {LINK} now" in output
        self.assert_serves()
        enabled = self.guest.run(["systemctl", "is-enabled", f"holdfast@{LINK}.service"]).stdout.strip()
        assert enabled == "enabled"

    def assert_serves(self) -> None:
        """Holdfast holds the address that there was, alone, and one renewal works."""
        client = self.status()
        assert client["state"] == "BOUND"
        assert client["lease"]["address"].partition("/")[0] == self.address
        assert self.guest.addresses() == [self.address]
        renewed = self.guest.run(["holdfast", "renew", LINK], check=True)
        assert "renewed" in renewed.stdout
        requests = self.net.packets.sent("REQUEST")
        assert client_id(requests[-1]) == client_id(requests[-2])
        doctor = self.guest.run(["holdfast", "doctor"])
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr

    def assert_no_gap(self) -> None:
        """Not one of 20 probes a second was missed, from the moment that the address was there."""
        self.probe.finish()
        assert self.probe.missed(self.address) == []


def package_url(guest: Guest, distribution: Distribution) -> str:
    """Serve the package; its URL."""
    return guest.net.serve_http(distribution.deb.parent) + distribution.deb.name


def snippet(name: str, distribution: Distribution, folder: Path) -> str:
    """One of our files, with the addresses of the guest's own network. What it fetches is put into ``folder``."""
    server = "http://10.77.0.1"
    if name == "user-data-apt.yaml":
        apt_repository(folder, distribution.deb)
        return edited(name, f"deb [trusted=yes] {server} ./", None)
    if name == "user-data-pip.yaml":
        python_index(folder, distribution.wheel, *distribution.dependencies)
        return edited(name, f"{server}/simple", f"holdfast=={distribution.wheel.name.split('-')[1]}")
    (folder / distribution.deb.name).write_bytes(distribution.deb.read_bytes())
    return edited(name, f"{server}/{distribution.deb.name}", sha256(distribution.deb))


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
        assert len(guest.net.packets.sent("DISCOVER")) == 1, "a take-over asks nothing anew"
