"""network.plan: the operations, in order, and what they leave alone; what fails, and what is never done then."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf

import pytest
from tests.support.leases import PLAIN, classless, make_spec, packed

from holdfast.network import KernelError
from holdfast.network.plan import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    MARK,
    RTPROT_BOOT,
    STAND_IN_LIFETIME,
    Address,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Observed,
    Op,
    PutAddress,
    SetMtu,
    missing,
    plan,
    plan_adoption,
    plan_removal,
    wanted_address,
    wanted_routes,
)
from holdfast.network.spec import RTPROT_DHCP, Route
from holdfast.wire import options as opt
from holdfast_lab.testbed.fake_kernel import FakeKernel

KERNEL, STATIC, BIRD = 2, 4, 12
OURS = IPv4Interface("10.0.0.5/24")
DEFAULT = IPv4Network("0.0.0.0/0")


def address(text: str, **more: object) -> Address:
    return Address(IPv4Interface(text), **more)  # type: ignore[arg-type]


def route(
    destination: str, gateway: str | None = None, *, metric: int = 100, source: str | None = "10.0.0.5",
    protocol: int = RTPROT_DHCP,
) -> Route:
    return Route(
        IPv4Network(destination), IPv4Address(gateway) if gateway else None, metric,
        IPv4Address(source) if source else None, protocol,
    )


def say(ops: list[Op]) -> list[str]:
    """The plan as text: "+10.0.0.5/24", "-default via 10.0.0.1", "mtu 1400"."""
    said = []
    for op in ops:
        if isinstance(op, SetMtu):
            said.append(f"mtu {op.mtu}")
        elif isinstance(op, (PutAddress, DeleteAddress)):
            said.append(f"{'+' if isinstance(op, PutAddress) else '-'}{op.address.interface}")
        else:
            said.append(f"{'+' if isinstance(op, AddRoute) else '-'}{op.route}")
    return said


#: What a lease of 10.0.0.5 looks like once it is applied.
PREFIX = route("10.0.0.0/24", protocol=KERNEL)
GATEWAY = route("0.0.0.0/0", "10.0.0.1")
APPLIED = Observed(addresses=(Address(OURS, valid=50, preferred=50, mark=MARK),), routes=(PREFIX, GATEWAY))


# -- the same address ----------------------------------------------------------------------------


def test_a_first_lease_is_address_then_routes() -> None:
    options = {**PLAIN, opt.CLASSLESS_STATIC_ROUTE: classless(("0.0.0.0/0", "192.0.2.1")),
               opt.INTERFACE_MTU: b"\x05\x78"}
    assert say(plan(Observed(), make_spec(options=options), None, 0)) == [
        "mtu 1400", "+10.0.0.5/24", "+192.0.2.1/32", "+default via 192.0.2.1",
    ]


@pytest.mark.parametrize("until", [3600.0, inf])
def test_a_renewal_is_one_address_update(until: float) -> None:  # rule 56
    desired = make_spec(until=until)
    [put] = plan(APPLIED, desired, make_spec(until=100.0), 0)
    assert isinstance(put, PutAddress)
    assert put.address.interface == OURS
    assert (put.address.valid, put.address.preferred) == (until, until)


@pytest.mark.parametrize(("held", "mark", "touched"), [
    (100.0, MARK, False), (101.0, MARK, False), (99.0, MARK, True), (102.0, MARK, True), (inf, MARK, True),
    (100.0, 0, True),  # another client put it there: it is to be ours
])
def test_what_is_all_there_is_not_touched_when_it_may_be_kept(held: float, mark: int, touched: bool) -> None:  # rule 47
    [ours] = APPLIED.addresses
    observed = APPLIED._replace(addresses=(ours._replace(valid=held, preferred=held, mark=mark),))
    desired = make_spec(until=1099.5)
    assert bool(plan(observed, desired, None, 1000.0, keep=True)) is touched
    assert plan(observed, desired, None, 1000.0) != []


def test_an_endless_lease_may_be_kept_too() -> None:  # rules 32, 47
    [ours] = APPLIED.addresses
    observed = APPLIED._replace(addresses=(ours._replace(valid=inf, preferred=inf, mark=MARK),))
    assert plan(observed, make_spec(until=inf), None, 1000.0, keep=True) == []


def test_a_renewal_with_another_mtu_and_router_touches_just_those() -> None:  # rule 56
    options = {**PLAIN, opt.ROUTER: packed("10.0.0.2"), opt.INTERFACE_MTU: b"\x05\x78"}
    assert say(plan(APPLIED, make_spec(options=options), make_spec(), 0)) == [
        "mtu 1400", "+10.0.0.5/24", "+default via 10.0.0.2", "-default via 10.0.0.1",
    ]


def test_a_lost_route_is_put_back() -> None:
    assert say(plan(APPLIED._replace(routes=(PREFIX,)), make_spec(), make_spec(), 0)) == [
        "+10.0.0.5/24", "+default via 10.0.0.1",
    ]


def test_a_link_that_has_the_mtu_is_left_alone() -> None:  # rule 62
    options = {**PLAIN, opt.INTERFACE_MTU: b"\x05\xdc"}
    assert say(plan(APPLIED, make_spec(options=options), None, 0)) == ["+10.0.0.5/24"]


@pytest.mark.parametrize(
    ("left", "seconds"), [(100.0, 100.0), (99.2, 100.0), (0.3, 1.0), (inf, inf), (4294967294.0, 4294967294.0)]
)
def test_lifetimes_are_whole_seconds_rounded_up(left: float, seconds: float) -> None:  # rules 32, 40
    wanted = wanted_address(Observed(), make_spec(until=1000.0 + left), 1000.0)
    assert (wanted.valid, wanted.preferred) == (seconds, seconds)


def test_a_lifetime_is_no_second_longer_for_the_last_bit_of_a_clock() -> None:  # rule 40
    now = 8112.09278197
    assert now + 600.0 - now > 600.0  # floating point
    assert wanted_address(Observed(), make_spec(until=now + 600.0), now).valid == 600.0
    assert wanted_address(Observed(), make_spec(until=now + 1e-9), now).valid == 1.0


@pytest.mark.parametrize("left", [0.0, -5.0])
def test_a_lease_that_has_ended_is_not_configured(left: float) -> None:
    with pytest.raises(KernelError, match=r"10\.0\.0\.5 has ended"):
        plan(Observed(), make_spec(until=1000.0 + left), None, 1000.0)


# -- adoption ------------------------------------------------------------------------------------


def test_an_adopted_address_keeps_what_the_other_client_chose() -> None:  # rule 56
    theirs = address(
        "10.0.0.5/24", label="eth0:1", broadcast=IPv4Address("10.0.0.127"), valid=40, preferred=20, metric=1024,
        flags=IFA_F_NOPREFIXROUTE | 0x80, scope=253,
    )
    wanted = wanted_address(Observed(addresses=(theirs,)), make_spec(until=300), 0)
    assert wanted == theirs._replace(valid=300, preferred=300, flags=IFA_F_NOPREFIXROUTE, mark=MARK)


@pytest.mark.parametrize("protocol", [KERNEL, RTPROT_DHCP, STATIC])
def test_noprefixroute_keeps_its_own_prefix_route(protocol: int) -> None:
    connected = route("10.0.0.0/24", metric=1002, protocol=protocol)
    observed = Observed((address("10.0.0.5/24", flags=IFA_F_NOPREFIXROUTE, valid=40),), (connected, GATEWAY))
    assert say(plan(observed, make_spec(), None, 0)) == ["+10.0.0.5/24"]


def test_noprefixroute_without_a_prefix_route_gets_one_before_the_gateway() -> None:
    observed = Observed((address("10.0.0.5/24", flags=IFA_F_NOPREFIXROUTE, valid=40),))
    assert say(plan(observed, make_spec(), None, 0)) == [
        "+10.0.0.5/24", "+10.0.0.0/24", "+default via 10.0.0.1",
    ]
    assert wanted_routes(observed, make_spec())[0] == route("10.0.0.0/24")


def test_marked_routes_of_a_client_before_us_are_replaced() -> None:
    """networkd: metric 1024 and a host route to the gateway, all of protocol dhcp with our source."""
    theirs = (PREFIX, route("0.0.0.0/0", "10.0.0.1", metric=1024), route("10.0.0.1/32", metric=1024))
    observed = Observed((Address(OURS, valid=40),), theirs)
    assert say(plan(observed, make_spec(), None, 0)) == [
        "+10.0.0.5/24", "+default via 10.0.0.1", "-default via 10.0.0.1", "-10.0.0.1/32",
    ]


def test_a_route_may_have_a_table_of_its_own() -> None:
    """networkd's Gateway=_dhcp4 with a Table=: the spec's others stay in the link's own."""
    ours = GATEWAY._replace(table=100)
    spec = make_spec()
    spec = spec._replace(routes=(*spec.routes, ours, GATEWAY._replace(metric=7, table=254)), label="eth0:a",
                         route_metrics=(("initcwnd", 30),))
    ops = plan(Observed((), table=254), spec, None, 0)
    prefix = PREFIX._replace(protocol=RTPROT_DHCP)  # the kernel's own would have no metrics
    assert [op.route for op in ops if isinstance(op, AddRoute)] == [prefix, GATEWAY, ours, GATEWAY._replace(metric=7)]
    assert {op.metrics for op in ops if isinstance(op, AddRoute)} == {(("initcwnd", 30),)}
    assert [op.address.label for op in ops if isinstance(op, PutAddress)] == ["eth0:a"]
    present = Observed((address("10.0.0.5/24", label="eth0", valid=40),), table=254)
    assert wanted_address(present, spec, 0).label == "eth0", "another client chose it"


