"""The steps of a take-over. The journal is written before each step; when a step fails, the take-over is undone.

When the process is killed, the dead-man undoes it, or the next `holdfast takeover` does. A reboot before the
confirmation starts the former client, because nothing that survives a reboot was changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from holdfast.state.identity import BOOT_ID
from holdfast.takeover import adoption, deadman, link_state
from holdfast.takeover import plan as planning
from holdfast.takeover.agent import Agent
from holdfast.takeover.detection import ADAPTERS
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.handback import go_back
from holdfast.takeover.host import Host
from holdfast.takeover.journal import changes
from holdfast.takeover.journal.file import COMMAND_PATIENCE, JournalFile
from holdfast.takeover.journal.record import Journal, Phase
from holdfast.takeover.model import Adapter
from holdfast.takeover.plan import Plan, TakeoverTarget
from holdfast.takeover.session import no_hangup

Say = Callable[[str], None]
#: A daemon forks twice; more means that another program starts it again.
STOPS_MAX = 3


class Takeover:
    """One take-over of ``target``. ``say`` prints each step."""

    def __init__(self, host: Host, target: TakeoverTarget, say: Say, adapters: Sequence[Adapter] = ADAPTERS) -> None:
        self._host, self._target, self._say, self._adapters = host, target, say, adapters
        self._file = JournalFile(host.path(target.takeover_dir), target.ifname)

    def whole(self, confirm_within: float | None, holder: Callable[[], str] | None = None) -> None:
        """All of it, with systemd. ``confirm_within`` seconds: stop before the confirmation and wait so long for it."""
        with no_hangup(), self._locked():
            plan = self._plan(foreground=False, holder=holder)
            journal = self._begin(plan, confirm_within)
            with self._taken_back_on_failure():
                agent = self._agent(journal)
                self._say(f"starting {plan.agent_unit}")
                agent.start()
                self._finish(self._prove(plan, journal, agent), confirm_within)

    def foreground(
        self, become_agent: Callable[[], None], confirm_within: float | None, holder: Callable[[], str] | None = None
    ) -> None:
        """All of it, without systemd: this process becomes the agent (``become_agent`` does not return), and a child
        proves and confirms, or stops it and undoes everything."""
        with self._locked():
            plan = self._plan(foreground=True, holder=holder)
            journal = self._begin(plan, confirm_within)
            child = os.fork()
            if child:
                become_agent()
            status = 1
            try:
                os.setsid()  # what a terminal sends its foreground is for the agent
                with self._taken_back_on_failure():
                    self._finish(self._prove(plan, journal, self._agent(journal)), confirm_within)
                status = 0
            except TakeoverError as error:
                self._say(str(error))
            finally:
                os._exit(status)

    # -- the steps -------------------------------------------------------------------------------

    def _plan(self, *, foreground: bool, holder: Callable[[], str] | None) -> Plan:
        self._file.note_rollback("")
        earlier = self._file.load()
        if earlier is not None and earlier.phase is Phase.CONFIRMED:
            raise TakeoverError(
                f"{self._target.ifname} was taken over from {earlier.found.name} already; `holdfast handback "
                f"{self._target.ifname}` gives it back"
            )
        if earlier is not None:
            self._say("an earlier take-over was not finished: it is taken back first")
            go_back(self._host, self._target, earlier, self._file, self._say, self._adapters)
        return planning.make(
            self._host, self._target, foreground=foreground, adapters=self._adapters, holder=holder
        )

    def _begin(self, plan: Plan, confirm_within: float | None) -> Journal:
        """From the journal to the agent's lease file; the old client is gone then."""
        host, say = self._host, self._say
        adoption.prepare_folder(host, self._target.state_dir)
        ownership = plan.ownership
        journal = Journal(
            plan.target.ifname, plan.adapter.name, Phase.PLANNED, plan.found, plan.lease, ownership,
            changes.record(host, (*ownership.volatile, *ownership.persistent)), plan.before, _boot_id(host),
            plan.agent_unit, plan.agent_enabled,
        )
        self._save(journal)
        with self._taken_back_on_failure():
            journal = journal.armed(self._arm(deadman.STEPS_TIME + (confirm_within or 0.0)))
            say(f"{plan.found.name} holds {plan.lease.address} ({plan.lease.source})")
            for line in ownership.lost:
                say(line)
            journal = self._enter(journal, Phase.OWNING)
            changes.apply(host, journal, ownership.volatile)
            journal = self._enter(journal, Phase.STOPPING)
            say(f"stopping {plan.found.name} (pid {', '.join(map(str, plan.found.pids))})")
            self._stop(plan)
            journal = self._enter(journal, Phase.ADOPTING)
            assert plan.ours is not None
            adoption.write(host, self._target.state_dir, plan.target.ifname, plan.ours, plan.lease.client_id or b"")
        return journal

    def _stop(self, plan: Plan) -> None:
        """Stop the client, and what it forks meanwhile while it becomes a daemon."""
        found = plan.found
        for _ in range(STOPS_MAX):
            plan.adapter.stop(self._host, found)
            left = plan.adapter.find(self._host, plan.target.ifname)
            if left is None or set(left.pids) <= set(found.pids):
                return
            found = left
        raise TakeoverError(f"{found.name} comes back as often as it is stopped ({found.evidence}): something "
                            "restarts it. Stop that first")

    def _prove(self, plan: Plan, journal: Journal, agent: Agent) -> Journal:
        """Prove the take-over: the agent serves the address, and its server acknowledges a renewal."""
        agent.wait()
        assert plan.ours is not None
        link_state.adopt(self._host, plan.target.ifname, plan.spec, plan.ours)
        self._say(agent.renew())
        held = self._host.observe(plan.target.ifname).find(plan.spec.address)
        if held is None:
            raise TakeoverError(f"{plan.spec.address} is not on {plan.target.ifname} after the renewal")
        return self._enter(journal, Phase.PROVEN)

    def _finish(self, journal: Journal, confirm_within: float | None) -> None:
        if confirm_within is None:
            self._confirm(journal)
            return
        # The one for the steps is kept until the one for the confirmation is armed.
        journal = journal.armed(self._arm(confirm_within, beside=journal.deadman))
        self._save(journal)
        deadman.disarm(self._host, journal.ifname, keep=journal.deadman)
        self._say(f"say `holdfast confirm {journal.ifname}` within {confirm_within:.0f} s, or {journal.found.name} "
                  "gets it back")

    def _arm(self, seconds: float, beside: str = "") -> str:
        return deadman.arm(self._host, self._target.ifname, seconds, self._target.config, beside=beside)

    def confirm(self) -> None:
        """`holdfast confirm`."""
        with no_hangup(), self._locked():
            journal = self._file.load()
            if journal is None:
                raise TakeoverError(self._nothing_to_confirm())
            if journal.phase is Phase.CONFIRMED:
                self._say(f"{journal.ifname} is confirmed already")
                return
            if journal.phase < Phase.PROVEN:
                raise TakeoverError(f"the take-over of {journal.ifname} did not come as far as its proof; it is taken "
                                    f"back by `holdfast handback {journal.ifname}`")
            with self._taken_back_on_failure():
                if not self._agent(journal).serving:
                    raise TakeoverError(f"no agent serves {journal.ifname}")
                self._confirm(journal)

    def _nothing_to_confirm(self) -> str:
        ifname, client = self._target.ifname, self._file.rolled_back_to()
        if not client:
            return f"no take-over of {ifname} waits to be confirmed"
        return (f"the take-over of {ifname} was not confirmed in time and was rolled back to {client}; `holdfast "
                f"takeover {ifname} --confirm-within SECONDS` takes it over again")

    def _confirm(self, journal: Journal) -> None:
        journal = self._enter(journal, Phase.CONFIRMING)
        changes.apply(self._host, journal, journal.ownership.persistent)
        self._enter(journal, Phase.CONFIRMED)
        deadman.disarm(self._host, journal.ifname)
        self._say(f"{journal.ifname} is Holdfast's; `holdfast handback {journal.ifname}` gives it back to "
                  f"{journal.found.name}")

    # -- helpers ---------------------------------------------------------------------------------

    def _agent(self, journal: Journal) -> Agent:
        return Agent(self._host, journal.ifname, self._target.runtime_dir, journal.agent_unit)

    def _enter(self, journal: Journal, phase: Phase) -> Journal:
        journal = journal.at(phase)
        self._save(journal)
        return journal

    def _save(self, journal: Journal) -> None:
        self._file.save(journal)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        planning.require_own_folder(self._host, self._target)
        with self._file.locked(self._host.wait, COMMAND_PATIENCE):
            yield

    @contextmanager
    def _taken_back_on_failure(self) -> Iterator[None]:
        """On any exception inside, an interrupt included, hand back to the former client."""
        try:
            yield
        except BaseException as error:
            self._say(f"taken back, because: {str(error) or type(error).__name__}")
            journal = self._file.load()
            if journal is not None:
                try:
                    go_back(self._host, self._target, journal, self._file, self._say, self._adapters)
                except TakeoverError as other:
                    raise TakeoverError(f"{error}. Not all could be taken back: {other}") from None
            if isinstance(error, TakeoverError):
                raise TakeoverError(f"{error}. All was taken back: {self._target.ifname} is served as before") from None
            raise


def _boot_id(host: Host) -> str:
    return host.text(BOOT_ID, 128).strip()
