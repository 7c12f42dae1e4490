"""The gate refuses what would break a promise; the small records it stands on."""

from __future__ import annotations

from contextlib import nullcontext
from ipaddress import IPv4Address
from math import inf
from random import Random

import pytest
from tests.support.scene import MAC, OTHER, OURS, START, Scene, cached, of

from holdfast.core.actions import Deconfigure, DeconfigureReason, Transmit
from holdfast.core.client import Client, Snapshot
from holdfast.core.config import ClientConfig
from holdfast.core.events import Start
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine, PromiseBrokenError, lease_in_use
from holdfast.core.outcome import Purpose
from holdfast.core.states import Bound, Init, InitReboot, Renewal, Renewing, State, Stopped
from holdfast.core.transitions import Reason

CONFIG = ClientConfig(MAC)
LEASE = cached().binding.lease


def machine(state: State, **settings: object) -> Machine:
    """A machine that has come to ``state`` by way of the gate."""
    m = Machine(CONFIG._replace(**settings), Random(1))  # type: ignore[arg-type]
    m.enter(state, Reason.START_ON_LINK, START)
    return m


def test_a_valid_lease_does_not_go_without_a_reason() -> None:
    # rule 39
    m = machine(Bound(LEASE))
    for why in (None, DeconfigureReason.EXPIRED, DeconfigureReason.HALTED):
        with pytest.raises(PromiseBrokenError, match="does not hold"):
            m.enter(Init(), Reason.LEASE_ENDED, START, why)
    assert m.state == Bound(LEASE)


def test_an_ended_lease_is_not_used() -> None:
    # rule 40
    m = Machine(CONFIG, Random(1))
    with pytest.raises(PromiseBrokenError, match="has ended"):
        m.enter(Bound(LEASE), Reason.START_ON_LINK, LEASE.expires_at)


@pytest.mark.parametrize(("on_expiry", "allowed"), [("remove", False), ("hold", True)])
def test_an_ended_lease_is_held_only_where_that_is_configured(on_expiry: str, allowed: bool) -> None:
    # promise 3
    held = LEASE._replace(ended_at=LEASE.expires_at, expires_at=LEASE.expires_at + 5.0)
    m = Machine(CONFIG._replace(on_expiry=on_expiry), Random(1))
    with nullcontext() if allowed else pytest.raises(PromiseBrokenError, match="has ended"):
        m.enter(Init(held), Reason.START, LEASE.expires_at + 1.0)
    assert (m.lease == held) is allowed


def test_an_address_found_at_start_goes_only_when_its_lease_has_ended() -> None:
    # promise 2
    m = Machine(CONFIG, Random(1))
    with pytest.raises(PromiseBrokenError, match="does not hold"):
        m.enter(Init(), Reason.START, START, DeconfigureReason.EXPIRED, found=LEASE)
    m.enter(Init(), Reason.START, LEASE.expires_at, DeconfigureReason.EXPIRED, found=LEASE)
    assert of(Deconfigure, m.take_actions()) == [Deconfigure(LEASE, DeconfigureReason.EXPIRED)]


def test_a_change_must_be_in_the_table() -> None:
    m = machine(Bound(LEASE))
    with pytest.raises(PromiseBrokenError, match="no transition from BOUND to INIT-REBOOT on 'carrier lost'"):
        m.enter(InitReboot(LEASE), Reason.CARRIER_LOST, START)


def test_an_update_changes_neither_state_nor_lease() -> None:
    m = machine(Bound(LEASE))
    for state in (Renewing(LEASE, Renewal(Purpose.T1, "T1")), Bound(LEASE._replace(address=OTHER))):
        with pytest.raises(PromiseBrokenError, match="update of BOUND"):
            m.update(state)


def test_the_lease_in_use_by_state() -> None:
    lease = cached().binding.lease
    assert lease_in_use(Stopped(lease)) == lease
    assert lease_in_use(Init()) is None
    assert lease_in_use(Scene().start(cached()).client.state) is None


def test_what_is_left_is_never_negative() -> None:
    # rule 75
    lease = cached(left=10.0, now=100.0).binding.lease
    assert [lease.seconds_left(now) for now in (100.0, 109.0, 110.0, 500.0)] == [10.0, 1.0, 0.0, 0.0]
    assert (lease.valid(109.9), lease.valid(110.0)) == (True, False)
    assert lease._replace(expires_at=inf).infinite


def test_early_calls_do_nothing() -> None:
    scene = Scene().bound()
    assert scene.client.handle_timer(scene.now - 100.0) == []


def test_the_snapshot_shows_what_status_tells() -> None:
    scene = Scene().bound()
    assert scene.client.snapshot() == Snapshot(
        "BOUND", scene.lease, scene.client.snapshot().server, scene.outcomes[-1], {}, scene.client.next_deadline()
    )
    assert scene.client.lease is not None
    assert scene.client.lease.address == OURS


def test_the_same_seed_lives_the_same_life() -> None:
    one, two = Scene(seed=5).reserved(), Scene(seed=5).reserved()
    assert one.actions == two.actions
    assert isinstance(one.client, Client)
    assert Scene(seed=6).reserved().actions != one.actions


def test_other_settings_are_used_and_another_identity_is_not() -> None:
    m = Machine(CONFIG, Random(1))
    assert m.reconfigure(CONFIG._replace(nak="halt"))
    assert m.config.nak == "halt"
    for other in (CONFIG._replace(client_id=b"\0x"), CONFIG._replace(chaddr=b"\2" * 6), CONFIG._replace(htype=6)):
        assert not m.reconfigure(other)
    assert m.config.nak == "halt"


def test_a_client_sends_what_its_present_settings_say() -> None:
    client = Client(CONFIG, rng=Random(1))
    assert client.reconfigure(CONFIG._replace(send=((224, b"site"), (53, b"x"))))
    (discover,) = of(Transmit, client.handle(Start(None), START))
    assert (discover.message.options[224], discover.message.options[53]) == (b"site", b"\x01")
    assert not client.reconfigure(CONFIG._replace(client_id=b"\0x"))


def test_a_setting_does_not_let_go_of_an_address_that_is_held() -> None:
    # rule 40
    m = Machine(CONFIG._replace(on_expiry="hold"), Random(1))
    m.lease = Lease(IPv4Address("192.0.2.50"), None, 0.0, 1.0, 2.0, 90.0, 60.0, {}, ended_at=60.0)
    assert m.reconfigure(CONFIG._replace(on_expiry="remove"))
    assert m.config.on_expiry == "hold"
    m.lease = m.lease._replace(ended_at=None)
    assert m.reconfigure(CONFIG._replace(on_expiry="remove"))
    assert m.config.on_expiry == "remove"
