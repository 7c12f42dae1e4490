"""The guard of the package beside networkd, which netplan has configured, on a booted machine: what it records, and
that nothing of it is left."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.support.distribution import Distribution
from tests.support.guests import LINK, SERVER, Guest, Nspawn, Terms
from tests.vm.test_packages import install, score

from holdfast.guard.nflog import TABLE

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]
UNIT = "holdfast-guard.service"
TERMS = Terms(lease_time=120, t1=10, t2=100)
#: NFT_MSG_GETTABLE (linux/netfilter/nf_tables.h): the guest has no nft.
TABLES = """\
import socket, struct
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as asking:
    asking.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 1, 0x301, 1, 0, 0, 0, 0))
    print(asking.recv(1 << 16).decode("latin-1").encode("ascii", "replace").decode())
"""


def tables(guest: Guest) -> str:
    return guest.run(["python3", "-I", "-c", TABLES], check=True).stdout


def renewals(guest: Guest) -> list[dict[str, Any]]:
    said = guest.run(["holdfast", "history", LINK, "--json"], check=True).stdout
    return [record for record in json.loads(said) if record["purpose"] == "t1"]


def test_the_service_of_the_package_beside_netplan(distribution: Distribution) -> None:
    with Nspawn("netplan", terms=TERMS) as guest:
        assert guest.wait_booted() in ("running", "degraded")
        address = guest.wait_address(60)
        events = guest.net.watch()
        install(guest, distribution.deb)
        assert guest.shell("systemctl is-enabled $1 || :", UNIT).strip() == "disabled"
        assert score(guest, UNIT) <= 2.0
        guest.net.drop_unicast()
        guest.push("/etc/holdfast/holdfast.d/50-guard.toml", "[guard]\nrebroadcast = true\n")
        guest.run(["systemctl", "start", UNIT], check=True)
        guest.wait(lambda: "guard: watching" in guest.journal("--unit", UNIT), 60, "it watches")
        assert TABLE in tables(guest)
        pid = guest.shell("systemctl show --value --property MainPID $1", UNIT).strip()
        told = guest.shell("cat /proc/$1/status", pid)
        status = dict(re.findall(r"^(Uid|CapEff|CapBnd):\t(\S+)", told, re.MULTILINE))
        assert status["CapEff"] == status["CapBnd"] == "0000000000003000"  # NET_ADMIN, NET_RAW
        assert status["Uid"] == guest.shell("id -u holdfast-guard").strip() != "0"

        guest.wait(lambda: len(renewals(guest)) >= 3, 120, "three renewals are recorded")
        assert {(one["client"], one["result"], one["path"], one["rebroadcasts"], one["server"])
                for one in renewals(guest)[:3]} == {("networkd", "renewed", "broadcast", 1, SERVER)}
        assert all(0.9 < one["latency"] < 3.0 for one in renewals(guest))
        report = guest.run(["holdfast", "guard", "--report"], check=True).stdout
        assert "the server does not hear unicast" in report
        assert f"next: sudo holdfast takeover {LINK}" in report
        shown = guest.run(["holdfast", "status"], check=True).stdout
        assert re.search(rf"^{LINK} .*guarded .*{re.escape(address)}.*renewed", shown, re.MULTILINE)
        assert "KeepConfiguration=" in guest.run(["holdfast", "guard", "--advise", LINK], check=True).stdout

        guest.run(["systemctl", "kill", "--signal=KILL", UNIT], check=True)
        guest.wait(lambda: guest.shell("systemctl show --value --property MainPID $1", UNIT).strip() not in ("0", pid),
                   60, "systemd has started it again")
        guest.run(["systemctl", "stop", UNIT], check=True)
        assert TABLE not in tables(guest)
        guest.shell("rm /etc/holdfast/holdfast.d/50-guard.toml")  # the administrator's
        guest.run(["apt-get", "purge", "--yes", "holdfast"], timeout=120, check=True)
        assert guest.shell("find /etc /usr /var/lib /run -xdev -name '*holdfast*' -not -path '/run/systemd/*'") == ""
        assert guest.addresses() == [address]
        assert events.events("address-") == []
