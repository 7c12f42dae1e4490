"""A guest whose cloud-init has been told to install Holdfast and to take its interface over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.distribution import Distribution, python_index, sha256
from tests.support.guests import LINK, File, Guest, GuestProbe, client_id
from tests.support.guests.handover import starts_at_boot
from tests.support.repositories import in_user_data, repositories
from tests.support.userdata import edit, edited

from holdfast_lab.witness.wirelog import boottime

#: A container's interface has no permanent hardware address, by which cloud-init's own choice would match.
BY_NAME = f"version: 2\nethernets:\n  {LINK}:\n    dhcp4: true\n"
#: pip wants HTTPS; in a namespace without names there are no certificates.
TRUST = {"/etc/pip.conf": File("[global]\ntrusted-host = 10.77.0.1\n")}
#: The guests' tree has no ssh, and a list of its keys that cloud-init 22.4 finds too short.
HARMLESS = re.compile(r"SSH service 'sshd?' is not installed|Invalid cloud-config provided")
#: `cloud-init schema` until 24 and from 25 on.
VALID = re.compile(r"Valid cloud-config|Valid schema user-data")


class FirstBoot:
    """A guest whose cloud-init has been told to install Holdfast. ``address``: what the former client brought;
    ``began``: when it was seen (CLOCK_BOOTTIME). ``bad``: the doctor's checks that find what cloud-init itself set up
    wrongly."""

    def __init__(self, guest: Guest, bad: frozenset[str] = frozenset()) -> None:
        self.guest, self.net, self.bad = guest, guest.net, bad
        self.address = guest.wait_address(120)
        self.began = boottime()
        self.probe: GuestProbe = guest.net.probe(self.address)
        guest.wait(lambda: self.probe.answering(self.address), 30, f"{self.address} answers")

    def status(self) -> Mapping[str, Any]:
        """What the agent says about the link, as soon as it can be asked: its socket comes after READY=1."""
        self.guest.wait(self._state, 30, "the agent can be asked", pause=0.2)
        said = self.guest.run(["holdfast", "status", "--json", LINK], check=True).stdout
        client: Mapping[str, Any] = json.loads(said)[0]
        return client

    def _state(self) -> str:
        """RFC 2131's name of the agent's state; "" while it does not answer."""
        done = self.guest.run(["holdfast", "status", "--json", LINK])
        return str(json.loads(done.stdout)[0]["state"]) if done.returncode == 0 else ""

    def assert_taken_over(self) -> None:
        """cloud-init has ended without a complaint, and Holdfast has the interface, address and client-id."""
        said = self.guest.wait_cloud_init(240)
        output = self.guest.shell("cat /var/log/cloud-init-output.log", check=False)
        assert "status: done" in said, f"{said}\n{output[-4000:]}"
        log = self.guest.pull("/var/log/cloud-init.log").decode()
        wrong = [line for line in log.splitlines() if re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback", line)]
        wrong = [line for line in wrong if not HARMLESS.search(line)]
        assert wrong == [], "\n".join(wrong)
        checked = self.guest.run(["cloud-init", "schema", "--system"], check=True).stdout
        assert VALID.search(checked), checked
        assert f"Holdfast serves {LINK} now" in output
        self.assert_serves()
        assert starts_at_boot(self.guest)

    def assert_failed(self, *words: str) -> None:
        """cloud-init and its log say it, one line with all of ``words``; the former client's address was never away."""
        # `status --wait` is over with the first error; what we ask for comes last.
        ended = ["test", "-e", "/run/cloud-init/result.json"]
        self.guest.wait(lambda: self.guest.run(ended).returncode == 0, 240, "cloud-init has ended")
        assert "status: error" in self.guest.wait_cloud_init()
        output = self.guest.pull("/var/log/cloud-init-output.log").decode()
        (line,) = [line for line in output.splitlines() if "holdfast-setup: FAILED: " in line]
        assert all(word in line for word in words), line
        assert self.guest.run(["systemctl", "is-active", f"holdfast@{LINK}.service"]).stdout.strip() != "active"
        assert self.guest.addresses() == [self.address]
        self.assert_no_gap()

    def assert_serves(self) -> None:
        """Holdfast holds the address that there was, alone, and one renewal works."""
        self.guest.wait(lambda: self._state() == "BOUND", 30, "Holdfast is bound", pause=0.2)
        client = self.status()
        assert client["lease"]["address"].partition("/")[0] == self.address
        assert self.guest.addresses() == [self.address]
        renewed = self.guest.run(["holdfast", "renew", LINK], check=True)
        assert "renewed" in renewed.stdout
        requests = self.net.packets.sent("REQUEST")
        assert client_id(requests[-1]) == client_id(requests[-2])
        doctor = self.guest.run(["holdfast", "doctor", "--json"])
        findings = json.loads(doctor.stdout)["findings"]
        assert {each["check"] for each in findings if each["verdict"] == "bad"} == self.bad, doctor.stdout

    def assert_no_gap(self) -> None:
        """Not one of 20 probes a second was missed, from the moment that the address was there."""
        self.probe.finish()
        assert self.probe.missed(self.address) == []


def snippet(name: str, distribution: Distribution, folder: Path, *, key: str = "key.asc") -> str:
    """One of our files, with the addresses of the guest's own network. What it fetches is put into ``folder``; ``key``
    is the file of a repository's with the key that the guest is to trust."""
    server = "http://10.77.0.1"
    if name == "user-data-apt.yaml":
        apt = repositories(distribution) / "apt"
        (folder / "apt").symlink_to(apt)
        source = f"deb [signed-by=/etc/apt/keyrings/holdfast.asc] {server}/apt stable main"
        return edited(name, source, in_user_data(apt / key))
    if name == "user-data-yum.yaml":
        (folder / "rpm").symlink_to(repositories(distribution) / "rpm")
        return edited(name, f"{server}/rpm", f"{server}/rpm/{key}")
    if name == "user-data-pip.yaml":
        python_index(folder, distribution.wheel, *distribution.dependencies)
        return edit(distribution.pip_user_data.read_text(), f"{server}/simple")
    (folder / distribution.deb.name).write_bytes(distribution.deb.read_bytes())
    return edited(name, f"{server}/{distribution.deb.name}", sha256(distribution.deb))
