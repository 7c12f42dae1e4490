"""wire.address: what equals, contains and becomes the real ipaddress.IPv4Address."""

from __future__ import annotations

import copy
import ipaddress
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.wire.address import IPv4Address

NUMBERS = st.integers(0, 0xFFFFFFFF)


@given(NUMBERS, NUMBERS)
def test_it_is_like_the_real_one(number: int, other: int) -> None:
    ours, real = IPv4Address(number), ipaddress.IPv4Address(number)
    assert (str(ours), int(ours), ours.packed, hash(ours), repr(ours), f"{ours:>15}") == (
        str(real), number, real.packed, hash(real), repr(real), f"{real!s:>15}")
    assert ours == real
    assert real == ours
    assert IPv4Address(str(real)) == IPv4Address(real.packed) == IPv4Address(real) == ours
    assert {ours: 1}[real] == 1
    another, real_other = IPv4Address(other), ipaddress.IPv4Address(other)
    assert ((ours == another), (ours < another), (ours > real_other), (ours != real_other)) == (
        number == other, number < other, number > other, number != other)
    assert copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours)) == ours


@given(NUMBERS, st.integers(0, 32))
def test_networks_take_it(number: int, width: int) -> None:
    ours, real = IPv4Address(number), ipaddress.IPv4Address(number)
    assert ipaddress.IPv4Interface((ours, width)) == ipaddress.IPv4Interface((real, width))
    network = ipaddress.IPv4Network((real, width), strict=False)
    assert ours in network
    assert ipaddress.IPv4Interface(ours).ip == ipaddress.IPv4Address(ours) == ours
    if width:
        assert IPv4Address(number ^ 0x80000000) not in network


@pytest.mark.parametrize("wrong", [
    -1, 1 << 32, b"", b"\1\2\3", bytes(16), "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4/32", "::1",
    "a\0b", "1.2.3.4 ", "1.2.3.٤", "\udcff", None,
])
def test_what_is_no_address_is_refused_by_both(wrong: object) -> None:
    for kind in (IPv4Address, ipaddress.IPv4Address):
        with pytest.raises(ValueError):  # noqa: PT011 - the real one's is a kind of it
            kind(wrong)  # type: ignore[arg-type]


def test_other_things_are_not_equal_to_it() -> None:
    address = IPv4Address(1)
    assert address != 1
    assert address != "0.0.0.1"
    assert address != ipaddress.IPv6Address(1)
    assert ipaddress.IPv6Address(1) != address
