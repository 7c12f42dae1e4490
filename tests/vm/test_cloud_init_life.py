"""A guest's life with Holdfast, from its first boot to the removal of the package, step by step in one guest.

The whole of it in a virtual machine with a metadata service like OpenStack's, which cloud-init asks with a DHCP client
of its own before it configures the network; a first boot likewise with every user-data for Debian and every renderer,
most of them with `./dev test --machines` only.
What needs no machine of its own runs in containers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.distribution import Distribution
from tests.support.firstboot import BY_NAME, TRUST, FirstBoot, snippet
from tests.support.guests import LINK, File, Guest, Nspawn, Qemu, Terms, Variant, client_id
from tests.support.guests.install import UNHURRIED
from tests.support.monitor import boottime
from tests.support.userdata import OpenStack

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

TERMS = Terms(lease_time=900)
#: cloud-init writes the network's configuration at every boot, as on some clouds it does.
EVERY_BOOT = {
    "/etc/cloud/cloud.cfg.d/81-every-boot.cfg": File("updates: {network: {when: [boot-new-instance, boot]}}\n"),
}
MONITOR = ["systemd-run", "--quiet", "--unit=monitor", "--property=StandardOutput=file:/run/monitor",
           "ip", "-4", "monitor", "address"]


class OpenStackGuest(Qemu):
    """A virtual machine whose firmware says that it is one of OpenStack's."""

    def _command(self) -> list[str]:
        return [*super()._command(), "-smbios", "type=1,product=OpenStack Nova"]


class Life:
    """One guest that Holdfast serves, and what may happen to it. Every step ends with the address where it was."""

    def __init__(self, boot: FirstBoot) -> None:
        self.boot, self.guest, self.net, self.address = boot, boot.guest, boot.net, boot.address

    def deaf_to_unicast(self) -> None:
        """Renewals that the server does not hear by unicast succeed by broadcast, at once, and are recorded so."""
        self.net.change_terms(lease_time=120, t1=6, t2=100)
        self.net.drop_unicast()
        self.guest.run(MONITOR, check=True)
        self.guest.run(["holdfast", "renew", LINK], check=True)
        began = boottime()
        probe = self.net.probe(self.address)
        for _ in range(2):
            self._renewal_by_broadcast(boottime())
        probe.finish()
        assert probe.missed(self.address, began) == []
        assert self.net.packets.sent("DISCOVER", since=began) == []
        history = json.loads(self.guest.run(["holdfast", "history", "--json", LINK], check=True).stdout)
        assert [record["path"] for record in history[-2:]] == ["broadcast", "broadcast"]
        assert "by broadcast" in self.guest.journal("-t", "holdfast")
        assert "Deleted" not in self.guest.pull("/run/monitor").decode()
        self.net.heal()
        self.net.change_terms(**TERMS._asdict())
        self.guest.run(["holdfast", "renew", LINK], check=True)

    def _renewal_by_broadcast(self, since: float) -> None:
        wire = self.net.packets.wire
        asked = wire.wait_for(lambda seen: seen.at > since and seen.broadcast_renewal, 30)
        wire.wait_for(lambda seen: seen.kind == "ACK" and seen.xid == asked.xid, 5)

    def reboot(self, *, server: bool = True) -> None:
        """The same address, also when no server answers; nobody else asks for one."""
        if not server:
            self.net.drop_all()
        former = client_id(self.net.packets.sent("REQUEST")[-1])
        at = boottime()
        self.guest.reboot()
        assert self.guest.wait_address(120) == self.address
        assert self.guest.wait_booted() == "running", self.guest.shell("systemctl --failed; systemctl list-jobs")
        assert self.boot.status()["lease"]["address"].partition("/")[0] == self.address
        identifiers = {client_id(seen) for seen in self.net.packets.sent(since=at)}
        assert identifiers == {former}, "one client, with the id of the first"
        if not server:
            self.net.heal()
        self.guest.run(["holdfast", "renew", LINK], check=True)
        assert self.guest.run(["test", "-d", "/run/holdfast/metrics"]).returncode == 0, "tmpfiles.d is not there"
        self.boot.assert_serves()

    def upgrade(self, package: Path) -> None:
        """The package's own upgrade: another process, the same lease, no event on the interface."""
        self.guest.push(f"/var/tmp/{package.name}", package.read_bytes())
        before = self._pid()
        self._quietly("DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install", f"/var/tmp/{package.name}")
        assert self._pid() != before
        self.boot.assert_serves()

    def remove(self) -> None:
        """Removing the package gives the interface back to the client that had it."""
        self._quietly("DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes remove", "holdfast")
        assert self.guest.run(["which", "holdfast"]).returncode != 0
        left = self.guest.shell("find /etc/systemd /etc/NetworkManager /etc/network -name '*holdfast*'").split()
        assert left == []

    def _quietly(self, command: str, argument: str) -> None:
        self.guest.shell("systemctl stop monitor; systemctl reset-failed monitor", check=False)
        self.guest.run(MONITOR, check=True)
        probe, at = self.net.probe(self.address), boottime()
        self.guest.wait(lambda: probe.answering(self.address), 10, "it answers")
        self.guest.shell(f'{command} "$1"', argument, timeout=120)
        probe.finish()
        assert probe.missed(self.address) == []
        assert self.guest.addresses() == [self.address]
        gone = [line for line in self.guest.pull("/run/monitor").decode().splitlines() if line.startswith("Deleted")]
        assert [line for line in gone if "scope host" not in line] == []  # NetworkManager's, in the lease's place
        assert self.net.packets.sent("DISCOVER", since=at) == []

    def _pid(self) -> str:
        return self.guest.shell(f"systemctl show --value --property=MainPID holdfast@{LINK}.service").strip()


