"""udhcpc (busybox), alone.

Facts, tried with 1.35: it keeps nothing on disk and sets no lifetimes, so its lease is learned on the wire: SIGUSR1
makes it renew by unicast. SIGKILL leaves the interface as it is; SIGUSR2 releases, and SIGTERM does with ``-R``.
When it starts, its script is called with "deconfig" and flushes the interface, and it knows no INIT-REBOOT: ``-r``
puts the address into a DISCOVER. So at hand-back it is started with a script before its own that lets the first
"deconfig" do nothing, and requests its address; its DISCOVER cannot be avoided.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Interface

from holdfast.settings.dirs import TAKEOVER_DIR
from holdfast.takeover.adapters import process
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import ForeignLease, Found, Ownership
from holdfast.takeover.processes import Process

#: busybox --help: options with a value, short and long.
_VALUED = "ipsrVFxOtTA"
_LONG = {"interface": "i", "pidfile": "p", "script": "s", "request": "r", "vendorclass": "V", "fqdn": "F",
         "retries": "t", "timeout": "T", "tryagain": "A"}
DEFAULT_SCRIPTS = ("/etc/udhcpc/default.script", "/usr/share/udhcpc/default.script")
#: Root executes what is here as long as that udhcpc runs, so it is no folder of the agent's user; and /run, where it
#: would go otherwise, is mounted noexec by Debian's initramfs.
FOLDER = TAKEOVER_DIR
#: Calls the client's own script for everything but the "deconfig" before the first lease.
_QUIET = """\
#!/bin/sh
# Written by `holdfast handback`: udhcpc calls its script with "deconfig" when it starts, which would take the address.
if [ "$1" = deconfig ] && [ -e '{flag}' ]; then exit 0; fi
rm -f '{flag}'
exec '{script}' "$@"
"""


class Udhcpc:
    """See ``model.Adapter``."""

    name = "udhcpc"

    def find(self, host: Host, ifname: str) -> Found | None:
        """The udhcpc whose ``-i`` is the interface, and what it has forked."""

        def look() -> list[Process]:
            return [process for process in host.processes() if _is(process) and interface(process.argv) == ifname]

        return process.find(host, self.name, ifname, look)

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The address only; the rest is to be learned."""
        held = [address for address in host.observe(found.ifname).addresses if address.scope == 0]
        wide = [address for address in held if address.interface.network.prefixlen < 32]
        if not held:
            raise TakeoverError(f"{found.ifname} has no address, so udhcpc (pid {found.pids[0]}) has no lease yet")
        now = host.boottime()
        return ForeignLease(
            address=IPv4Interface((wide or held)[0].interface), server_id=None,
            started_at=now, t1_at=now, t2_at=now, expires_at=now, options={}, client_id=None,
            vendor_class=None, hostname=None, source=f"the address on {found.ifname}",
        )

    def ask_renewal(self, host: Host, found: Found) -> None:
        """See ``model.RenewalTrigger``."""
        process.ask(host, found)

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """Its own unit, when it has one, does not start it."""
        return process.unit_ownership(host, found)

    def stop(self, host: Host, found: Found) -> None:
        """SIGKILL: SIGUSR2 releases, and SIGTERM may."""
        process.stop(host, found)

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start it so that it requests the address, and its first "deconfig" has no effect."""
        start_quietly(host, found, lease_now)


def start_quietly(host: Host, found: Found, lease: ForeignLease) -> None:
    """Start it so that nothing is taken from the interface."""
    script = option(found.argv, "s") or next(
        (path for path in DEFAULT_SCRIPTS if host.exists(path)), DEFAULT_SCRIPTS[0]
    )
    quiet, flag = f"{FOLDER}/udhcpc-{found.ifname}.script", f"{FOLDER}/udhcpc-{found.ifname}.first"
    if "'" in script + quiet:
        raise TakeoverError(f"{script!r} cannot be called from a script; start udhcpc by hand")
    host.require_root(os.path.join(found.cwd, script), f"udhcpc's script on {found.ifname}")
    host.write(flag, b"")
    host.write(quiet, _QUIET.format(flag=flag, script=script).encode(), 0o755)
    # Of an option that is there twice the last counts.
    extra = ["-s", quiet, "-r", str(lease.address.ip)]
    found = replace(found, argv=plain(found.argv))
    if found.unit:  # its command line, until the next boot
        program = host.which(found.argv[0]) or found.argv[0]
        line = " ".join(_unit_word(word) for word in (program, *found.argv[1:], *extra))
        content = f"[Service]\nExecStart=\nExecStart={line}\n"
        host.write(f"/run/systemd/system/{found.unit}.d/60-holdfast-quiet.conf", content.encode())
        host.must(process.RELOAD)
    process.start_again(host, found, extra)


def _unit_word(word: str) -> str:
    """A word of ExecStart= (systemd.service(5)): quoted, and nothing in it expanded."""
    for plain_text, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$"), ("\n", "\\n")):
        word = word.replace(plain_text, escaped)
    return f'"{word}"'


def _is(process: Process) -> bool:
    return process.program == "udhcpc" or process.argv[:2] in (("busybox", "udhcpc"), ("/bin/busybox", "udhcpc"))


def plain(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line without what an earlier hand-back added."""
    words = list(argv)
    if f"{FOLDER}/udhcpc-" in option(argv, "s"):
        words = words[:-4]
    return tuple(words)


def interface(argv: Sequence[str]) -> str:
    """``-i``; eth0 when there is none."""
    return option(argv, "i") or "eth0"


def option(argv: Sequence[str], letter: str) -> str:
    """The last value of an option, in any of getopt_long(3)'s forms; "" when it is not given."""
    value = ""
    rest = iter(argv[1:])
    for word in rest:
        if word.startswith("--"):
            name, equals, given = word[2:].partition("=")
            short = _LONG.get(name, "")
            if short and not equals:
                given = next(rest, "")
            if short == letter:
                value = given
        elif word.startswith("-"):
            for at, flag in enumerate(word[1:], 2):
                if flag in _VALUED:
                    given = word[at:] or next(rest, "")
                    if flag == letter:
                        value = given
                    break
                if flag == "a":  # what follows in the same word is its value
                    break
    return value
