"""What the packages do to a machine: nothing at first, then what they are asked for, and nothing is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.distribution import Distribution
from tests.support.guests import LINK, SERVER, Guest, Nspawn, Qemu, Terms
from tests.support.guests.handover import Handover

from holdfast_build import debian, sources
from holdfast_build.buildroot import buildroot, enter

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

UNIT = f"holdfast@{LINK}.service"
#: Renewals within seconds.
TERMS = Terms(lease_time=120, t1=10, t2=100)
#: A hook that shows what it is given and what it may do.
HOOK = """\
#!/bin/sh
cat >/var/lib/holdfast/told
{ id -un; grep CapEff /proc/self/status; touch /tmp/written && echo tmp; touch /etc/written || echo no-etc; } \\
    >/var/lib/holdfast/could.new 2>/dev/null
mv /var/lib/holdfast/could.new /var/lib/holdfast/could
"""


def install(guest: Guest, package: Path) -> None:
    """apt-get install of a file, without network."""
    guest.push(f"/root/{package.name}", package.read_bytes())
    guest.run(["apt-get", "install", "--yes", f"/root/{package.name}"], timeout=120, check=True)


def serving(guest: Guest, unit: str = UNIT) -> str:
    """Start ``unit`` and wait for its address."""
    guest.run(["systemctl", "start", unit], check=True)
    return guest.wait_address(60)


def score(guest: Guest, unit: str) -> float:
    """What systemd thinks of the unit's sandbox: 0 is the best."""
    said = guest.shell("systemd-analyze security --no-pager $1", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    return float(found[1])


def test_the_agent_does_all_its_work_as_a_user_in_a_sandbox(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS) as guest:
        assert guest.wait_booted() == "running"
        events = guest.net.watch()
        install(guest, distribution.deb)
        assert guest.shell("systemctl list-units --all --plain --no-legend 'holdfast*'") == ""
        assert guest.addresses() == []
        assert not guest.net.packets.sent()
        assert [score(guest, unit) <= 2.8 for unit in ("holdfast.service", UNIT)] == [True, True]

        guest.push("/etc/holdfast/hooks.d/50-show", HOOK, mode=0o755)
        guest.push("/etc/holdfast/holdfast.d/50-test.toml",
                   '[agent]\nmetrics_dir = "/run/holdfast/metrics"\ncontrol_group = "adm"\n')
        guest.push(f"/etc/systemd/system/{UNIT}.d/test.conf",
                   "[Service]\nSupplementaryGroups=adm\nSystemCallFilter=@chown\nWatchdogSec=6\n")
        guest.shell("systemctl daemon-reload && useradd --groups adm watcher && touch /var/tmp/before")
        address = serving(guest)
        pid = guest.shell("systemctl show --value --property MainPID $1", UNIT).strip()
        told = guest.shell("cat /proc/$1/status", pid)
        status = dict(re.findall(r"^(Uid|CapEff|CapBnd|NoNewPrivs):\t(\S+)", told, re.MULTILINE))
        assert status["CapEff"] == status["CapBnd"] == "0000000000003400"  # NET_BIND_SERVICE, NET_ADMIN, NET_RAW
        assert status["Uid"] == guest.shell("id -u holdfast").strip() != "0"
        assert status["NoNewPrivs"] == "1"

        guest.wait(lambda: guest.net.packets.received("ACK")[1:], 60, "T1 came, and the lease was renewed")
        guest.wait(lambda: SERVER in guest.shell("cat /etc/resolv.conf"), 30, "the name server is known")
        guest.wait(lambda: hook_said(guest).endswith("no-etc"), 30, "the hook was run")
        assert hook_said(guest) == "holdfast CapEff: 0000000000003400 tmp no-etc"
        assert address in guest.shell("cat /var/lib/holdfast/told")
        assert "holdfast_lease_valid" in guest.shell("cat /run/holdfast/metrics/*.prom")
        assert '"BOUND"' in guest.shell("runuser -u watcher -- holdfast status --json")
        assert f'"address": "{address}"' in guest.shell("journalctl --output=json-pretty SYSLOG_IDENTIFIER=holdfast"
                                                        " | sed -n 's/DHCP_ADDRESS/address/; s/ :/:/p'")
        assert "The lease lasts 120" in guest.shell("journalctl --catalog --unit=$1", UNIT)

        guest.run(["systemctl", "kill", "--signal=KILL", UNIT], check=True)  # rule 52
        guest.wait(lambda: bound(guest) and main_pid(guest) not in ("0", pid), 60, "systemd has started it again")
        guest.run(["systemctl", "restart", UNIT], check=True)  # rule 47, rule 51
        guest.run(["systemctl", "stop", UNIT], check=True)
        assert guest.addresses() == [address]
        assert "watchdog" not in guest.journal("--unit", UNIT).lower()  # it was fed
        assert events.events("address-") == []
        assert guest.shell("find /usr /boot -newer /var/tmp/before -not -path '*/__pycache__*'") == ""
        assert guest.shell("find /usr -name __pycache__ -newer /var/tmp/before") == ""


def hook_said(guest: Guest) -> str:
    """What the hook could do; "" when it has not run."""
    return " ".join(guest.run(["cat", "/var/lib/holdfast/could"]).stdout.split())


def instant(guest: Guest, unit: str, when: str) -> int:
    """A property of ``unit`` that is a time: microseconds since the boot."""
    return int(guest.shell("systemctl show --value --property $2 $1", unit, when))


def main_pid(guest: Guest) -> str:
    """Of the agent, "0" when it does not run."""
    return guest.shell("systemctl show --value --property MainPID $1", UNIT).strip()


def bound(guest: Guest) -> bool:
    """The agent is there, and has a lease."""
    return '"BOUND"' in guest.run(["holdfast", "status", LINK, "--json"]).stdout


def test_an_upgrade_is_not_noticed(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS) as guest:
        guest.wait_booted()
        install(guest, distribution.deb)
        address = serving(guest)
        before = main_pid(guest)
        events, probe = guest.net.watch(), guest.net.probe(address)
        guest.wait(lambda: probe.answering(address), 30, "the address answers")
        packets = len(guest.net.packets.sent("DISCOVER"))
        install(guest, distribution.newer)
        guest.wait(lambda: bound(guest), 30, "the new one is bound")
        assert "0.1.0-2" in guest.shell("dpkg-query --show holdfast").replace(sources.version(), "0.1.0")
        assert main_pid(guest) not in ("0", before)  # the new code runs
        probe.finish()
        assert events.events("address-") == events.events("route-") == []
        assert probe.missed(address) == []
        assert len(guest.net.packets.sent("DISCOVER")) == packets
        # What the distribution does when its python3 becomes another one.
        guest.shell("find /usr/lib/holdfast -name __pycache__ -exec rm -r {} + && "
                    "/usr/share/python3/runtime.d/holdfast.rtupdate rtupdate python3.10 python3.11")
        assert guest.shell("ls /usr/lib/holdfast/site/holdfast/__pycache__") != ""
        # A unit that did not run is not started by an upgrade.
        guest.run(["systemctl", "stop", UNIT], check=True)
        guest.run(["apt-get", "install", "--yes", "--reinstall", f"/root/{distribution.newer.name}"], check=True)
        assert main_pid(guest) == "0"
        assert guest.addresses() == [address]


def test_two_units_never_serve_one_link(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS) as guest:
        guest.wait_booted()
        install(guest, distribution.deb)
        nothing = guest.run(["systemctl", "start", "holdfast.service"])
        assert nothing.returncode != 0
        assert "status=2" in guest.shell("systemctl status holdfast.service || :")  # no interface is named: told once
        serving(guest)
        guest.push("/etc/holdfast/holdfast.d/50-test.toml", f"[interfaces.{LINK}]\n")
        assert guest.run(["systemctl", "start", "holdfast.service"]).returncode != 0
        shown = guest.shell("systemctl show --property=ExecMainStatus,SubState holdfast.service").split()
        assert sorted(shown) == ["ExecMainStatus=7", "SubState=failed"]
        assert bound(guest)


def test_removal_hands_back_and_a_purge_leaves_nothing(distribution: Distribution) -> None:
    with Nspawn("ifupdown", terms=TERMS) as guest:
        guest.wait_booted()
        install(guest, distribution.deb)
        with Handover(guest) as handover:
            guest.run(["systemctl", "start", f"holdfast-takeover@{LINK}.service"], timeout=120, check=True)
            handover.assert_holdfast_serves()
            install(guest, distribution.newer)
            handover.assert_holdfast_serves()
            guest.run(["apt-get", "purge", "--yes", "holdfast"], timeout=120, check=True)
            guest.wait(lambda: guest.run(["pgrep", "--full", "^[^ ]*dhclient "]).stdout, 60, "dhclient runs")
            handover.wait_renewal()
            handover.assert_nobody_noticed()
        assert guest.shell("find /etc /usr /var/lib /run -xdev -name '*holdfast*' -not -path '/run/systemd/*'") == ""


def test_a_client_that_is_started_again_is_in_no_sandbox(distribution: Distribution) -> None:
    """A take-over by the unit that fails: the former client is a fork of it, and would keep what it inherits."""
    with Nspawn("bare", terms=TERMS) as guest:
        guest.wait_booted()
        install(guest, distribution.deb)
        guest.shell("systemd-run --quiet --scope dhclient -4 -pf /run/dhclient.pid -lf /var/lib/dhcp/leases $1", LINK)
        guest.wait_address(60)
        former = guest.shell("cat /run/dhclient.pid").strip()
        # An agent that does not come up: the former client has ended by then.
        guest.push(f"/etc/systemd/system/{UNIT}.d/broken.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n")
        guest.shell("systemctl daemon-reload")
        unit = f"holdfast-takeover@{LINK}.service"
        assert guest.run(["systemctl", "start", unit], timeout=200).returncode != 0
        guest.wait(lambda: guest.run(["pgrep", "--exact", "dhclient"]).stdout.strip() not in ("", former), 60,
                   "the former client runs again")
        pid = guest.shell("pgrep --exact dhclient").strip()
        status = dict(re.findall(r"^(Seccomp|NoNewPrivs|CapBnd):\t(\S+)", guest.shell("cat /proc/$1/status", pid),
                                 re.MULTILINE))
        first = dict(re.findall(r"^(Seccomp|NoNewPrivs|CapBnd):\t(\S+)", guest.shell("cat /proc/1/status"),
                                re.MULTILINE))
        assert status == first
        assert len(set(guest.shell("readlink /proc/1/ns/mnt /proc/$1/ns/mnt", pid).split())) == 1
        assert "takeover" not in guest.shell("cat /proc/$1/cgroup", pid)
        assert guest.shell("systemctl show --value --property MemoryMax $1", unit).strip() == str(256 << 20)


def test_a_removal_that_cannot_hand_back_does_not_happen(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS) as guest:
        guest.wait_booted()
        install(guest, distribution.deb)
        serving(guest)
        journal = f"/var/lib/holdfast-takeover/{LINK}.json"
        guest.shell("umask 077 && mkdir -p $(dirname $1) && echo nonsense >$1", journal)
        refused = guest.run(["apt-get", "remove", "--yes", "holdfast"], timeout=120)
        assert refused.returncode != 0
        assert f"holdfast: {LINK} could not be handed back" in refused.stdout + refused.stderr
        assert guest.shell("dpkg-query --show --showformat='${Status}' holdfast").split()[-1] == "installed"
        assert bound(guest)
        assert guest.shell("ls /usr/lib/holdfast/site/holdfast/__pycache__") != ""
        guest.shell("rm -r /var/lib/holdfast-takeover")
        done = guest.run(["apt-get", "remove", "--yes", "holdfast"], timeout=120, check=True)
        assert f"holdfast@{LINK}.service has ended; its addresses stay" in done.stdout
        assert guest.addresses() != []


def test_the_agent_is_there_before_cloud_init_asks_the_network(distribution: Distribution) -> None:
    # In its network stage, before D-Bus; as `#include` with a host's name would.
    names = (f"test ! -e /root/ask || "
             f"timeout 60 sh -c 'until grep ^nameserver.{SERVER} /etc/resolv.conf; do sleep 0.1; done' >/run/names")
    seed = {"user-data": f"#cloud-config\nbootcmd:\n  - {names}\n", "network-config": "version: 1\nconfig: []\n"}
    with Nspawn("bare", terms=TERMS, seed=seed) as guest:
        guest.wait_booted()
        install(guest, distribution.deb)
        guest.push("/root/ask", "")
        guest.push("/etc/cloud/cloud.cfg.d/99-network.cfg", "network: {config: disabled}\n")
        guest.push("/etc/holdfast/holdfast.d/50-test.toml", '[agent]\nserve = ["en*"]\n')
        guest.shell("systemctl enable holdfast.service holdfast-wait-online.service systemd-resolved.service && "
                    "systemctl mask networking.service systemd-networkd.service && "
                    "ln --symbolic --force ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
        guest.reboot()
        assert guest.wait_booted() == "running"
        active = "ActiveEnterTimestampMonotonic"
        agent, online = (instant(guest, unit, active) for unit in ("holdfast.service", "holdfast-wait-online.service"))
        assert 0 < agent < online < instant(guest, "cloud-init.service", "ExecMainStartTimestampMonotonic")
        assert online <= instant(guest, "network-online.target", active)
        assert "ordering cycle" not in guest.journal("--boot")
        # D-Bus was not there yet when the lease came; systemd-resolved is told nevertheless, and nothing was red.
        guest.wait(lambda: SERVER in guest.shell(f"resolvectl dns {LINK} || :"), 60, "systemd-resolved was told")
        assert guest.shell("systemctl show --value --property NRestarts,Result holdfast-dns.service").split() == [
            "success", "0"]
        assert "name servers" not in guest.journal("--boot", "--priority", "warning")
        assert "Failed" not in guest.console_text()
        assert guest.pull("/run/names").decode() == f"nameserver {SERVER}\n"
        # Told, it has written its file anew.
        assert SERVER not in guest.shell("cat /etc/resolv.conf")

        guest.shell("systemctl disable holdfast-wait-online.service")
        guest.net.drop_all()
        guest.shell("systemctl stop holdfast.service && rm /var/lib/holdfast/*.json /root/ask")
        guest.reboot()
        assert guest.wait_booted() == "running"  # without a server: the boot waits for nobody
        assert guest.addresses() == []
        guest.net.heal()
        assert guest.wait_address(90)


def test_the_rpm_comes_stays_and_goes(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS) as guest:
        guest.wait_booted()
        carry(guest, "rpm", "rpm-common", programs=("/usr/bin/rpm",))
        # As on Enterprise Linux 9: what is called python3 is not what can be used.
        guest.shell("rm /usr/bin/python3 && printf '#!/bin/sh\\necho old; exit 1\\n' >/usr/bin/python3 && "
                    "chmod 755 /usr/bin/python3")
        for rpm in (distribution.rpm, distribution.newer_rpm):
            guest.push(f"/root/{rpm.name}", rpm.read_bytes())
        # --nodeps: python(abi) and systemd are in the other package database.
        rpm_says(guest, "--install", f"/root/{distribution.rpm.name}")
        assert guest.addresses() == []
        assert guest.shell("systemctl is-enabled holdfast.service || :").strip() == "disabled"
        assert guest.shell("find /usr/lib/holdfast/site/holdfast -name '*.cpython-311.pyc' | wc -l").strip() != "0"
        address = serving(guest)
        before = main_pid(guest)
        guest.wait(lambda: SERVER in guest.shell("cat /etc/resolv.conf"), 30, "the name server is known")
        assert score(guest, UNIT) <= 2.8
        events = guest.net.watch()
        rpm_says(guest, "--upgrade", f"/root/{distribution.newer_rpm.name}")
        guest.wait(lambda: bound(guest), 30, "the new one is bound")
        assert main_pid(guest) not in ("0", before)
        # As an upgrade leaves it that has no such module any more.
        guest.shell("mkdir -p $1 && touch $1/x.cpython-311.pyc", "/usr/lib/holdfast/site/holdfast/former/__pycache__")
        rpm_says(guest, "--erase", "holdfast")
        assert main_pid(guest) == "0"
        assert events.events("address-") == events.events("route-") == []
        assert guest.addresses() == [address]
        assert guest.run(["test", "-e", "/usr/lib/holdfast"]).returncode != 0  # byte-code and all


@pytest.mark.machine
def test_apparmor_confines_it_and_is_not_felt(distribution: Distribution) -> None:
    """On a kernel of its own, because a container's profiles would be this machine's."""
    with Qemu("bare", terms=TERMS) as guest:
        guest.wait_booted()
        carry(guest, "apparmor", "libapparmor1")
        install(guest, distribution.deb)
        guest.push("/etc/holdfast/hooks.d/50-show", HOOK, mode=0o755)
        serving(guest)
        uuid = guest.shell("cat /sys/class/dmi/id/product_uuid").strip().lower()
        guest.wait(lambda: guest.net.packets.received("ACK")[1:], 30, "the lease was renewed")
        guest.wait(lambda: hook_said(guest).endswith("no-etc"), 30, "the hook was run")
        guest.run(["systemctl", "restart", UNIT], check=True)
        guest.wait(lambda: bound(guest), 60, "it goes on")
        assert guest.shell("cat /proc/$1/attr/current", main_pid(guest)).strip() == "holdfast (enforce)"
        assert "DENIED" not in guest.shell("dmesg")
        # What only root can read has been handed over.
        assert f'"product_uuid": "{uuid}"' in guest.shell("cat /var/lib/holdfast/*.lease.json")
        assert score(guest, UNIT) <= 2.8


def rpm_says(guest: Guest, *words: str) -> None:
    """rpm, without a complaint."""
    done = guest.run(["rpm", "--nodeps", *words], timeout=120, check=True)
    assert "rror" not in done.stderr + done.stdout
    assert "warning" not in done.stderr


def carry(guest: Guest, *packages: str, programs: tuple[str, ...] = ()) -> None:
    """Bring Debian packages from the build's folder into a guest, without their scripts; of ``programs`` also the
    libraries. What the guest has already stays."""
    archive = Path(guest.folder, "carried")
    archive.mkdir()
    libraries = "$(ldd $PROGRAMS | sed -n 's/.* => \\(.*\\) (0x.*/\\1/p')" if programs else ""
    script = (f"{{ dpkg -L {' '.join(packages)}; "
              f"for library in {libraries}; do echo $library; readlink -f $library; done; }}")
    enter(buildroot(debian.CACHE), archive,
          ["sh", "-c", f"{script} | tar --create --no-recursion --file=carried.tar --files-from=- 2>/dev/null"],
          {"PROGRAMS": " ".join(programs)})
    guest.run(["tar", "-xf", "-", "-C", "/", "--skip-old-files", "--keep-directory-symlink"],
              stdin=(archive / "carried.tar").read_bytes(), check=True, timeout=120)
    guest.run(["ldconfig"], check=True)