def test_a_route_of_networkd_s_by_the_router_goes_where_it_doubles_ours() -> None:
    ours = GATEWAY._replace(table=100)
    spec = make_spec()
    spec = spec._replace(routes=(*spec.routes, ours))
    theirs = ours._replace(protocol=STATIC)
    others = (theirs._replace(metric=7), theirs._replace(table=101), GATEWAY._replace(protocol=STATIC))
    bare = ours._replace(source=None)
    observed = APPLIED._replace(routes=(PREFIX, GATEWAY, ours, theirs, bare, *others))
    assert plan_adoption(observed, spec) == [DeleteRoute(theirs), DeleteRoute(bare)]


def test_a_script_s_routes_go_only_when_they_double_ours() -> None:
    """dhclient-script: `ip route add default via GATEWAY`, so protocol boot, no source, metric 0."""
    theirs = route("0.0.0.0/0", "10.0.0.1", metric=0, source=None, protocol=RTPROT_BOOT)
    others = (
        theirs._replace(gateway=IPv4Address("10.0.0.9")), theirs._replace(protocol=STATIC),
        theirs._replace(source=IPv4Address("10.0.0.77")), theirs._replace(metric=42),
        theirs._replace(destination=IPv4Network("192.0.2.0/24")),
    )
    observed = APPLIED._replace(routes=(PREFIX, GATEWAY, theirs, *others))
    assert plan_adoption(observed, make_spec()) == [DeleteRoute(theirs)]
    assert say(plan(observed, make_spec(), None, 0)) == ["+10.0.0.5/24"]


