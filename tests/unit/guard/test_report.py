"""The report over recorded outcomes: each verdict, and the numbers."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import pytest
from tests.support.guarded import LEASE, OTHER, SERVER, Scene

from holdfast.guard.report import Finding, Report, report_of
from holdfast.guard.reporter import extended
from holdfast.observe.outcomes import as_record
from holdfast.wire import message as m


def recorded(scene: Scene, watched_since: float = 0.0) -> list[dict[str, Any]]:
    """What guard has written to its file, as it is read again."""
    kept = [(dict(as_record(one.outcome, "eth0", boottime=0.0, wall=one.outcome.ended_at)), one)
            for one in scene.records]
    return [json.loads(json.dumps(extended(record, one, watched_since))) for record, one in kept]


def report(scene: Scene) -> Report:
    return report_of("eth0", recorded(scene))


def held(client: str = "networkd", *, rebroadcast: bool = True, others: tuple[IPv4Address, ...] = ()) -> Scene:
    """A lease that has just begun."""
    scene = Scene(client, rebroadcast=rebroadcast, others=others)
    scene.acquire()
    return scene


def renew(scene: Scene, number: int, *, answered: bool = True) -> None:
    """Half a lease passes, and a unicast renewal."""
    scene.sleep(LEASE / 2)
    scene.send(xid=number)
    if answered:
        scene.sleep(0.01)
        scene.reply(xid=number)
        scene.configured()


def saved_by_broadcast(scene: Scene, number: int) -> None:
    """A unicast that nobody answers; the answer comes half a second after guard's repeat of it."""
    renew(scene, number, answered=False)
    scene.sleep(1.5)
    scene.reply(xid=number)
    scene.configured()


def test_all_is_well() -> None:
    scene = held()
    for number in (1, 2, 3):
        renew(scene, number)
    found = report(scene)
    assert (found.renewals, found.by_unicast, found.by_broadcast, found.unanswered) == (3, 3, 0, 0)
    assert (found.delay_median, found.delay_worst) == (None, None)
    assert found.silence == pytest.approx(LEASE / 2)
    assert (found.finding, found.commands) == (Finding.WELL, ())
    assert found.verdict == "3 of 3 renewals were answered by 192.0.2.1: nothing is to be done."


def test_a_server_that_does_not_hear_unicast() -> None:
    scene = held()
    for number in range(1, 13):
        saved_by_broadcast(scene, number)
    found = report(scene)
    assert (found.renewals, found.by_unicast, found.by_broadcast, found.rebroadcasts) == (12, 0, 12, 12)
    assert (found.delay_median, found.delay_worst) == (pytest.approx(1.5), pytest.approx(1.5))
    assert found.finding is Finding.DEAF
    assert found.verdict == ("12 of 12 unicast renewals to 192.0.2.1 were not answered, all 12 broadcasts were: the "
                             "server does not hear unicast.")
    assert found.commands == ("holdfast guard eth0 --rebroadcast", "holdfast takeover eth0")


def test_the_clients_own_broadcast_counts_as_well() -> None:
    scene = held(rebroadcast=False)
    renew(scene, 1, answered=False)
    scene.sleep(20)
    scene.send(xid=1, to=m.BROADCAST)
    scene.reply()
    scene.configured()
    found = report(scene)
    assert (found.by_broadcast, found.rebroadcasts, found.delay_worst) == (1, 0, pytest.approx(20))
    assert found.finding is Finding.DEAF


def test_unicast_that_is_lost_at_times() -> None:
    scene = held()
    renew(scene, 1)
    saved_by_broadcast(scene, 2)
    found = report(scene)
    assert (found.by_unicast, found.by_broadcast) == (1, 1)
    assert found.finding is Finding.UNICAST_LOST
    assert found.verdict.startswith("1 of 2 unicast renewals")


def test_a_unicast_that_arp_keeps_back_is_told() -> None:
    scene = held()
    saved_by_broadcast(scene, 1)
    records = [{**one, "on_wire": False} for one in recorded(scene)]
    assert "does not answer ARP" in report_of("eth0", records).verdict


