"""The whole of a take-over and the way back, killed at every step: one client serves, and all is as it was."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support import takeovers
from tests.support.takeovers import AGENT_FILE, OWN_FILE, RUN_FILE, FakeAgent, Killed, Mortal, OldClient, place

from holdfast.network.plan import AddRoute, DeleteRoute, Observed, PutAddress
from holdfast.network.spec import Route
from holdfast.settings.model import InterfaceSettings, Settings
from holdfast.takeover import capture, handback, plan, procedure
from holdfast.takeover.adapters import process
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.handback import hand_back
from holdfast.takeover.host import Completed
from holdfast.takeover.journal import file
from holdfast.takeover.model import ForeignLease, Found
from holdfast.takeover.procedure import Takeover

ADAPTERS = (OldClient(),)
#: Left behind for whoever looks: a lock, and the take-over's own folder.
LEFT = ("var/lib/holdfast/", "var/lib/holdfast-takeover/", "var/lib/old/lease", "proc/", "run/systemd")
SAVE = file.JournalFile.save


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (procedure, handback, plan):
        monkeypatch.setattr(module, "Agent", FakeAgent)
    monkeypatch.setattr(FakeAgent, "fault", "")
    monkeypatch.setattr(capture, "answered", lambda *_: True)


def machine(folder: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int = 0, *, new: bool = True) -> Mortal:
    host = Mortal(folder, dies_at)
    if new:
        takeovers.furnish(host)
    host.boot_systemd()
    host.answers["systemctl is-enabled"] = Completed(1, "disabled\n", "")

    def save(self: file.JournalFile, what: Any) -> None:
        host.act()
        SAVE(self, what)

    monkeypatch.setattr(file.JournalFile, "save", save)
    return host


def take(host: Mortal, told: list[str] | None = None, confirm_within: float | None = None) -> None:
    Takeover(host, place(), (told if told is not None else []).append, ADAPTERS).whole(confirm_within)


def outside(host: Mortal) -> dict[str, bytes]:
    return {name: data for name, data in host.tree().items() if not name.startswith(LEFT)}


def assert_as_before(host: Mortal, before: dict[str, bytes]) -> None:
    assert OldClient().find(host, "eth0") is not None, "the old client runs"
    assert outside(host) == before
    assert not host.exists(AGENT_FILE)
    assert not host.exists("/var/lib/holdfast-takeover/eth0.json")
    assert not host.exists("/var/lib/holdfast/eth0.lease.json")


def test_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    before, told = outside(host), []  # type: ignore[var-annotated]
    take(host, told)

    assert host.exists(AGENT_FILE)
    assert OldClient().find(host, "eth0") is None
    assert host.text(OWN_FILE) == "mine = no\n"
    assert ("systemctl", "enable", "holdfast@eth0.service") in host.ran
    stored = json.loads(host.text("/var/lib/holdfast/eth0.lease.json"))
    assert stored["client_id"] == b"\x01old".hex()
    assert stored["lease"]["verified"] is True
    assert stored["path"] is None
    assert told[-1] == "eth0 is Holdfast's; `holdfast handback eth0` gives it back to oldclient"
    assert armed(host) == set()

    hand_back(host, place(), told.append, unconfirmed=False, adapters=ADAPTERS)
    assert_as_before(host, before)
    assert Path(host.path(OWN_FILE)).stat().st_mode & 0o777 == 0o640
    for command in (("oldctl", "enable"), ("oldctl", "on"), ("systemctl", "disable", "holdfast@eth0.service")):
        assert command in host.ran
    assert told[-1] == "eth0 is oldclient's again"


def armed(host: Mortal) -> set[str]:
    """The dead-men's timers that were started and not stopped."""
    timers: set[str] = set()
    for words in host.ran:
        if words[0] == "systemd-run":
            timers.add(words[2].removeprefix("--unit="))
        elif words[:2] == ("systemctl", "stop"):
            timers.discard(words[2].removesuffix(".timer"))
    return timers