def test_the_leased_address_with_another_mask_and_an_end_is_replaced() -> None:
    observed = Observed((address("10.0.0.5/16", valid=40),))
    assert say(plan(observed, make_spec(), None, 0)) == [
        "+10.0.0.5/24", "+default via 10.0.0.1", "-10.0.0.5/16",
    ]
    forever = Observed((address("10.0.0.5/32"),))
    assert "-10.0.0.5/32" not in say(plan(forever, make_spec(), None, 0))


# -- another address -----------------------------------------------------------------------------


def test_a_new_address_comes_before_the_old_one_goes_and_routes_move_in_between() -> None:  # rule 57
    assert say(plan(APPLIED, make_spec("10.0.0.9"), make_spec(), 0)) == [
        "+10.0.0.9/24", "+default via 10.0.0.1", "-default via 10.0.0.1", "-10.0.0.5/24",
    ]


def test_another_subnet() -> None:  # rule 57
    options = {opt.SUBNET_MASK: packed("255.255.0.0"), opt.ROUTER: packed("10.9.0.1")}
    assert say(plan(APPLIED, make_spec("10.9.0.9", options), make_spec(), 0)) == [
        "+10.9.0.9/16", "+default via 10.9.0.1", "-default via 10.0.0.1", "-10.0.0.5/24",
    ]


