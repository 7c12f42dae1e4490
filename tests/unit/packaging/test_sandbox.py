"""The sandbox of each unit: everything that systemd can take away is taken, and each exception has its reason."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[3] / "packaging" / "systemd"
UNITS = sorted(path.name for path in SYSTEMD.glob("*.service"))

#: Directive -> its strictest value. MemoryMax= and TasksMax= have to be there, whatever they say.
STRICTEST = {
    "AmbientCapabilities": "",
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "IPAddressDeny": "any",
    "KeyringMode": "private",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoExecPaths": "/",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateMounts": "yes",
    "PrivateNetwork": "yes",
    "PrivateUsers": "yes",
    "ProcSubset": "pid",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": "yes",
    "RestrictAddressFamilies": "none",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": "@system-service ~@privileged @resources @keyring",
    "UMask": "0077",
    "User": "holdfast",
}
#: Not among them: RestrictFileSystems= (Debian's systemd is built without it, so no test could say what it breaks).

NETWORK = "it works on the machine's own links"
BOOT_ID = "the boot's identifier is in /proc/sys/kernel"
NO_USERS = "a user namespace of its own has no rights over the machine's network, and /etc is not its root's"
HOOKS = "hooks may be anywhere, and lookups start the interpreter, also that of a virtual environment"
EARLY = {"PrivateDevices": (None, "prepared in /tmp, which systemd-tmpfiles empties at the same moment of a boot")}
#: Each mount of a sandbox is waited for at boot. What stands for these costs none or one, and keeps the same from
#: being done (``test_what_is_left_out_for_the_boot_is_kept_otherwise``).
AWAITED: dict[str, tuple[str | None, str]] = {
    **EARLY,
    **dict.fromkeys(("ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables"),
                    (None, "its mounts take as long as the rest of the sandbox")),
    "SystemCallFilter": (f"{STRICTEST['SystemCallFilter']} syslog", "what ProtectKernelLogs= would filter"),
}
AGENT = {
    **AWAITED,
    "AmbientCapabilities": ("CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE", "addresses, AF_PACKET, port 68"),
    "CapabilityBoundingSet": ("CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE", "as above"),
    "IPAddressDeny": (None, "a DHCP server can have any address"),
    "NoExecPaths": (None, HOOKS),
    "PrivateNetwork": (None, NETWORK),
    "PrivateUsers": (None, NO_USERS),
    "ProcSubset": (None, BOOT_ID),
    "RestrictAddressFamilies": ("AF_UNIX AF_NETLINK AF_INET AF_PACKET", "control socket, kernel, port 68, broadcasts"),
}
INHERITED = "a client that is started again, and its scripts, would have it too: by fork, for as long as they run"
OVERLAY = {
    "NoExecPaths": ("/run", "its interpreter is wherever the package or an image has one"),
    "PrivateNetwork": (None, "links are described by the machine's own /sys/class/net"),
    "PrivateUsers": (None, "it is root, because what the managers read is root's, and /run too"),
    "ProcSubset": (None, "Python asks /proc for the memory it has"),
    "UMask": ("0022", "managers and the agent, which are other users, read what it writes"),
    "User": (None, "what the managers read is root's, and so is /run"),
}
PUBLISHER: dict[str, tuple[str | None, str]] = {
    "CapabilityBoundingSet": ("CAP_DAC_OVERRIDE", "folders of the agent's, systemd-resolved's, dnsmasq's"),
    "NoExecPaths": ("/etc /run /run/systemd/timesyncd.conf.d /var/lib/holdfast-dns",
                    "what it writes to; scripts are in /etc/resolvconf"),
    "PrivateNetwork": (None, "interfaces are found by name and number"),
    "PrivateUsers": (None, NO_USERS),
    "ProcSubset": (None, BOOT_ID),
    "RestrictAddressFamilies": ("AF_UNIX AF_NETLINK AF_INET", "D-Bus; interfaces; resolvconf's scripts"),
    "UMask": ("0022", "what resolvconf writes is for every program to read"),
    "User": (None, "/etc/resolv.conf is root's, and systemd-resolved listens to root"),
}
#: Unit -> directive -> (its value, None: not set; why).
EXCEPTIONS: dict[str, dict[str, tuple[str | None, str]]] = {
    "holdfast.service": AGENT,
    "holdfast@.service": AGENT,
    "holdfast-guard.service": {
        "AmbientCapabilities": ("CAP_NET_ADMIN CAP_NET_RAW", "the rule in the output hook, AF_PACKET"),
        "CapabilityBoundingSet": ("CAP_NET_ADMIN CAP_NET_RAW", "as above"),
        "IPAddressDeny": (None, "it sends to 255.255.255.255"),
        "NoExecPaths": (None, "it starts nothing; its interpreter is wherever the package has one"),
        "PrivateNetwork": (None, NETWORK),
        "PrivateUsers": (None, NO_USERS),
        "ProcSubset": (None, BOOT_ID),
        "ProtectProc": (None, "which process the client is"),
        "RestrictAddressFamilies": ("AF_UNIX AF_NETLINK AF_INET AF_PACKET", "control socket, kernel, names, packets"),
        "User": ("holdfast-guard", "the agent's files are not guard's"),
    },
    "holdfast-wait-online.service": {
        **PUBLISHER, **AWAITED,
        **dict.fromkeys(("NoExecPaths", "ProtectHome", "ProtectProc"),
                        (None, "the same; it ends with the boot, and afterwards holdfast-dns.service has them")),
    },
    "holdfast-dns.service": {**PUBLISHER, **EARLY},
    "holdfast-overlay.service": {**OVERLAY, **AWAITED},
    "holdfast-overlay-refresh.service": {**OVERLAY, **EARLY},
    "holdfast-fallback@.service": {
        **dict.fromkeys(STRICTEST, (None, INHERITED)),
        "DevicePolicy": ("closed", "belongs to the control group, which the client leaves"),
    },
    "holdfast-takeover@.service": {
        **dict.fromkeys(STRICTEST, (None, INHERITED)),
        "DevicePolicy": ("closed", "belongs to the control group, which the client leaves"),
    },
}
#: What `systemd-analyze security` may say at the most; of systemd-networkd it says 2.8. It counts directives, and not
#: what stands for them.
EXPOSURE = {
    "holdfast-guard.service": 2.0,
    "holdfast.service": 2.8, "holdfast@.service": 2.8, "holdfast-dns.service": 1.9, "holdfast-wait-online.service": 2.9,
    "holdfast-takeover@.service": 9.4, "holdfast-fallback@.service": 9.4, "holdfast-overlay.service": 2.1,
    "holdfast-overlay-refresh.service": 1.7,
}


def directives(unit: str) -> dict[str, str]:
    """The [Service] section; a directive that comes several times has all its values."""
    body = (SYSTEMD / unit).read_text().split("\n[Service]\n")[1].split("\n[")[0]
    found: dict[str, str] = {}
    for line in body.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = f"{found[key]} {value}" if key in found else value
    return found


def test_every_unit_has_its_table() -> None:
    assert sorted(EXCEPTIONS) == sorted(EXPOSURE) == UNITS


@pytest.mark.parametrize("directive", STRICTEST)
@pytest.mark.parametrize("unit", UNITS)
def test_what_can_be_taken_away_is_or_has_a_reason(unit: str, directive: str) -> None:
    have = directives(unit).get(directive)
    want, _reason = EXCEPTIONS[unit].get(directive, (STRICTEST[directive], ""))
    # No ambient capabilities are the default.
    assert have == (None if directive == "AmbientCapabilities" and want == "" else want)


@pytest.mark.parametrize("unit", UNITS)
def test_what_starts_early_needs_nothing_of_tmp(unit: str) -> None:
    """systemd 252 makes PrivateDevices= in /tmp, too, and systemd-tmpfiles-setup.service empties that."""
    text = (SYSTEMD / unit).read_text()
    if "\nDefaultDependencies=no\n" in text:
        assert not {"PrivateDevices", "PrivateTmp"} & set(directives(unit))
        assert directives(unit)["DevicePolicy"] == "closed"


@pytest.mark.parametrize("unit", [
    unit for unit in UNITS if EXCEPTIONS[unit].get("ProtectKernelLogs") == AWAITED["ProtectKernelLogs"]])
def test_what_is_left_out_for_the_boot_is_kept_otherwise(unit: str) -> None:
    have = directives(unit)
    assert have["DevicePolicy"] == "closed"  # /dev/kmsg; /proc/kmsg takes CAP_SYSLOG
    assert not {"CAP_SYSLOG", "CAP_SYS_MODULE", "CAP_SYS_ADMIN", "CAP_SYS_BOOT"} & set(
        have["CapabilityBoundingSet"].split())
    assert {"~@privileged", "syslog"} <= set(have["SystemCallFilter"].split())  # of which @module is a part
    assert have["ProtectSystem"] == "strict"  # /usr/lib/modules
    # A user without CAP_DAC_OVERRIDE writes nothing of root's; with CAP_NET_ADMIN it could write /proc/sys/net.
    root_too = {"/sys", "-/proc/sysrq-trigger", "-/proc/irq", "-/proc/bus", "-/proc/fs", "-/proc/acpi", "-/proc/scsi"}
    assert {"/proc/sys", *(() if have.get("User") == "holdfast" else root_too)} <= set(have["ReadOnlyPaths"].split())


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_can_use_up_the_machine(unit: str) -> None:
    have = directives(unit)
    assert re.fullmatch(r"[1-9][0-9]*M", have["MemoryMax"])
    assert int(have["TasksMax"]) <= 128


def test_a_hook_that_takes_all_memory_does_not_end_the_agent() -> None:
    assert directives("holdfast.service")["OOMPolicy"] == "continue"


def test_the_publisher_writes_where_resolvers_have_their_files() -> None:
    have = directives("holdfast-dns.service")
    assert have["ReadWritePaths"].split() == ["/etc", "/run", "-/var/spool/postfix/etc", "-/run/systemd/resolve"]
    # What others run or believe, and what the agent's user wrote.
    kept = have["ReadOnlyPaths"].split()
    assert {"-/etc/systemd", "-/etc/resolvconf", "-/run/systemd", "-/run/holdfast"} <= set(kept)
    assert have["ExecPaths"] == "-/etc/resolvconf"


def test_the_publisher_can_be_started_in_a_loop_and_costs_little() -> None:
    """Not by a limit of starts, after which its path unit stays failed and the last state is lost."""
    text = (SYSTEMD / "holdfast-dns.service").read_text()
    assert "\nStartLimitIntervalSec=0\n" in text
    assert directives("holdfast-dns.service")["CPUQuota"] == "25%"
    assert "TriggerLimit" not in (SYSTEMD / "holdfast-dns.path").read_text()


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_thinks_so_too(unit: str) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here")
    # systemd-analyze makes /run/systemd where there is none.
    script = 'mount -t tmpfs none /run && exec "$@"'
    apart = ["unshare", "--mount", "sh", "-c", script, "sh"] if os.getuid() == 0 else []
    done = subprocess.run([*apart, program, "security", "--offline=yes", "--no-pager", str(SYSTEMD / unit)],
                          capture_output=True, text=True, check=False)
    if "offline" in done.stderr:
        pytest.skip("systemd-analyze has no --offline: systemd 251 and later")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE[unit]
    assert "Unknown" not in done.stderr
