"""Gives an interface back to its former client, from the journal: by command, by the dead-man, or after a failure.

Every step may be repeated, so the next hand-back finishes one that was killed: the dead-man's at the latest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import NoReturn

from holdfast.state.identity import BOOT_ID
from holdfast.takeover import adoption, deadman, link_state
from holdfast.takeover.adapters import process
from holdfast.takeover.agent import ALL, Agent, meant
from holdfast.takeover.detection import ADAPTERS, adapter_called
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.journal import changes
from holdfast.takeover.journal.file import HANDBACK_PATIENCE, JournalFile
from holdfast.takeover.journal.record import Journal, Phase
from holdfast.takeover.model import Adapter, ForeignLease
from holdfast.takeover.plan import TakeoverTarget, require_own_folder
from holdfast.takeover.session import no_hangup

Say = Callable[[str], None]
#: Seconds for the former client to be seen again after it was started.
CLIENT_PATIENCE = 20.0
DNS_PATIENCE = 70.0  # its own limit is 60 s
#: The daemon's publisher of name servers, and seconds for a run of it that has nothing to publish.
DNS_UNIT, DNS_RUN = "holdfast-dns.service", 10.0


def hand_back(
    host: Host, target: TakeoverTarget, say: Say, *, unconfirmed: bool, adapters: Sequence[Adapter] = ADAPTERS
) -> None:
    """`holdfast handback`. ``unconfirmed``: do nothing when the take-over is confirmed (for the dead-man)."""
    require_own_folder(host, target)
    file = JournalFile(host.path(target.takeover_dir), target.ifname)
    with no_hangup(), file.locked(host.wait, HANDBACK_PATIENCE):
        journal = file.load()
        if journal is None:
            if unconfirmed:
                return
            raise TakeoverError(f"{target.ifname} was not taken over from another client: there is nobody to give it "
                                "to")
        if unconfirmed and journal.phase is Phase.CONFIRMED:
            return
        _check_shared(host, journal, target)
        process.check(host, journal.found)  # before the agent stops: afterwards no client would renew the lease
        file.note_rollback(journal.found.name if unconfirmed else "")
        if journal.phase >= Phase.PROVEN:
            _renew_first(host, target, journal, say)
        if not unconfirmed:
            journal = _insured(host, target, journal, file, say)
        go_back(host, target, journal, file, say, adapters)


def _insured(host: Host, target: TakeoverTarget, journal: Journal, file: JournalFile, say: Say) -> Journal:
    """Hand back with a dead-man that finishes a hand-back which is interrupted or fails: between two clients no client
    renews. When it cannot be armed, as on a full disk, the hand-back goes on without it."""
    journal = journal.at(min(journal.phase, Phase.CONFIRMING))  # it leaves a confirmed take-over alone
    try:
        journal = journal.armed(deadman.arm(host, journal.ifname, deadman.STEPS_TIME, target.config))
        file.save(journal)
    except TakeoverError as error:
        say(f"{error}; if this hand-back is interrupted, `holdfast handback {journal.ifname}` goes on")
    return journal


def _check_shared(host: Host, journal: Journal, target: TakeoverTarget) -> None:
    others = [
        name for name in dict.fromkeys((*target.settings.interfaces, *host.interfaces())) if name != target.ifname
        and (name in target.settings.interfaces
             or (meant(target.settings, name) and Agent(host, name, target.runtime_dir, ALL).serving))
    ]
    if journal.agent_unit == ALL and others:
        raise TakeoverError(
            f"{ALL} serves {target.ifname} and {', '.join(others)}, and would be stopped for all of them; first let "
            f"holdfast@NAME.service serve the others, and leave {target.ifname} alone in the configuration"
        )


def _renew_first(host: Host, target: TakeoverTarget, journal: Journal, say: Say) -> None:
    """Renew once more, so that the former client gets a full lease, which lasts until its own first renewal."""
    agent = Agent(host, target.ifname, target.runtime_dir, journal.agent_unit)
    if agent.serving:
        try:
            say(agent.renew())
        except TakeoverError as error:
            say(f"{error}; the lease is handed back as it is")


def go_back(
    host: Host, target: TakeoverTarget, journal: Journal, file: JournalFile, say: Say,
    adapters: Sequence[Adapter] = ADAPTERS,
) -> None:
    """Undo what the journal says may have been done, and start the former client. TakeoverError when it cannot be
    started: the journal stays, and the address, too."""
    adapter = adapter_called(journal.adapter, adapters)
    ifname, ownership, phase = journal.ifname, journal.ownership, journal.phase
    same_boot = journal.boot_id == host.text(BOOT_ID, 128).strip()
    lease_now = journal.lease
    agent = Agent(host, ifname, target.runtime_dir, journal.agent_unit)
    if phase >= Phase.ADOPTING:
        lease_now = _lease_now(host, target, journal, same_boot=same_boot)
        agent.stop()
    if phase >= Phase.CONFIRMING:
        changes.undo(host, journal, ownership.persistent, say)
    if phase >= Phase.OWNING:
        changes.undo(host, journal, ownership.volatile, say)
    # After a reboot before the confirmation the former client has started by itself.
    if phase >= Phase.STOPPING and (same_boot or phase >= Phase.CONFIRMING) and adapter.find(host, ifname) is None:
        if phase >= Phase.ADOPTING:
            _withdraw_dns(host, target, say)
            link_state.put_back(host, ifname, journal.before, lease_now.address, lease_now.expires_at, say)
        say(f"starting {journal.found.name}")
        try:
            adapter.give_back(host, journal.found, lease_now)
        except TakeoverError as error:
            _nobody_else(host, adapter, agent, journal, error)
        if not host.wait(lambda: adapter.find(host, ifname) is not None, CLIENT_PATIENCE):
            raise TakeoverError(f"{journal.found.name} was started on {ifname} and is not running; see its log. "
                                f"The address stays until its lease ends; `holdfast handback {ifname}` tries again")
    if phase >= Phase.ADOPTING:
        adoption.forget(host, target.state_dir, ifname)
    file.remove()
    deadman.disarm(host, ifname)
    say(f"{ifname} is {journal.found.name}'s again")


def _nobody_else(host: Host, adapter: Adapter, agent: Agent, journal: Journal, error: TakeoverError) -> NoReturn:
    """Raise ``error``, because the former client could not be started as it should; the agent is started again when
    that client does not run at all, so that the lease is renewed."""
    again = f"`holdfast handback {journal.ifname}` tries again"
    if adapter.find(host, journal.ifname) is not None:
        raise TakeoverError(f"{error}. {journal.found.name} runs nevertheless; {again}") from None
    if not agent.unit or journal.phase < Phase.ADOPTING:
        raise TakeoverError(f"{error}. No client serves {journal.ifname} now; {again}") from None
    try:
        agent.start()
    except TakeoverError as other:
        raise TakeoverError(f"{error}. {other}. No client serves {journal.ifname} now; {again}") from None
    raise TakeoverError(f"{error}. Holdfast serves {journal.ifname} until the next boot; {again}") from None


def _lease_now(host: Host, target: TakeoverTarget, journal: Journal, *, same_boot: bool) -> ForeignLease:
    """The agent's lease when it has a valid one, else the former client's as it was read; a lease of another boot
    counts as ended, because its instants are of that boot."""
    stored = adoption.remembered(host, target.state_dir, journal.ifname)
    if stored is None or not stored.lease.valid(host.boottime()):
        lease = journal.lease
        ago = 0.0 if same_boot or lease.expires_at == inf else host.boottime() - lease.expires_at
        return replace(
            lease, started_at=lease.started_at + ago, t1_at=lease.t1_at + ago, t2_at=lease.t2_at + ago,
            expires_at=lease.expires_at + ago,
        )
    return adoption.from_lease(stored.lease, journal.lease)


def _withdraw_dns(host: Host, target: TakeoverTarget, say: Say) -> None:
    """Let the publisher of name servers restore what was there before the agent."""
    host.remove(f"{target.runtime_dir}/dns/{target.ifname}.json")
    spool = f"{target.runtime_dir}/dns"
    command = deadman.own_program("holdfast.publish.publisher", "--spool", spool, "--state-dir", target.dns_dir)
    done = host.run(command, timeout=DNS_PATIENCE)
    if not done.ok:
        say(f"name servers: {done.complaint}")
    if not host.systemd:
        return
    # The daemon's own publisher runs soon at any rate, because its folder has changed. In some containers it knows this
    # boot by another name than we do and takes back what we could not; once networkd has the link, that is refused.
    host.run(["systemctl", "start", DNS_UNIT])
    host.wait(lambda: host.unit_state(DNS_UNIT) not in ("active", "activating"), DNS_RUN)