@pytest.mark.parametrize(("client", "commands"), [
    ("dhclient", ("holdfast takeover eth0",)),
    ("networkd", ("holdfast guard eth0 --rebroadcast", "holdfast takeover eth0")),
])
def test_beside_another_server_a_rebroadcast_is_proposed_only_where_guard_would_send_it(
    client: str, commands: tuple[str, ...],
) -> None:
    scene = held(client, others=(OTHER,))
    renew(scene, 1, answered=False)
    scene.send(xid=1, to=m.BROADCAST)
    scene.reply()
    scene.configured()
    found = report(scene)
    assert (found.others, found.commands) == ((str(OTHER),), commands)


@pytest.mark.parametrize(("rebroadcast", "said", "command"), [
    (True, "also by broadcast", "holdfast doctor eth0"),
    (False, "none was sent by broadcast", "holdfast guard eth0 --rebroadcast"),
])
def test_a_server_that_answers_nothing(rebroadcast: bool, said: str, command: str) -> None:
    scene = Scene(rebroadcast=rebroadcast).bound()
    scene.send()
    scene.sleep(LEASE)
    found = report(scene)
    assert (found.renewals, found.unanswered, found.lost) == (1, 1, 1)
    assert found.finding is Finding.UNREACHABLE
    assert said in found.verdict
    assert "lost 1 time" in found.verdict
    assert found.commands[0] == command


def test_an_outage_that_ended() -> None:
    scene = held(rebroadcast=False)
    renew(scene, 1)
    scene.sleep(LEASE / 2)
    scene.send(xid=2)
    scene.sleep(5)
    scene.acquire()
    found = report(scene)
    assert (found.renewals, found.unanswered) == (2, 1)
    assert found.finding is Finding.UNANSWERED


def test_an_answer_that_the_client_ignores() -> None:
    scene = Scene().bound()
    scene.send()
    scene.reply()
    scene.sleep(10)
    found = report(scene)
    assert (found.by_unicast, found.ignored) == (1, 1)
    assert (found.finding, found.commands) == (Finding.IGNORED, ("holdfast takeover eth0",))


def test_a_nak() -> None:
    scene = Scene().bound()
    scene.send()
    scene.reply(m.NAK)
    found = report(scene)
    assert (found.renewals, found.refused, found.unanswered) == (1, 1, 0)
    assert (found.finding, found.servers) == (Finding.REFUSED, (str(SERVER),))


def test_a_client_that_does_not_ask() -> None:
    scene = held()
    scene.sleep(2 * LEASE)
    found = report(scene)
    assert (found.renewals, found.lost, found.silence) == (0, 1, pytest.approx(LEASE))
    assert found.finding is Finding.SILENT


def test_another_server_beside_answers_that_came() -> None:
    scene = held(others=(OTHER,))
    renew(scene, 1)
    assert report(scene).finding is Finding.OTHER_SERVERS


def test_what_was_open_when_guard_ended_counts_for_nothing() -> None:
    scene = held()
    renew(scene, 1, answered=False)
    scene.stop()
    found = report(scene)
    assert (found.renewals, found.undecided, found.unanswered) == (0, 1, 0)
    assert found.finding is Finding.NOTHING_SEEN


def test_what_no_run_of_guard_watched_is_no_silence() -> None:
    scene = held()
    renew(scene, 1)
    first = recorded(scene)[-1:]
    scene.actions.clear()
    renew(scene, 2)
    assert report_of("eth0", [*first, *recorded(scene, scene.now - 5)]).silence is None
    assert report_of("eth0", [*first, *recorded(scene)]).silence == pytest.approx(LEASE / 2)
    other_boot = [{**one, "boot_id": "another"} for one in recorded(scene)]
    assert report_of("eth0", [*first, *other_boot]).silence is None


def test_a_released_lease_asks_for_no_message() -> None:
    scene = held()
    renew(scene, 1)
    scene.send(m.RELEASE)
    scene.sleep(1000)
    scene.acquire()
    assert report(scene).silence == pytest.approx(LEASE / 2)  # before the renewal


def test_a_damaged_record_is_counted_as_far_as_it_goes() -> None:
    damaged = {"time": "long ago", "result": "renewed", "purpose": "t1", "attempts": "two", "others": 7, "client": []}
    found = report_of("eth0", [damaged])
    assert (found.renewals, found.clients, found.finding) == (0, (), Finding.NOTHING_SEEN)
