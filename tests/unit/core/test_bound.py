"""What a renewal's ACK changes of the configuration, and what stays because it is not mentioned."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as some
from tests.support.scene import OTHER, OURS, STRANGE_SERVER, Scene, cached

from holdfast.core import bound
from holdfast.core.lease import Lease
from holdfast.wire import message as msg
from holdfast.wire import options as opt


def packed(*texts: str) -> bytes:
    return b"".join(IPv4Address(text).packed for text in texts)


def default_by(gateway: str, *more: str) -> bytes:
    """Option 121: the default route by way of ``gateway``, and ``more`` hosts."""
    return b"\0" + packed(gateway) + b"".join(b"\x20" + packed(host, gateway) for host in more)


FULL = {
    opt.SUBNET_MASK: packed("255.255.255.0"), opt.ROUTER: packed("192.0.2.254"),
    opt.DOMAIN_NAME_SERVER: packed("192.0.2.53"), opt.NTP_SERVERS: packed("192.0.2.123"),
    opt.DOMAIN_NAME: b"lab.example", opt.INTERFACE_MTU: b"\x05\x78", opt.BROADCAST_ADDRESS: packed("192.0.2.255"),
    opt.DOMAIN_SEARCH: b"\3lab\7example\0", opt.CLASSLESS_STATIC_ROUTE: default_by("192.0.2.254", "198.51.100.1"),
    opt.STATIC_ROUTE: packed("198.51.100.1", "192.0.2.254"), opt.HOST_NAME: b"vm", 43: b"opaque", 224: b"ours",
}


def ack(scene: Scene, **how: object) -> None:
    """An ACK to the last REQUEST: a DISCOVER may have gone in parallel."""
    scene.ack(to=next(sent for sent in reversed(scene.sent) if sent.message.message_type == msg.REQUEST), **how)


def configured(scene: Scene) -> dict[int, bytes]:
    """The options of the lease in use that are no message's own."""
    return {code: value for code, value in scene.lease.options.items() if code not in opt.OF_ONE_MESSAGE}


@pytest.mark.parametrize("renewing", [
    lambda: Scene().renewing(more=FULL), lambda: Scene().rebinding(more=FULL),
], ids=["RENEWING", "REBINDING"])
@pytest.mark.parametrize("more", [
    {}, {opt.ROUTER: b""}, {opt.SUBNET_MASK: b""}, dict.fromkeys(FULL.keys() - {43, 224}, b""),
    {opt.SUBNET_MASK: packed("255.0.255.0"), opt.ROUTER: packed("0.0.0.0"), opt.DOMAIN_NAME_SERVER: b"\x0a\0\0",
     opt.NTP_SERVERS: b"ntp.example.", opt.INTERFACE_MTU: b"\0\x44", opt.DOMAIN_NAME: b"`id`",
     opt.CLASSLESS_STATIC_ROUTE: b"\xff", opt.DOMAIN_SEARCH: b"\xc0", 43: b"opaque", 224: b"ours"},
    {opt.SUBNET_MASK: packed("0.0.0.0"), opt.ROUTER: packed("192.0.2.254")},
])
def test_what_a_renewal_does_not_mention_or_says_badly_stays(
    renewing: Callable[[], Scene], more: dict[int, bytes]
) -> None:
    # rule 81
    scene = renewing()
    ack(scene, more=more)
    assert (scene.state, configured(scene)) == ("BOUND", FULL)


def test_other_values_change_and_nothing_else() -> None:
    # rule 81
    scene = Scene().renewing(more=FULL)
    changes = {
        opt.DOMAIN_NAME_SERVER: packed("192.0.2.54"), opt.DOMAIN_NAME: b"b.example", opt.INTERFACE_MTU: b"\x05\xdc",
        opt.CLASSLESS_STATIC_ROUTE: default_by("192.0.2.253"),
    }
    scene.ack(more=changes)
    assert configured(scene) == {**FULL, **changes}
    scene.applied().until_state("RENEWING")
    scene.ack()
    assert configured(scene) == {**FULL, **changes}


