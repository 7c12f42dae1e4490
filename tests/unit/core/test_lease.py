"""core.lease: what is learned about a server."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from holdfast.core.lease import Server


def test_the_round_trip_is_smoothed() -> None:
    server = Server(IPv4Address("192.0.2.1"), hears_unicast=False)
    first = server.answered(0.4)
    assert (first.hears_unicast, first.srtt) == (True, 0.4)
    assert first.answered(1.2).srtt == pytest.approx(0.5)
