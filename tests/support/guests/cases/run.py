"""One case: boot, look, take over, look, reboot, look."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import NamedTuple

from tests.support.guests.cases.case import Case
from tests.support.guests.cases.looks import Look, differences, look
from tests.support.guests.guest import Guest, GuestError
from tests.support.guests.install import UNHURRIED, install
from tests.support.guests.net import Terms
from tests.support.guests.nspawn import Nspawn
from tests.support.guests.qemu import Qemu

from holdfast_lab.testbed.fair_time import FairTimer
from holdfast_lab.witness.wirelog import Seen, boottime

#: The same in every case, so that addresses made of it are.
MAC = "fa:16:3e:d4:57:ad"
#: The list that packaging/image/bake.sh writes.
LIST = "en*\neth*\n"
#: Fair seconds in which a guest's network comes to rest, and how long nothing may change until it counts as that.
PATIENCE, REST = 40.0, 3.0
#: Seconds until a boot that has not ended is looked at all the same.
BOOT = 90.0


class Outcome(NamedTuple):
    """``verdict``: accepted, baked, refused, or failed; ``reason``: of the latter two. ``seconds``: of the take-over.
    ``missed``, ``asked``: probes from before the take-over until the guest was at rest. The rest as
    ``looks.differences`` tells it; ``whole``: seconds of everything."""

    case: str
    verdict: str
    reason: str = ""
    seconds: float = 0.0
    missed: int = 0
    asked: int = 0
    at_once: tuple[str, ...] = ()
    after_reboot: tuple[str, ...] = ()
    whole: float = 0.0

    @property
    def same(self) -> bool:
        """Accepted, and nothing differs."""
        return self.verdict in {"accepted", "baked"} and not self.at_once and not self.after_reboot and not self.missed

    def as_wanted(self, case: Case) -> bool:
        """The same, or refused as the case says."""
        if case.refused is not None:
            return self.verdict == "refused" and case.refused in self.reason and not self.at_once
        return self.same


def run(case: Case, release: str = "bookworm") -> Outcome:
    """Run it in a guest of Debian's ``release``. A guest that fails is an outcome with its reason, no exception."""
    began = time.monotonic()
    try:
        outcome = _run(case, release)
    except (AssertionError, OSError, RuntimeError) as error:
        text = str(error).strip() or type(error).__name__
        outcome = Outcome(case.name, "failed", text.splitlines()[0])
    return outcome._replace(whole=time.monotonic() - began)


def _run(case: Case, release: str) -> Outcome:
    terms = Terms(lease_time=1200, ipv6=case.ipv6, extra=case.dnsmasq)
    kind = Qemu if case.virtual_machine else Nspawn
    files = {**case.files(), **UNHURRIED}
    guest = kind(case.manager, terms=terms, configured=False, files=files, mac=MAC, release=release)
    if isinstance(guest, Nspawn):
        guest.sysctls = True
    with guest:
        before = _booted(guest, case)
        install(guest)
        return _baked(guest, case, before) if case.baked else _taken_over(guest, case, before)


def _booted(guest: Guest, case: Case) -> Look:
    """The boot is over, the case's own command has run, and the network is at rest."""
    with suppress(GuestError):  # a unit that waits for what never comes: the look says what is there
        guest.wait_booted(BOOT)
    if case.prepare:
        guest.shell(f"({case.prepare}) </dev/null", timeout=60, check=False)  # what it did not do, a look will tell
    with suppress(GuestError):  # a link that gets none looks so before and afterwards
        guest.wait_address(30, case.interface)
    return _at_rest(guest, case)


def _at_rest(guest: Guest, case: Case) -> Look:
    """What the guest looks like when it has looked so for ``REST`` fair seconds; after ``PATIENCE``, at last."""
    patience = FairTimer(PATIENCE)
    now, rest = look(guest.shell, case.also_compare), FairTimer(REST)
    while not patience.over() and not (rest.over() and now.settled):
        time.sleep(1)
        after = look(guest.shell, case.also_compare)
        if after != now:
            now, rest = after, FairTimer(REST)
    return now


def _taken_over(guest: Guest, case: Case, before: Look) -> Outcome:
    address = _leased(guest, case)
    probe = None if address is None else guest.net.probe(address)
    if probe is not None:
        guest.wait(lambda: probe.answering(address), 10, f"{address} answers")
    began = boottime()
    done = guest.run(["holdfast", "takeover", case.interface], timeout=180)
    seconds = boottime() - began
    after = _at_rest(guest, case)
    at_once = differences(before, after)
    missed, asked = 0, 0
    if probe is not None:
        probe.finish()
        missed, asked = len(probe.missed(address, began)), len(probe.asked(address, began))
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("holdfast:")]
        reason = (said or (done.stderr + done.stdout).strip().splitlines() or ["it said nothing"])[-1]
        return Outcome(case.name, "refused", reason, seconds, missed, asked, tuple(at_once))
    at_once += _lease(guest, case, guest.net.packets.sent(since=began))
    return Outcome(
        case.name, "accepted", "", seconds, missed, asked, tuple(at_once), tuple(_after_reboot(guest, case, before)),
    )


def _leased(guest: Guest, case: Case) -> str | None:
    """The address on the link that the server has given, not one that is set beside it."""
    given = {line.split()[2] for file in guest.net.dhcp.lease_files() for line in file.read_text().splitlines()
             if len(line.split()) >= 5}
    return next((address for address in guest.addresses(case.interface) if address in given), None)


def _baked(guest: Guest, case: Case, before: Look) -> Outcome:
    """What packaging/image/bake.sh does when the package is there, then a boot of that image."""
    guest.push("/etc/holdfast/links", LIST.encode())
    return Outcome(case.name, "baked", after_reboot=tuple(_after_reboot(guest, case, before)))


def _after_reboot(guest: Guest, case: Case, before: Look) -> list[str]:
    began = boottime()
    guest.reboot()
    return differences(before, _booted(guest, case)) + _lease(guest, case, guest.net.packets.sent(since=began))


def _lease(guest: Guest, case: Case, sent: list[Seen]) -> list[str]:
    """Nothing when the lease of the case's interface is Holdfast's, and nobody else has asked for one."""
    found = []
    status = guest.run(["holdfast", "status", case.interface, "--json"])
    try:
        states = [client["state"] for client in json.loads(status.stdout)] if status.returncode == 0 else []
    except (ValueError, KeyError, TypeError):
        states = []
    served = "BOUND" in states
    if not served and not (case.baked and not case.interface.startswith(("en", "eth"))):
        found.append(f"lease: not Holdfast's ({(status.stderr or status.stdout).strip().splitlines()[-1:]}, {states})")
    clients = {(seen.options.get("client_id"), seen.options.get("vendor_class")) for seen in sent}
    if len(clients) > 1:
        found.append(f"lease: {len(clients)} clients asked for one: {sorted(map(str, clients))}")
    return found