def openstack(guest: Guest) -> Mapping[str, Any]:
    """Facts of cloud-init's instance."""
    facts: Mapping[str, Any] = json.loads(guest.pull("/run/cloud-init/instance-data.json"))
    return facts


def first_boot_as_in_openstack(guest: Guest, cloud: OpenStack) -> FirstBoot:
    """cloud-init's own client had the address first: the metadata was asked for from it, before the network was up."""
    # cloud-init takes its own client's address away again; from its network stage on the manager's is there.
    guest.wait(lambda: guest.run(["systemctl", "is-active", "cloud-init.service"]).stdout == "active\n", 240, "network")
    boot = FirstBoot(guest)
    boot.assert_taken_over()
    boot.assert_no_gap()
    assert openstack(guest)["v1"]["cloud_name"] == "openstack"
    assert {address for address, _ in cloud.asked} == {boot.address}
    return boot


MACHINE_SETTINGS = {
    # NoCloud is what the guests' seed is for; these ask the metadata service.
    "/etc/cloud/cloud.cfg.d/90-openstack.cfg": File("datasource_list: [OpenStack]\n"),
    **UNHURRIED,
    **TRUST,
}


@pytest.mark.machine
@pytest.mark.ondemand
def test_a_whole_life_in_a_virtual_machine(distribution: Distribution, tmp_path: Path) -> None:
    user_data = snippet("user-data-package-url.yaml", distribution, tmp_path)
    machine = OpenStackGuest("netplan", seed={}, terms=TERMS, files=MACHINE_SETTINGS)
    with machine as guest:
        guest.net.serve_http(tmp_path)
        with OpenStack(guest.net, user_data, product_uuid=machine.product_uuid) as cloud:
            life = Life(first_boot_as_in_openstack(guest, cloud))
            life.deaf_to_unicast()
            life.reboot()
            life.reboot(server=False)
            life.upgrade(distribution.newer)
            guest.shell("cloud-init clean --logs --machine-id")
        guest.power_off()
        disk = guest.keep_disk(tmp_path)
    another = OpenStackGuest(terms=TERMS._replace(pinned=True), disk=disk)  # its port's address, as clouds do it
    with another as copy:
        copy.net.serve_http(tmp_path)
        with OpenStack(copy.net, user_data, product_uuid=another.product_uuid) as cloud:
            assert "status: done" in copy.wait_cloud_init(240)
            assert_started_clean(copy, guest)
            assert {address for address, _ in cloud.asked} == {copy.addresses()[0]}
            Life(FirstBoot(copy)).remove()
            assert "configured" in copy.run(["networkctl", "status", LINK]).stdout