def test_an_address_that_a_crash_left_behind_is_known_by_its_mark() -> None:  # rule 52
    left = (Address(OURS, valid=50, mark=MARK), address("10.0.0.9/24", valid=60, flags=IFA_F_SECONDARY))
    observed = Observed(left, (PREFIX, GATEWAY))
    assert say(plan(observed, make_spec("10.0.0.9"), None, 0))[-2:] == ["-default via 10.0.0.1", "-10.0.0.5/24"]
    unmarked = observed._replace(addresses=(left[0]._replace(mark=0), left[1]))
    assert "-10.0.0.5/24" not in say(plan(unmarked, make_spec("10.0.0.9"), None, 0))


# -- what is not ours ----------------------------------------------------------------------------

FOREIGN = (
    route("192.0.2.0/24", "10.0.0.7", source=None, protocol=STATIC),
    route("192.0.3.0/24", "10.0.0.7", source="10.0.0.5", protocol=STATIC),
    route("192.0.4.0/24", "10.0.0.7", source="10.0.0.77"),
    route("192.0.5.0/24", "10.0.0.7", source=None),
    route("0.0.0.0/0", "10.0.0.7", metric=50, source="10.0.0.5", protocol=RTPROT_BOOT),
)
VIP = address("10.0.0.100/24", flags=IFA_F_SECONDARY)


@pytest.mark.parametrize("lease", ["10.0.0.5", "10.0.0.9", "10.7.0.9"])
def test_foreign_addresses_and_routes_are_untouched(lease: str) -> None:  # rule 58
    observed = Observed(
        (*APPLIED.addresses, VIP, address("10.0.0.101/32"), address("203.0.113.9/24", valid=99)),
        (*APPLIED.routes, *FOREIGN),
    )
    said = [
        *say(plan(observed, make_spec(lease), make_spec(), 0)),
        *say(plan_removal(observed, make_spec())),
    ]
    assert not [what for what in said if "192.0." in what or "10.0.0.7" in what]
    assert not [what for what in said if "10.0.0.10" in what or "203." in what]


def test_removal_takes_ours_only() -> None:
    observed = APPLIED._replace(addresses=(*APPLIED.addresses, VIP), routes=(*APPLIED.routes, *FOREIGN))
    assert say(plan_removal(observed, make_spec())) == ["-default via 10.0.0.1", "-10.0.0.5/24"]
    assert plan_removal(Observed((VIP,), FOREIGN), make_spec()) == []


def test_where_nothing_is_promoted_secondaries_get_a_stand_in() -> None:  # rule 58
    observed = APPLIED._replace(addresses=(*APPLIED.addresses, VIP), promotes=False)
    ops = plan_removal(observed, make_spec())
    assert say(ops) == [
        "-default via 10.0.0.1", "+10.0.0.100/32", "-10.0.0.5/24", "+10.0.0.100/24", "-10.0.0.100/32",
    ]
    stand_in, restored = ops[1], ops[3]
    assert isinstance(stand_in, PutAddress)
    assert stand_in.address.valid == STAND_IN_LIFETIME
    assert restored == PutAddress(VIP._replace(flags=0))


