"""holdfast-dns.service in booted guests: it publishes by each backend, writes nowhere else, and is never a load."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.distribution import Distribution
from tests.support.guests import LINK, SERVER, File, Guest, Nspawn, Terms
from tests.support.guests.tree import layer

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

UNIT, PATH = "holdfast-dns.service", "holdfast-dns.path"
SPOOL = f"/run/holdfast/dns/{LINK}.json"
TERMS = Terms(lease_time=600, extra=(f"dhcp-option=42,{SERVER}",))
#: In the place of systemd-timesyncd, which no guest here has: it says what it finds when it starts.
TIMES = "/run/systemd/timesyncd.conf.d"
TIMESYNCD = f"""\
[Service]
ExecStartPre=/bin/sh -c "cat {TIMES}/* >/run/times || :"
ExecStart=sleep infinity
"""
#: In the place of the publisher, in its sandbox: where a file can be made, given away, and run. Nothing is said about
#: IPAddressDeny=, which does nothing in a container.
ATTACK = r"""
import os, socket, subprocess
def can(what, step):
    try:
        step()
        print(what, file=told)
    except (OSError, subprocess.SubprocessError):
        pass
told = open("/var/lib/holdfast-dns/could", "w")
def make(folder):
    path = folder + "/holdfast-attack"
    with open(path, "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(path, 0o755)
    can("own " + folder, lambda: os.chown(path, 65534, 65534))
    can("run " + folder, lambda: subprocess.run([path], check=True))
    os.unlink(path)
for folder in FOLDERS:
    can("write " + folder, lambda: make(folder))
can("read the agent's files", lambda: os.listdir("/run/holdfast/dns"))
can("look into other processes", lambda: os.readlink("/proc/1/cwd"))
can("open a raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
can("load a module", lambda: os.stat("/proc/modules") and open("/lib/modules/holdfast", "w"))
can("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True, stderr=subprocess.DEVNULL))
told.close()
os.rename("/var/lib/holdfast-dns/could", "/var/lib/holdfast-dns/told")
"""
WRITABLE = ("/etc", "/run", "/run/systemd/timesyncd.conf.d", "/var/lib/holdfast-dns", "/tmp", "/var/tmp")
CLOSED = ("/usr/bin", "/usr/local/bin", "/boot", "/home", "/root", "/opt", "/srv", "/var/lib", "/var/lib/holdfast",
          "/var/spool", "/etc/systemd/system", "/etc/cron.d", "/etc/profile.d", "/etc/pam.d", "/etc/init.d",
          "/etc/holdfast/hooks.d", "/run/systemd/system", "/run/systemd", "/run/udev", "/run/holdfast",
          "/run/holdfast/dns", "/dev", "/sys/fs/cgroup", "/proc/sys/kernel")
#: As dnsmasq's package gives one to resolvconf: the folder is that user's, the script is root's.
SCRIPT = "#!/bin/sh\ncp /run/resolvconf/resolv.conf /run/names/.new && mv -f /run/names/.new /run/names/resolv.conf\n"


class Resolvconf(Nspawn):
    """A guest with Debian's resolvconf."""

    def _lower(self) -> str:
        return f"{layer('resolvconf')}:{super()._lower()}"


def begin(guest: Guest, package: Path) -> None:
    """Boot, install, and have a lease."""
    guest.wait_booted()
    guest.push(f"/root/{package.name}", package.read_bytes())
    guest.run(["apt-get", "install", "--yes", f"/root/{package.name}"], timeout=120, check=True)
    guest.run(["systemctl", "start", f"holdfast@{LINK}.service"], check=True)
    guest.wait_address(60)


def idle(guest: Guest) -> bool:
    """The publisher has ended."""
    return guest.run(["systemctl", "is-active", UNIT]).stdout.strip() in {"inactive", "failed"}


def end(guest: Guest) -> None:
    """Give the lease back: what was published is withdrawn."""
    guest.run(["holdfast", "release", LINK], check=True)


def test_a_plain_file_and_nothing_else(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS, files={"/etc/resolv.conf": File("nameserver 192.0.2.53\n")}) as guest:
        guest.wait_booted()
        guest.shell("rm --force /etc/systemd/system/$1", "systemd-timesyncd.service")
        guest.push("/usr/lib/systemd/systemd-timesyncd", "", mode=0o755)
        guest.push("/etc/systemd/system/systemd-timesyncd.service", TIMESYNCD)
        guest.shell("systemctl daemon-reload && systemctl start $1", "systemd-timesyncd.service")
        begin(guest, distribution.deb)
        guest.wait(lambda: SERVER in guest.shell("cat /etc/resolv.conf"), 30, "the name server is known")
        guest.wait(lambda: f"NTP={SERVER}" in guest.shell("cat /run/times"), 30, "the time server is known")  # rule 98
        guest.wait(lambda: idle(guest), 30, "the publisher has ended")
        assert guest.shell("systemctl show --value --property Result $1", UNIT).strip() == "success"

        guest.shell("mkdir -p /etc/cron.d /etc/profile.d /etc/init.d /run/udev /run/systemd/system")
        program = f"FOLDERS = {WRITABLE + CLOSED!r}\n{ATTACK}"
        guest.push("/usr/local/lib/attack.py", program)
        guest.push(f"/etc/systemd/system/{UNIT}.d/attack.conf",
                   "[Service]\nType=oneshot\nExecStart=\nExecStart=/usr/bin/python3 -I /usr/local/lib/attack.py\n")
        guest.shell("systemctl daemon-reload && systemctl start $1", UNIT)
        could = guest.shell("cat /var/lib/holdfast-dns/told").splitlines()
        assert could == [*(f"write {folder}" for folder in WRITABLE), "read the agent's files"]
        guest.shell("rm /etc/systemd/system/$1.d/attack.conf && systemctl daemon-reload", UNIT)

        end(guest)
        guest.wait(lambda: guest.shell("cat /etc/resolv.conf") == "nameserver 192.0.2.53\n", 30, "it is as it was")
        guest.wait(lambda: guest.shell(f"ls {TIMES}") == "", 30, "no time server is left")
        guest.wait(lambda: "NTP" not in guest.shell("cat /run/times"), 30, "and it is told")


def test_resolvconf_and_its_scripts(distribution: Distribution) -> None:
    with Resolvconf("bare", terms=TERMS) as guest:
        guest.wait_booted()
        guest.push("/etc/resolvconf/update.d/names", SCRIPT, mode=0o755)
        guest.shell("ln --symbolic --force ../run/resolvconf/resolv.conf /etc/resolv.conf; "
                    "useradd --system names; install --directory --owner names --mode 755 /run/names")
        begin(guest, distribution.deb)
        guest.wait(lambda: SERVER in guest.run(["cat", "/run/names/resolv.conf"]).stdout, 30, "resolvconf's script ran")
        assert SERVER in guest.shell("cat /etc/resolv.conf")
        assert guest.shell("stat --format %a /run/resolvconf/resolv.conf").strip() == "644"
        end(guest)
        guest.wait(lambda: SERVER not in guest.shell("cat /run/names/resolv.conf"), 30, "it is withdrawn")
        assert guest.shell("ls /run/resolvconf/interface").split() == []


def test_resolved(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS) as guest:
        guest.wait_booted()
        guest.shell("systemctl start systemd-resolved && "
                    "ln --symbolic --force ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
        begin(guest, distribution.deb)
        guest.wait(lambda: SERVER in guest.shell(f"resolvectl dns {LINK} || :"), 30, "systemd-resolved was told")
        end(guest)
        guest.wait(lambda: SERVER not in guest.shell(f"resolvectl dns {LINK} || :"), 30, "systemd-resolved forgets")


def test_a_daemon_that_triggers_it_for_ever_gets_a_run_a_second_and_its_last_word(distribution: Distribution) -> None:
    with Nspawn("bare", terms=TERMS, files={"/etc/resolv.conf": File("nameserver 192.0.2.53\n")}) as guest:
        begin(guest, distribution.deb)
        guest.wait(lambda: SERVER in guest.shell("cat /etc/resolv.conf"), 30, "the name server is known")
        guest.wait(lambda: idle(guest), 30, "the publisher has ended")
        starts = "journalctl --output=cat --boot --unit=$1 | grep --count '^Started .* Holdfast was given' || :"
        before, began = int(guest.shell(starts, UNIT)), time.monotonic()
        loop = (f"i=0; end=$(($(date +%s) + 8)); while [ $(date +%s) -lt $end ]; do i=$(((i + 1) % 200)); "
                f"sed s/{SERVER}/10.9.9.$i/ $1.kept >$1.new; mv $1.new $1; done")
        guest.shell("runuser -u holdfast -- cp $1 $1.kept", SPOOL)
        guest.run(["runuser", "-u", "holdfast", "--", "sh", "-c", loop, "sh", SPOOL], check=True)
        guest.wait(lambda: "nameserver 10.9.9." in guest.shell("cat /etc/resolv.conf"), 30, "what it says is published")
        guest.wait(lambda: int(guest.shell(starts, UNIT)) - before >= 2, 30, "it has run, and again")
        runs, seconds = int(guest.shell(starts, UNIT)) - before, time.monotonic() - began
        assert runs <= seconds + 1
        guest.run(["holdfast", "renew", LINK], check=True)
        guest.wait(lambda: SERVER in guest.shell("cat /etc/resolv.conf"), 30, "the agent's last word counts")
        guest.wait(lambda: idle(guest), 30, "the publisher has ended")
        assert guest.run(["systemctl", "is-active", PATH]).stdout.strip() == "active"