def test_a_lost_option_stays_over_any_number_of_renewals_and_servers() -> None:
    # rules 18, 81
    scene = Scene().bound(more=FULL)
    for _ in range(3):
        scene.applied().until_state("REBINDING")
        ack(scene, server=STRANGE_SERVER)
        assert configured(scene) == FULL
    scene.applied().until_state("RENEWING")
    assert scene.last.destination == STRANGE_SERVER  # what is the message's own does not stay


def test_times_are_those_of_the_last_ack() -> None:
    # rules 20, 30, 81
    scene = Scene().renewing(more=FULL, lease=1000, t1=100, t2=200)
    scene.ack(lease=1000)
    assert scene.lease.t2_at - scene.lease.started_at == 875.0


def test_another_address_brings_its_own() -> None:
    # rules 19, 81
    scene = Scene().renewing(more=FULL)
    scene.ack(address=OTHER, more={opt.SUBNET_MASK: packed("255.255.0.0")})
    assert scene.lease.address == OTHER
    assert configured(scene) == {opt.SUBNET_MASK: packed("255.255.0.0")}


def test_a_lease_found_again_by_a_parallel_discover_keeps_its_options() -> None:
    # rule 81
    scene = Scene().rebinding(more=FULL)
    scene.until(lambda: scene.last.message.message_type == msg.DISCOVER)
    scene.offer()
    scene.ack()
    assert scene.state == "BOUND"
    assert configured(scene) == FULL


def test_a_remembered_lease_keeps_its_options_when_it_is_confirmed() -> None:
    # rule 81
    remembered = cached()
    lease = remembered.binding.lease._replace(options=FULL)
    scene = Scene().start(remembered._replace(binding=remembered.binding._replace(lease=lease)))
    scene.ack()
    assert (scene.lease.address, configured(scene)) == (OURS, FULL)


def lease_with(options: dict[int, bytes]) -> Lease:
    return cached().binding.lease._replace(options=options)


@pytest.mark.parametrize(("known", "said", "gone"), [
    # the same router as ever, said alone: nothing changes, whichever option the default route is from
    (FULL, {3: packed("192.0.2.254")}, set()),
    ({121: default_by("192.0.2.254")}, {3: packed("192.0.2.254")}, set()),
    # another router, said alone: the routes of higher rank are not true any more
    (FULL, {3: packed("192.0.2.253")}, {121}),
    ({249: default_by("192.0.2.254"), 33: FULL[33]}, {3: packed("192.0.2.253")}, {249}),
    (FULL, {249: default_by("192.0.2.253")}, {121}),
    (FULL, {121: default_by("192.0.2.253")}, set()),
    (FULL, {33: packed("198.51.100.1", "192.0.2.253")}, {121}),
    # another mask has another broadcast address
    (FULL, {1: packed("255.255.0.0")}, {28}),
    (FULL, {1: packed("255.255.0.0"), 28: packed("192.0.255.255")}, set()),
    (FULL, {1: packed("255.255.255.0")}, set()),
])
def test_what_cannot_hold_beside_other_values_goes(
    known: dict[int, bytes], said: dict[int, bytes], gone: set[int]
) -> None:
    # rule 81
    kept = bound.kept_options(lease_with(known), lease_with(said))
    assert kept == {**{code: value for code, value in known.items() if code not in gone}, **said}


def test_no_server_makes_a_lease_grow() -> None:
    # rules 22, 81
    options: dict[int, bytes] = {}
    for code in range(160, 208):
        options = dict(bound.kept_options(lease_with(options), lease_with({code: Random(code).randbytes(300)})))
    assert sum(map(len, options.values())) <= msg.MAXIMUM_SIZE + 300


@given(some.option_maps(), some.option_maps())
def test_every_value_is_one_that_was_said_last_or_before(known: dict[int, bytes], said: dict[int, bytes]) -> None:
    # rule 81
    kept = bound.kept_options(lease_with(known), lease_with(said))
    for code, value in kept.items():
        assert value in (said.get(code), known.get(code))
    for code, value in said.items():
        assert kept[code] == value or (code in known and not opt.says_something(code, said))


@given(st.sets(st.sampled_from(sorted(FULL))))
def test_no_subset_of_the_options_changes_anything(mentioned: set[int]) -> None:
    # rule 81
    said = {code: FULL[code] for code in mentioned}
    assert bound.kept_options(lease_with(FULL), lease_with(said)) == FULL