def test_where_nothing_is_promoted_our_own_new_address_gets_a_stand_in_too() -> None:  # rules 57, 58
    observed = APPLIED._replace(promotes=False)
    assert say(plan(observed, make_spec("10.0.0.9"), make_spec(), 0)) == [
        "+10.0.0.9/24", "+default via 10.0.0.1", "-default via 10.0.0.1",
        "+10.0.0.9/32", "-10.0.0.5/24", "+10.0.0.9/24", "-10.0.0.9/32",
    ]


def test_a_secondary_goes_without_a_swap_and_two_primaries_in_turn() -> None:  # rule 58
    two = (VIP, APPLIED.addresses[0]._replace(flags=IFA_F_SECONDARY))
    two = (VIP._replace(flags=0), two[1])
    assert say(plan_removal(Observed(two, promotes=False), make_spec())) == ["-10.0.0.5/24"]
    three = (
        Address(OURS, valid=9, mark=MARK),
        address("10.0.0.6/24", valid=9, mark=MARK, flags=IFA_F_SECONDARY), VIP,
    )
    assert say(plan_removal(Observed(three, promotes=False), make_spec())) == [
        "+10.0.0.6/32", "+10.0.0.100/32", "-10.0.0.5/24", "+10.0.0.6/24", "+10.0.0.100/24",
        "-10.0.0.6/32", "-10.0.0.100/32",
        "+10.0.0.100/32", "-10.0.0.6/24", "+10.0.0.100/24", "-10.0.0.100/32",
    ]


def test_a_stand_in_that_is_there_already_is_somebody_s() -> None:  # rule 58
    held = (*APPLIED.addresses, VIP, address("10.0.0.100/32"))
    assert say(plan_removal(Observed(held, promotes=False), make_spec())) == ["-10.0.0.5/24", "+10.0.0.100/24"]


# -- reading back --------------------------------------------------------------------------------


def test_what_is_missing_is_named() -> None:
    desired = make_spec(until=50)
    assert missing(APPLIED, desired, 0) == []
    assert missing(Observed(), desired, 0) == ["address 10.0.0.5/24"]
    assert missing(APPLIED._replace(routes=(PREFIX,)), desired, 0) == ["route default via 10.0.0.1"]
    [fault] = missing(APPLIED, make_spec(until=500), 0)
    assert fault == "address 10.0.0.5/24 with 500.0 s to live (it has 50)"
    forever = APPLIED._replace(addresses=(Address(OURS),))
    assert missing(forever, make_spec(until=inf), 0) == []
    assert len(missing(forever, desired, 0)) == 1


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_tunnel_that_uses_our_address_for_its_own_end_is_untouched(first: str) -> None:
    # rule 58: ip address add 10.0.0.5 peer 10.9.9.9, beside a lease of 10.0.0.5/32
    spec = make_spec(options={opt.SUBNET_MASK: packed("255.255.255.255")})
    assert spec.address == IPv4Interface("10.0.0.5/32")
    ours, theirs = address("10.0.0.5/32", mark=0x48, valid=60.0), address("10.0.0.5/32", peer=IPv4Address("10.9.9.9"))
    seen = Observed(addresses=(ours, theirs) if first == "ours" else (theirs, ours))
    assert plan_removal(seen, spec) == [DeleteAddress(ours)]
    put = [op for op in plan(seen, spec, None, 0.0) if isinstance(op, (PutAddress, DeleteAddress))]
    assert [type(op) for op in put] == [PutAddress]
    assert put[0].address.peer is None
    other = make_spec("10.0.0.9")
    assert [op for op in plan(seen, other, spec, 0.0) if isinstance(op, DeleteAddress)] == [DeleteAddress(ours)]


