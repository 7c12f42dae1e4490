"""udhcpc's command line, and a start that takes nothing away."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.network.plan import Address, Observed
from holdfast.takeover.adapters import udhcpc
from holdfast.takeover.adapters.udhcpc import Udhcpc
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.observed = Observed((Address(IPv4Interface("203.0.113.9/32")), Address(IPv4Interface("192.0.2.9/24"))))
    return host


@pytest.mark.parametrize("argv", [
    "udhcpc -i eth0", "udhcpc -bieth0", "/sbin/udhcpc -b --interface eth0", "udhcpc --interface=eth0 -q", "udhcpc -b",
    "busybox udhcpc -i eth1 -i eth0", "udhcpc -x hostname:-i -i eth0", "udhcpc -a500 -i eth0", "udhcpc -t 3 -nqi eth0",
])
def test_which_interface(host: FakeHost, argv: str) -> None:
    host.add_process(9, *argv.split())
    found = Udhcpc().find(host, "eth0")
    assert found is not None
    assert found.pids == (9,)
    assert Udhcpc().find(host, "eth1") is None


def test_read_knows_the_address_only(host: FakeHost) -> None:
    host.add_process(9, "udhcpc")
    found = Udhcpc().find(host, "eth0")
    assert found is not None
    lease = Udhcpc().read(host, found)
    assert str(lease.address) == "192.0.2.9/24", "a /32 is rather a virtual one"
    assert lease.client_id is None
    assert lease.expires_at == host.now, "so it must be learned"
    host.observed = Observed()
    with pytest.raises(TakeoverError, match="has no address"):
        Udhcpc().read(host, found)


def test_give_back_passes_the_first_deconfig_by(host: FakeHost, tmp_path: Path) -> None:
    called = tmp_path / "called"
    host.put("/etc/own.script", f'#!/bin/sh\necho "$1" >> {called}\n', 0o755)
    host.add_process(9, "udhcpc", "-s", host.path("/etc/own.script"), "-i", "eth0")
    found = Udhcpc().find(host, "eth0")
    assert found is not None
    lease = Udhcpc().read(host, found)
    Udhcpc().give_back(host, found, lease)

    quiet = "/var/lib/holdfast-takeover/udhcpc-eth0.script"
    assert not quiet.startswith(("/run/holdfast/", "/var/lib/holdfast/")), "root runs it: not in the agent's folders"
    assert host.started[0][0] == (*found.argv, "-s", quiet, "-r", "192.0.2.9")
    assert udhcpc.plain(host.started[0][0]) == found.argv
    # The script names its files as the guest has them; here they are below a folder.
    script = Path(host.path(quiet))
    script.write_text(script.read_text().replace(udhcpc.FOLDER, host.path(udhcpc.FOLDER)))
    for reason in ("deconfig", "bound", "deconfig", "renew"):
        subprocess.run([str(script), reason], check=True)
    assert called.read_text().split() == ["bound", "deconfig", "renew"]


def test_a_script_that_cannot_be_named(host: FakeHost) -> None:
    host.add_process(9, "udhcpc", "-s", "/etc/it's")
    found = Udhcpc().find(host, "eth0")
    assert found is not None
    with pytest.raises(TakeoverError, match="start udhcpc by hand"):
        Udhcpc().give_back(host, found, Udhcpc().read(host, found))


def test_ask_and_stop(host: FakeHost) -> None:
    host.add_process(9, "udhcpc")
    found = Udhcpc().find(host, "eth0")
    assert found is not None
    Udhcpc().ask_renewal(host, found)
    Udhcpc().stop(host, found)
    assert host.killed == [(9, 10), (9, 9)]


def test_a_unit_starts_it_quietly_too(host: FakeHost) -> None:
    host.boot_systemd()
    host.answers |= {"systemctl show": Completed(0, "9", "")}
    host.add_process(9, "udhcpc", "-f", "-x", 'hostname:"a$b%c"', unit="udhcpc.service")
    found = Udhcpc().find(host, "eth0")
    assert found is not None
    assert found.unit == "udhcpc.service"
    Udhcpc().give_back(host, found, Udhcpc().read(host, found))
    line = host.text("/run/systemd/system/udhcpc.service.d/60-holdfast-quiet.conf").splitlines()[-1]
    assert line == (
        'ExecStart="/usr/sbin/udhcpc" "-f" "-x" "hostname:\\"a$$b%%c\\"" '
        '"-s" "/var/lib/holdfast-takeover/udhcpc-eth0.script" "-r" "192.0.2.9"'
    )
    assert host.ran[-1] == ("systemctl", "start", "--no-block", "udhcpc.service")
    assert host.started == []
