"""runtime.leasefile: what is written is read back, and nothing else gets through."""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import IPv4Address
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.core.lease import Binding, Gateway, Lease, Server
from holdfast.state.identity import Identity
from holdfast.state.lease_file import SIZE_LIMIT, LeaseFileError, Stored, parse, render

LEASE = Lease(
    IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1"), 100.0, 160.0, 205.0, 220.0, 120.0,
    {1: b"\xff\xff\xff\x00", 249: b"\x00\x01", 56: b""}, IPv4Address("192.0.2.2"), b"server", b"pxe", True,
)
BINDING = Binding(LEASE, Server(IPv4Address("192.0.2.1"), False, 0.01), None, b"\x01\x02\0\0\0\0\x01")
STORED = Stored(
    BINDING, Identity("a" * 32, "", "02:00:00:00:00:01"), "b" * 32, 101.0, 1_700_000_000.0,
)


@pytest.mark.parametrize(
    "binding",
    [
        BINDING,
        BINDING._replace(server=None, client_id=b""),
        BINDING._replace(gateway=Gateway(IPv4Address("192.0.2.254"), bytes.fromhex("020000000ff1"))),
        BINDING._replace(server=Server(IPv4Address("192.0.2.1"))),
        BINDING._replace(server=Server(IPv4Address("192.0.2.1"), False, None, request_rtt=0.005, unheard=10)),
        BINDING._replace(lease=LEASE._replace(server_id=None, verified=False, started_at=-500.0, t1_at=-400.0,
                                              t2_at=-390.0, expires_at=-380.0)),
        BINDING._replace(lease=LEASE._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf)),
        # The longest lease that is not infinite.
        BINDING._replace(lease=LEASE._replace(t1_at=1e9, t2_at=2e9, expires_at=100.0 + 0xFFFFFFFE,
                                              lease_time=float(0xFFFFFFFE))),
        BINDING._replace(lease=LEASE._replace(t1_at=500.0, t2_at=inf, expires_at=inf, lease_time=inf)),
    ],
)
def test_round_trip(binding: Binding) -> None:
    stored = STORED._replace(binding=binding)
    assert parse(render(stored)) == stored


def test_a_file_of_the_first_version_is_whole() -> None:  # rule 53
    document = json.loads(render(STORED))
    del document["gateway"], document["path"]["request_rtt"], document["path"]["unheard"]
    assert parse(json.dumps(document).encode()) == STORED


@pytest.mark.parametrize(("gateway", "why"), [
    ([], "gateway is not an object"),
    ({"mac": "02:00:00:00:0f:f1"}, "gateway has no address"),
    ({"address": "0.0.0.0", "mac": "02:00:00:00:0f:f1"}, "not a host's address"),
    ({"address": "192.0.2.254", "mac": "02:00"}, "not six bytes"),
    ({"address": "192.0.2.254", "mac": "zz"}, "not hex"),
    ({"address": "192.0.2.254", "mac": 1}, "mac is not a str"),
])
def test_a_gateway_is_believed_no_more_than_the_rest(gateway: Any, why: str) -> None:
    with pytest.raises(LeaseFileError, match=why):
        parse(_changed("gateway", gateway))


def _changed(path: str, value: Any) -> bytes:
    document = json.loads(render(STORED))
    *folders, name = path.split(".")
    table = document
    for folder in folders:
        table = table[folder]
    if value is ...:
        del table[name]
    else:
        table[name] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("version", 0, "version 0"),
        ("version", 2, "version 2"),
        ("version", True, "not a int"),
        ("version", ..., "no version"),
        ("lease", [], "not an object"),
        ("lease", ..., "no lease"),
        ("lease.address", "192.0.2.999", "not an IPv4 address"),
        ("lease.address", 3221225994, "not a str"),
        ("lease.address", "0.0.0.0", "not a host's address"),
        ("lease.address", "127.0.0.1", "not a host's address"),
        ("lease.address", "224.0.0.1", "not a host's address"),
        ("lease.server_id", "255.255.255.255", "not a host's address"),
        ("lease.expires_at", "soon", "out of range"),
        ("lease.expires_at", 1e300, "out of range"),
        pytest.param("lease.expires_at", 10**400, "out of range", id="beyond float"),
        pytest.param("path.srtt", -(10**400), "out of range", id="beyond float, negative"),
        ("lease.expires_at", 90.0, "not in order"),
        ("lease.t1_at", 210.0, "not in order"),
        ("lease.started_at", None, "out of range"),
        ("lease.started_at", True, "out of range"),
        ("lease.lease_time", None, "not its start and its duration"),
        ("lease.lease_time", 999.0, "not its start and its duration"),
        ("lease.expires_at", None, "not its start and its duration"),
        ("lease.options", {"0": "00"}, "is not an option"),
        ("lease.options", {"255": "00"}, "is not an option"),
        ("lease.options", {"-1": "00"}, "is not an option"),
        ("lease.options", {"1" * 50: "00"}, "is not an option"),
        ("lease.options", {"0012345": "00"}, "is not an option"),
        ("lease.options", {"0012" + "3" * 5000: "00"}, "is not an option"),
        ("lease.options", {"\u0661": "00"}, "is not an option"),
        ("lease.options", {"1": "0g"}, "is not hex"),
        ("lease.options", {"1": "00" * 3000}, "longer than"),
        ("lease.options", {"1": 7}, "not a str"),
        ("lease.sname", "00" * 65, "longer than"),
        ("lease.verified", 1, "not a bool"),
        ("path.hears_unicast", "no", "not a bool"),
        ("path.srtt", -1, "out of range"),
        ("path.request_rtt", "fast", "out of range"),
        ("path.unheard", 11, "out of range"),
        ("path.unheard", -1, "out of range"),
        ("path.unheard", True, "not a int"),
        ("client_id", "00" * 256, "longer than"),
        ("identity.mac", "x" * 500, "too long"),
        ("clock.boottime", -1, "out of range"),
        ("clock.wall", ..., "no wall"),
    ],
)
def test_every_value_is_checked(path: str, value: Any, why: str) -> None:
    with pytest.raises(LeaseFileError, match=why):
        parse(_changed(path, value))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"\x00\xff\xfe", "not JSON"),
        (b"null", "not an object"),
        (b"[" * 30_000, "not JSON"),
        (b" " * (SIZE_LIMIT + 1), "larger than"),
        (render(STORED)[:-20], "not JSON"),
        (b'{"version": 1e999}', "not a int"),
        (b'{"version": ' + b"9" * 5000 + b"}", "version|not JSON"),
    ],
)
def test_rubbish(data: bytes, why: str) -> None:
    with pytest.raises(LeaseFileError, match=why):
        parse(data)


@given(position=st.integers(0, len(render(STORED)) - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_never_raises_anything_else(position: int, byte: int) -> None:
    data = bytearray(render(STORED))
    data[position] = byte
    try:
        stored = parse(bytes(data))
    except LeaseFileError:
        return
    assert stored.binding.lease.started_at <= stored.binding.lease.expires_at


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["version", "identity", "clock", "client_id", "lease", "path", "lease.options",
                        "lease.t2_at", "lease.siaddr", "path.srtt", "clock.boot_id"]), JSON)
def test_any_json_in_any_place_never_raises_anything_else(path: str, value: Any) -> None:
    with suppress(LeaseFileError):
        parse(_changed(path, value))