# -- carrying out, on the fake kernel ------------------------------------------------------------

OLD, NEW = make_spec("10.0.0.5"), make_spec("10.0.0.9")
JUMBO = make_spec(options={**PLAIN, opt.INTERFACE_MTU: b"\x23\x28"})
NEIGHBOUR = Address(IPv4Interface("10.0.0.100/24"))


@pytest.fixture
def kernel() -> FakeKernel:
    made = FakeKernel()
    made.apply(OLD, None, 0.0)
    made.log.clear()
    made.operations = 0
    return made


def test_a_renewal_is_one_operation(kernel: FakeKernel) -> None:  # rule 56
    assert kernel.apply(make_spec("10.0.0.5", until=9000.0), OLD, 100.0) == ()
    [op] = kernel.log
    assert isinstance(op, PutAddress)
    assert kernel.addresses[0].valid == 8900.0
    assert kernel.deleted_addresses == []


@pytest.mark.parametrize("step", [1, 2])
def test_when_something_cannot_be_added_nothing_is_removed(kernel: FakeKernel, step: int) -> None:  # rules 57, 59
    kernel.fail_on = {step: errno.EPERM}
    with pytest.raises(KernelError, match="EPERM") as caught:
        kernel.apply(NEW, OLD, 0.0)
    assert caught.value.errno == errno.EPERM
    assert kernel.deleted_addresses == []
    assert OLD.routes[0] in kernel.routes
    kernel.apply(NEW, OLD, 0.0)
    assert kernel.held == [NEW.address.ip]
    assert kernel.deleted_addresses == [OLD.address.ip]


def test_a_failed_removal_is_an_error_too_and_the_new_address_is_there(kernel: FakeKernel) -> None:  # rule 59
    kernel.fail_on = {3: errno.EPERM, 4: errno.EPERM}
    with pytest.raises(KernelError, match=r"DeleteRoute.*EPERM"):
        kernel.apply(NEW, OLD, 0.0)
    assert set(kernel.held) == {OLD.address.ip, NEW.address.ip}


def test_several_failures_are_one_line(kernel: FakeKernel) -> None:
    value = classless(("192.0.2.0/24", "10.0.0.1"), ("192.0.3.0/24", "10.0.0.1"))
    routes = {**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}
    kernel.fail_on = {2: errno.ENOBUFS, 3: errno.ENOBUFS}
    with pytest.raises(KernelError, match=r"ENOBUFS \(and 1 more\)$"):
        kernel.apply(make_spec(options=routes), OLD, 0.0)


def test_an_mtu_that_the_link_refuses_is_told(kernel: FakeKernel) -> None:  # rule 62
    kernel.max_mtu = 1500
    assert kernel.apply(JUMBO, OLD, 0.0) == ("setting the MTU to 9000: EINVAL: the link keeps 1500",)
    kernel.max_mtu = 9000
    assert kernel.apply(JUMBO, OLD, 0.0) == ()
    assert kernel.mtu == 9000


def test_a_nonsensical_route_is_told_and_the_rest_is_done(kernel: FakeKernel) -> None:  # rule 65
    kernel.fail_on = {2: errno.EINVAL}
    [notice] = kernel.apply(NEW, OLD, 0.0)
    assert "EINVAL" in notice
    assert kernel.held == [NEW.address.ip]


def test_what_vanishes_underway_is_found_by_reading_back(kernel: FakeKernel) -> None:  # rule 59
    kernel.on_change = lambda: setattr(kernel, "routes", ())
    with pytest.raises(KernelError, match="read back after applying, not there: route default via"):
        kernel.apply(OLD, OLD, 0.0)
    kernel.on_change = None
    kernel.apply(OLD, OLD, 0.0)
    kernel.on_change = kernel.flush
    with pytest.raises(KernelError, match=r"not there: address 10\.0\.0\.5/24"):
        kernel.apply(OLD, OLD, 0.0)