def test_killed_anywhere_there_is_a_dead_man(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the time for the steps becomes the time for the confirmation."""
    for dies_at in range(1, 60):
        host = machine(tmp_path / str(dies_at), monkeypatch, dies_at)
        try:
            take(host, confirm_within=300)
        except Killed:
            file = host.text("/var/lib/holdfast-takeover/eth0.json")
            assert armed(host) or '"PLANNED"' in file or not file, dies_at
            continue
        assert armed(host) == {"holdfast-unconfirmed-eth0"}
        return
    raise AssertionError("it never comes to its end")


def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    host = machine(tmp_path / "count", monkeypatch)
    take(host)
    return host.acts


def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rule 52: the dead-man, or a second call, converges wherever the first was killed."""
    total = steps(tmp_path, monkeypatch)
    assert total > 15
    for dies_at in range(1, total + 1):
        for mend in ("deadman", "again"):
            folder = tmp_path / f"{dies_at}-{mend}"
            host = machine(folder, monkeypatch, dies_at)
            before = outside(host)
            with pytest.raises(Killed):
                take(host)
            host = machine(folder, monkeypatch, new=False)
            if mend == "again" and '"CONFIRMED"' not in host.text("/var/lib/holdfast-takeover/eth0.json"):
                take(host)
                assert host.exists(AGENT_FILE), dies_at
            hand_back(host, place(), lambda _: None, unconfirmed=False, adapters=ADAPTERS) \
                if host.exists("/var/lib/holdfast-takeover/eth0.json") else None
            assert_as_before(host, before)


def test_a_hand_back_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for dies_at in range(1, 60):
        folder = tmp_path / str(dies_at)
        host = machine(folder, monkeypatch)
        before = outside(host)
        take(host)
        host = machine(folder, monkeypatch, dies_at, new=False)
        try:
            hand_back(host, place(), lambda _: None, unconfirmed=False, adapters=ADAPTERS)
        except Killed:
            insured = bool(armed(host))
            over = not host.exists("/var/lib/holdfast-takeover/eth0.json")
            assert insured or over or host.exists(AGENT_FILE), "somebody serves, or somebody comes"
            host = machine(folder, monkeypatch, new=False)
            if not over:
                hand_back(host, place(), lambda _: None, unconfirmed=insured, adapters=ADAPTERS)
            if insured and host.exists(AGENT_FILE):  # killed before that was written down: nothing was done
                hand_back(host, place(), lambda _: None, unconfirmed=False, adapters=ADAPTERS)
            assert_as_before(host, before)
        else:
            assert dies_at > 10
            assert armed(host) == set()
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("settings", [
    Settings(interfaces={"eth0": InterfaceSettings(), "eth1": InterfaceSettings()}),
    Settings(interfaces={"eth0": InterfaceSettings()}, serve=("eth*",)),
])
def test_the_agent_of_others_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """One agent for all: to stop it would leave the others to nobody."""
    host = machine(tmp_path, monkeypatch)
    host.answers["systemctl is-enabled holdfast.service"] = Completed(0, "enabled\n", "")
    Takeover(host, place(settings), lambda _: None, ADAPTERS).whole(None)
    host.links["eth1"] = host.links["eth0"]._replace(name="eth1")
    with pytest.raises(TakeoverError, match=r"holdfast\.service serves eth0 and eth1, and would be stopped for all"):
        hand_back(host, place(settings), str, unconfirmed=False, adapters=ADAPTERS)
    assert host.exists(AGENT_FILE)
    del host.links["eth1"]
    alone = Settings(interfaces={"eth0": InterfaceSettings()}, serve=settings.serve)
    hand_back(host, place(alone), str, unconfirmed=False, adapters=ADAPTERS)
    assert OldClient().find(host, "eth0") is not None


def test_a_hand_back_on_a_terminal_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is started though nobody reads what is said: an ssh session may be lost at any moment."""
    host = machine(tmp_path, monkeypatch)
    take(host)
    said: list[str] = []

    def say(text: str) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        said.append(text)

    former = signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        hand_back(host, place(), say, unconfirmed=False, adapters=ADAPTERS)
        assert signal.getsignal(signal.SIGHUP) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, former)
    assert said[-1] == "eth0 is oldclient's again"


def test_the_daemons_publisher_is_done_before_the_client_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd-resolved lets nobody take names back from a link that networkd manages again."""
    host = machine(tmp_path, monkeypatch)
    take(host)
    states = ["activating\n", "active\n"]

    def state(_: object) -> Completed:
        assert OldClient().find(host, "eth0") is None
        return Completed(0, states.pop(0) if states else "inactive\n", "")

    host.answers["systemctl is-active holdfast-dns.service"] = state
    hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    assert states == []
    assert OldClient().find(host, "eth0") is not None


def test_a_hand_back_without_a_dead_man(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done all the same."""
    host = machine(tmp_path, monkeypatch)
    before, told = outside(host), []  # type: ignore[var-annotated]
    take(host)
    host.answers["systemd-run"] = Completed(1, "", "no such thing\n")
    hand_back(host, place(), told.append, unconfirmed=False, adapters=ADAPTERS)
    assert_as_before(host, before)
    assert "if this hand-back is interrupted, `holdfast handback eth0` goes on" in "".join(told)


def test_power_lost_in_the_middle_leaves_a_client_for_the_next_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a confirmation or a hand-back ends, the next boot is Holdfast's, the former client's, or both'."""
    total = 0
    for dies_at in range(1, 200):
        host = machine(tmp_path / str(dies_at), monkeypatch, dies_at)
        try:
            take(host)
            hand_back(host, place(), lambda _: None, unconfirmed=False, adapters=ADAPTERS)
        except Killed:
            total += 1
        ours = [words for words in host.ran if words[-1].startswith("holdfast@")]
        own = [words[1] for words in ours if words[1] in ("enable", "disable")]
        assert own[-1:] == ["enable"] or host.text(OWN_FILE) == "mine = yes\n", dies_at
        if total < dies_at:
            return
    raise AssertionError("it never came to its end")


def test_a_failed_proof_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    before = outside(host)
    monkeypatch.setattr(FakeAgent, "fault", "the renewal that was to prove the take-over failed: kept")
    told: list[str] = []
    with pytest.raises(TakeoverError, match=r"failed: kept\. All was taken back: eth0 is served as before"):
        take(host, told)
    assert_as_before(host, before)
    assert ("oldctl", "disable") not in host.ran, "nothing that outlives a reboot"
    assert not any(command[:2] == ("systemctl", "enable") for command in host.ran)


def test_a_command_that_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("oldctl off", "oldctl disable", "systemd-run"):
        host = machine(tmp_path / command, monkeypatch)
        before = outside(host)
        host.answers[command] = Completed(1, "", "no such thing\n")
        with pytest.raises(TakeoverError, match=f"`{command}.*failed: no such thing"):
            take(host)
        assert_as_before(host, before)


def test_a_command_that_ends_its_words_with_a_full_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    host.answers["oldctl off"] = Completed(1, "", "See the journal for details.\n")
    with pytest.raises(TakeoverError, match=r"for details\. All was taken back: eth0 is served as before$"):
        take(host)


def test_confirm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    before, told = outside(host), []  # type: ignore[var-annotated]
    take(host, told, 300)
    assert told[-1] == "say `holdfast confirm eth0` within 300 s, or oldclient gets it back"
    assert host.text(OWN_FILE) == "mine = yes\n"
    armed = [command for command in host.ran if command[0] == "systemd-run"]
    assert [command[1] for command in armed] == ["--on-active=420", "--on-active=300"]
    assert armed[-1][-3:] == ("handback", "eth0", "--unconfirmed")

    Takeover(host, place(), told.append, ADAPTERS).confirm()
    assert host.text(OWN_FILE) == "mine = no\n"
    hand_back(host, place(), told.append, unconfirmed=True, adapters=ADAPTERS)
    assert host.exists(AGENT_FILE), "the dead-man leaves what is confirmed"
    Takeover(host, place(), told.append, ADAPTERS).confirm()
    assert told[-1] == "eth0 is confirmed already"
    monkeypatch.setattr(FakeAgent, "serving", False)
    with pytest.raises(TakeoverError, match="was taken over from oldclient already"):
        take(host)
    hand_back(host, place(), told.append, unconfirmed=False, adapters=ADAPTERS)
    assert_as_before(host, before)


def test_confirm_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the dead-man is at work, and after it; until something else was done with the interface."""
    host = machine(tmp_path, monkeypatch)
    again = "`holdfast takeover eth0 --confirm-within SECONDS` takes it over again"

    def confirm() -> str:
        with pytest.raises(TakeoverError) as refusal:
            Takeover(host, place(), str, ADAPTERS).confirm()
        return str(refusal.value)

    late: list[str] = []
    take(host, confirm_within=300)
    hand_back(host, place(), lambda _: late.append(confirm()), unconfirmed=True, adapters=ADAPTERS)
    assert set(late) == {"the take-over of eth0 was not confirmed in time and is being rolled back to oldclient; when "
                         f"that is done, {again}"}
    assert confirm() == f"the take-over of eth0 was not confirmed in time and was rolled back to oldclient; {again}"

    meanwhile: list[str] = []
    Takeover(host, place(), lambda _: meanwhile.append(confirm()), ADAPTERS).whole(300)
    hand_back(host, place(), lambda _: meanwhile.append(confirm()), unconfirmed=False, adapters=ADAPTERS)
    assert set(meanwhile) == {"another holdfast takeover, confirm or handback of eth0 is at work"}
    assert confirm() == "no take-over of eth0 waits to be confirmed"


def test_confirm_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    with pytest.raises(TakeoverError, match="waits to be confirmed"):
        Takeover(host, place(), str, ADAPTERS).confirm()
    with pytest.raises(TakeoverError, match="there is nobody to give it to"):
        hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    hand_back(host, place(), str, unconfirmed=True, adapters=ADAPTERS)


def test_a_file_that_somebody_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the confirmation: refused and taken back. After it: left, and told."""
    host = machine(tmp_path, monkeypatch)
    take(host, confirm_within=300)
    host.put(OWN_FILE, "mine = perhaps\n")
    with pytest.raises(TakeoverError, match=f"{OWN_FILE} was changed by somebody else meanwhile"):
        Takeover(host, place(), str, ADAPTERS).confirm()
    assert host.text(OWN_FILE) == "mine = perhaps\n"
    assert OldClient().find(host, "eth0") is not None

    take(host)
    host.put(OWN_FILE, "mine = perhaps again\n")
    told: list[str] = []
    hand_back(host, place(), told.append, unconfirmed=False, adapters=ADAPTERS)
    assert f"{OWN_FILE} was changed by somebody else since: it is left as it is" in told
    assert host.text(OWN_FILE) == "mine = perhaps again\n"


def test_after_a_reboot_before_the_confirmation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/run is empty, and the old client has started by itself: nothing but the journal is left to do."""
    host = machine(tmp_path, monkeypatch)
    take(host, confirm_within=300)
    for path in (RUN_FILE, AGENT_FILE):
        host.remove(path)
    host.put("/proc/sys/kernel/random/boot_id", "another-boot\n")
    host.add_process(77, "oldclient", "eth0")
    started = len(host.started)
    hand_back(host, place(), lambda _: None, unconfirmed=True, adapters=ADAPTERS)
    assert len(host.started) == started
    assert not host.exists("/var/lib/holdfast-takeover/eth0.json")


def test_duplicates_of_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    ours = Route(takeovers.DEFAULT.destination, takeovers.GATEWAY, 100, takeovers.ADDRESS.ip)
    host.observed = Observed(host.observed.addresses, (takeovers.DEFAULT, ours))
    take(host)
    assert host.performed == [DeleteRoute(takeovers.DEFAULT)]
    host.observed = Observed(host.observed.addresses, (ours,))
    host.performed.clear()
    hand_back(host, place(), lambda _: None, unconfirmed=False, adapters=ADAPTERS)
    assert host.performed[:1] == [AddRoute(takeovers.DEFAULT)]


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda host: setattr(host, "observed", Observed()), "eth0 has no such address"),
    (lambda host: host.write(AGENT_FILE, b""), "Holdfast serves eth0 already"),
    (lambda host: host.answers.update({"systemctl cat": Completed(1, "", "")}),
     "holdfast@eth0.service is not installed"),
    (lambda host: host.remove_process(100), "no DHCP client that can be taken over serves eth0"),
])
def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: object, words: str) -> None:
    """Nothing is changed then, not even a journal written."""
    host = machine(tmp_path, monkeypatch)
    spoil(host)  # type: ignore[operator]
    before = host.tree()
    with pytest.raises(TakeoverError, match=words):
        take(host)
    assert {name: data for name, data in host.tree().items() if not name.endswith("eth0.lock")} == before
    assert host.killed == []
    assert host.started == []


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "answered", lambda *_: False)
    host = machine(tmp_path, monkeypatch)
    with pytest.raises(TakeoverError, match=r"no server answered .* oldclient goes on"):
        take(host)
    assert host.killed == []


def test_a_client_id_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    settings = Settings(interfaces={"eth0": InterfaceSettings(client_id="mac")})
    with pytest.raises(TakeoverError, match=r"\(01:6f:6c:64\): the server would give another address"):
        plan.make(host, place(settings), foreground=True, adapters=ADAPTERS)


def test_a_client_that_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    stop = OldClient.stop

    def stubborn(self: OldClient, host: Mortal, found: object) -> None:
        stop(self, host, found)  # type: ignore[arg-type]
        host.start(["oldclient", "eth0"], {})
        host.add_process(900 + host.acts, "oldclient", "eth0")
        host.remove_process(5000)

    monkeypatch.setattr(OldClient, "stop", stubborn)
    with pytest.raises(TakeoverError, match="something restarts it"):
        take(host)
    assert not host.exists("/var/lib/holdfast-takeover/eth0.json")


def test_a_former_client_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package went meanwhile: refused before anything is done, and the agent serves on."""
    host = machine(tmp_path, monkeypatch)
    take(host)
    host.remove("/usr/sbin/oldclient")
    before = outside(host)
    with pytest.raises(TakeoverError, match=r"oldclient is not there any more\. Nothing was changed; install"):
        hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    assert outside(host) == before
    assert host.exists(AGENT_FILE)
    host.put("/usr/sbin/oldclient", "a program", 0o755)
    hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    assert OldClient().find(host, "eth0") is not None


def test_a_former_client_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that nobody renews ends: the agent is started again, and the next hand-back does it all."""
    host = machine(tmp_path, monkeypatch)
    before = outside(host)
    take(host)
    with monkeypatch.context() as patch:
        patch.setattr(OldClient, "give_back", full_disk)
        with pytest.raises(TakeoverError, match=r"No space left.*Holdfast serves eth0 until the next boot"):
            hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    assert host.exists(AGENT_FILE)
    assert host.exists("/var/lib/holdfast-takeover/eth0.json")
    assert host.exists("/var/lib/holdfast/eth0.lease.json")
    hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    assert_as_before(host, before)


def full_disk(*_: object) -> None:
    raise TakeoverError("/var/lib/old/lease cannot be written: No space left on device")


def test_a_lease_of_another_boot_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 3: instants of the journal's boot are none of this one, which would make an old lease a long one."""
    host = machine(tmp_path, monkeypatch)
    host.now = 900_000.0
    take(host)
    host.remove("/var/lib/holdfast/eth0.lease.json")
    host.put("/proc/sys/kernel/random/boot_id", "another-boot\n")
    host.now = 500.0
    given: list[ForeignLease] = []

    def give_back(_: OldClient, host: Mortal, found: Found, lease: ForeignLease) -> None:
        given.append(lease)
        process.start_again(host, found)

    monkeypatch.setattr(OldClient, "give_back", give_back)
    hand_back(host, place(), str, unconfirmed=False, adapters=ADAPTERS)
    assert (given[0].started_at, given[0].expires_at) == (host.now - 3600, host.now)
    assert not [op for op in host.performed if isinstance(op, PutAddress)], "it lives as long as it did"