#: Each user-data and each renderer once, user-data-package-url.yaml and netplan above; then all with all.
FIRST = [("user-data-apt.yaml", "ifupdown"), ("user-data-pip.yaml", "networkmanager")]
OTHERS = [
    ("user-data-package-url.yaml", "ifupdown"), ("user-data-package-url.yaml", "networkmanager"),
    ("user-data-apt.yaml", "netplan"), ("user-data-apt.yaml", "networkmanager"),
    ("user-data-pip.yaml", "netplan"), ("user-data-pip.yaml", "ifupdown"),
]
#: Given back to the former client at last.
REMOVED = {("user-data-apt.yaml", "ifupdown"), ("user-data-package-url.yaml", "networkmanager")}


@pytest.mark.machine
@pytest.mark.parametrize(
    ("name", "variant"), [*FIRST, *(pytest.param(*other, marks=pytest.mark.ondemand) for other in OTHERS)]
)
def test_the_first_boots_in_a_virtual_machine(
    name: str, variant: Variant, distribution: Distribution, tmp_path: Path
) -> None:
    user_data = snippet(name, distribution, tmp_path)
    machine = OpenStackGuest(variant, seed={}, terms=TERMS, files=MACHINE_SETTINGS)
    with machine as guest:
        guest.net.serve_http(tmp_path)
        with OpenStack(guest.net, user_data, product_uuid=machine.product_uuid) as cloud:
            life = Life(first_boot_as_in_openstack(guest, cloud))
            life.reboot()
            if (name, variant) in REMOVED:
                life.remove()


@pytest.mark.parametrize("variant", ["netplan", "networkd", "ifupdown", "networkmanager"])
def test_a_life_in_a_container(variant: Variant, distribution: Distribution, tmp_path: Path) -> None:
    """Reboots and an upgrade as above, and at the end `cloud-init clean` and a copy with another MAC and machine-id."""
    seed = {"user-data": snippet("user-data-package-url.yaml", distribution, tmp_path), "network-config": BY_NAME}
    with Nspawn(variant, seed=seed, terms=TERMS, files={**EVERY_BOOT, **UNHURRIED}) as guest:
        guest.net.serve_http(tmp_path)
        boot = FirstBoot(guest)
        boot.assert_taken_over()
        boot.assert_no_gap()
        life = Life(boot)
        life.reboot()
        life.reboot(server=False)
        life.upgrade(distribution.newer)
        guest.shell("cloud-init clean --logs --machine-id")
        assert guest.shell("ls /var/lib/holdfast").split() in ([], ["takeover"])
        guest.power_off()
        (tmp_path / "disk").mkdir()
        disk = guest.keep_disk(tmp_path / "disk")
    with Nspawn(variant, terms=TERMS._replace(pinned=True), disk=disk) as copy:  # as clouds do it
        copy.net.serve_http(tmp_path)
        assert copy.wait_address(60)
        assert "status: done" in copy.wait_cloud_init()
        assert_started_clean(copy, guest)
        assert len({client_id(seen) for seen in copy.net.packets.sent()}) == 1, "one client"
        Life(FirstBoot(copy)).remove()


def assert_started_clean(copy: Guest, original: Guest) -> None:
    """Holdfast serves the copy of a cleaned guest, as another machine."""
    FirstBoot(copy).assert_serves()
    sent = copy.net.packets.sent()
    assert sent[0].kind == "DISCOVER", "it does not ask for what the original had"
    assert client_id(sent[-1]) != client_id(original.net.packets.sent()[-1])
