"""What servers of the field put into their answers, on a real kernel."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.scenarios.helpers import assert_kept, wait_acks, wait_control, wait_record

from holdfast_lab.testbed.faults import Faults, Lease
from holdfast_lab.testbed.stage import LINK, Stage

pytestmark = pytest.mark.root
SHORT = Lease(time=20, t1=4, t2=17)


def classless(*routes: tuple[str, str]) -> bytes:
    """Option 121 of RFC 3442: width, significant octets, gateway."""
    value = b""
    for destination, gateway in routes:
        network = IPv4Network(destination)
        octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
        value += bytes([network.prefixlen]) + octets + IPv4Address(gateway).packed
    return value


def routes_of(stage: Stage) -> set[tuple[str, str | None]]:
    return {(str(r.destination), str(r.gateway) if r.gateway else None) for r in stage.routes()}


def test_a_host_address_with_a_gateway_outside_of_it() -> None:  # rules 64, 66: Google Cloud
    options = {
        1: bytes([255] * 4),
        26: (1460).to_bytes(2, "big"),
        121: classless(("192.0.2.1/32", "0.0.0.0"), ("0.0.0.0/0", "192.0.2.1")),
    }
    with Stage(lease=SHORT, faults=Faults(options=options)) as stage:
        stage.bind()
        stage.wait_until(lambda: ("0.0.0.0/0", "192.0.2.1") in routes_of(stage), 5)
        assert ("192.0.2.1/32", None) in routes_of(stage)
        assert [str(address.interface) for address in stage.addresses()] == ["192.0.2.50/32"]
        stage.wait_until(lambda: "1460" in stage.client.output(["cat", f"/sys/class/net/{LINK}/mtu"]), 5)
        wait_acks(stage, 3)
        assert_kept(stage, 2, 3, 4)


def test_a_host_address_with_a_plain_router_option() -> None:  # rule 66: Hetzner
    options = {1: bytes([255] * 4), 3: IPv4Address("172.31.1.1").packed}
    with Stage(lease=SHORT, faults=Faults(options=options)) as stage:
        stage.bind()
        stage.wait_until(lambda: ("0.0.0.0/0", "172.31.1.1") in routes_of(stage), 5)
        assert ("172.31.1.1/32", None) in routes_of(stage)


def test_classless_routes_go_before_the_router() -> None:  # rules 64, 65
    options = {121: classless(("198.51.100.0/24", "192.0.2.9"), ("203.0.113.0/25", "0.0.0.0")) + b"\x18\xc6"}
    with Stage(lease=SHORT, faults=Faults(options=options)) as stage:
        stage.bind()
        wanted: set[tuple[str, str | None]] = {("198.51.100.0/24", "192.0.2.9"), ("203.0.113.0/25", None)}
        stage.wait_until(lambda: wanted <= routes_of(stage), 5)  # they are put there one by one
        assert ("0.0.0.0/0", "192.0.2.1") not in routes_of(stage)


@pytest.mark.parametrize("mtu", [575, 68, 0])
def test_an_mtu_too_small_is_ignored(mtu: int) -> None:  # rule 62
    with Stage(lease=SHORT, faults=Faults(options={26: mtu.to_bytes(2, "big")})) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        assert stage.client.output(["cat", f"/sys/class/net/{LINK}/mtu"]).strip() == "1500"


def test_an_infinite_lease_has_no_end_in_the_kernel() -> None:  # rule 32: Azure
    forever = (0xFFFFFFFF).to_bytes(4, "big")
    with Stage(faults=Faults(options={51: forever, 58: forever, 59: forever})) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        assert [address.valid for address in stage.addresses()] == [None]
        wait_control(stage)
        assert stage.command("renew", LINK).returncode == 0
        wait_acks(stage, 2)
        assert_kept(stage, 2, 4, probes=5)


def test_a_renewal_without_a_lease_time_keeps_the_former_one() -> None:  # rule 20
    with Stage(lease=SHORT) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        stage.server.faults = Faults(omit=(51,))
        wait_acks(stage, 3)
        wait_record(stage, "renewed")
        [address] = stage.addresses()
        assert address.valid is not None
        assert address.valid <= 20


def test_an_ack_without_an_identifier_is_renewed_by_broadcast() -> None:  # rule 21
    with Stage(lease=SHORT) as stage:
        stage.bind()
        stage.server.faults = Faults(omit=(54,))
        wait_acks(stage, 3)
        asked = [seen for seen in stage.server.wire.all() if seen.kind == "REQUEST" and seen.ciaddr == "192.0.2.50"]
        assert [seen.destination for seen in asked[:2]] == ["192.0.2.1", "255.255.255.255"]


def test_a_renewal_that_mentions_nothing_removes_nothing() -> None:  # rule 81
    with Stage(lease=SHORT, faults=Faults(options={26: (1400).to_bytes(2, "big")})) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        stage.wait_until(lambda: ("0.0.0.0/0", "192.0.2.1") in routes_of(stage), 5)
        stage.server.faults = Faults(omit=(1, 3, 28, 58, 59))
        wait_acks(stage, 2)
        wait_record(stage, "renewed")
        assert ("0.0.0.0/0", "192.0.2.1") in routes_of(stage)
        assert [str(address.interface) for address in stage.addresses()] == ["192.0.2.50/24"]
        assert stage.client.output(["cat", f"/sys/class/net/{LINK}/mtu"]).strip() == "1400"
        assert_kept(stage, 2, 3, 4)


def test_the_messages_of_a_life() -> None:  # rules 1, 8, 9, 11, 12, 13
    with Stage(lease=SHORT) as stage:
        stage.bind()
        wait_acks(stage, 2)
        said = [seen for seen in stage.server.wire.all() if seen.direction == "in"]
        firsts = {(seen.kind, seen.xid): seen for seen in reversed(said)}  # it says again what is answered late
        discover, request, renewal = sorted(firsts.values(), key=lambda seen: seen.at)[:3]
        assert [discover.kind, request.kind, renewal.kind] == ["DISCOVER", "REQUEST", "REQUEST"]
        assert (request.ciaddr, request.requested, request.server_id) == ("0.0.0.0", "192.0.2.50", "192.0.2.1")
        assert discover.xid == request.xid
        assert renewal.xid != request.xid
        assert request.secs == discover.secs
        assert {seen.flags for seen in (discover, request, renewal)} == {0}
        assert min(seen.length for seen in (discover, request, renewal)) >= 300
        for name in ("client_id", "param_req_list", "max_dhcp_size"):
            assert discover.options.get(name) == request.options.get(name) == renewal.options.get(name), name