def test_promotion_is_switched_on_once_or_the_want_of_it_told(kernel: FakeKernel) -> None:  # rule 58
    assert kernel.promotes
    stubborn = FakeKernel(can_promote=False)
    [notice] = stubborn.apply(OLD, None, 0.0)
    assert notice == "switching on promote_secondaries: EROFS: addresses are swapped by hand instead"

    class Forgetful(FakeKernel):
        def promote(self) -> None: ...

    assert "does not stay on" in Forgetful().apply(OLD, None, 0.0)[0]


def test_without_promotion_a_neighbour_s_address_is_never_away() -> None:  # rule 58
    kernel = FakeKernel(can_promote=False)
    kernel.apply(OLD, None, 0.0)
    kernel.perform(PutAddress(NEIGHBOUR))
    seen = []
    kernel.on_change = lambda: seen.append(NEIGHBOUR.interface.ip in kernel.held)
    kernel.apply(NEW, OLD, 0.0)
    kernel.remove(NEW)
    assert all(seen)
    assert [address.interface for address in kernel.addresses] == [NEIGHBOUR.interface]
    assert kernel.deleted_addresses == [OLD.address.ip, NEW.address.ip]


def test_a_removal_that_fails_is_told_after_all_was_tried(kernel: FakeKernel) -> None:
    kernel.fail_on = {1: errno.EPERM}
    with pytest.raises(KernelError, match="DeleteRoute"):
        kernel.remove(OLD)
    assert kernel.held == []
    kernel.remove(OLD)
    assert kernel.removed == [OLD]


def test_a_removal_is_read_back(kernel: FakeKernel) -> None:
    kernel.on_change = lambda: setattr(kernel, "addresses", (Address(OLD.address, mark=MARK),))
    with pytest.raises(KernelError, match=r"still there: address 10\.0\.0\.5/24"):
        kernel.remove(OLD)


def test_time_passes_in_the_fake(kernel: FakeKernel) -> None:  # rule 40
    kernel.perform(PutAddress(NEIGHBOUR))
    kernel.tick(3599.0)
    assert kernel.addresses[0].valid == 1.0
    kernel.tick(3600.0)
    assert kernel.held == [NEIGHBOUR.interface.ip]
    assert OLD.routes[0] not in kernel.routes
    assert kernel.deleted_addresses == []
    with pytest.raises(KernelError, match="has ended"):
        kernel.apply(OLD, None, 3600.0)


def test_the_fake_can_be_flushed_and_fail_for_good(kernel: FakeKernel) -> None:
    kernel.flush()
    assert (kernel.held, kernel.routes) == ([], ())
    kernel.fail_all = errno.ENETDOWN
    with pytest.raises(KernelError, match="ENETDOWN"):
        kernel.apply(OLD, None, 0.0)
    kernel.fail_all = None
    kernel.apply(OLD, None, 0.0)
    assert [type(op) for op in kernel.log if isinstance(op, (DeleteAddress, DeleteRoute))] == []
    assert kernel.applied == [OLD, OLD]
    kernel.close()
    assert kernel.closed


# -- an MTU that is too small for IPv6 (rule 86)


@pytest.mark.parametrize(("mtu", "ipv6", "left"), [(576, True, 1500), (1279, True, 1500), (1280, True, 1280),
                                                   (576, False, 576)])
def test_an_mtu_below_1280_is_refused_where_there_is_ipv6(kernel: FakeKernel, mtu: int, ipv6: bool, left: int) -> None:
    # rule 86
    kernel.ipv6 = ipv6
    spec = make_spec(options={**PLAIN, opt.INTERFACE_MTU: mtu.to_bytes(2, "big")})
    notices = kernel.apply(spec, OLD, 0.0)
    assert kernel.mtu == left
    assert ["needs 1280; the link keeps 1500" in notice for notice in notices] == ([True] if left != mtu else [])
