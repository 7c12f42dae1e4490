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


def test_a_server_that_stays_deaf_gets_unicast_in_every_eighth_renewal() -> None:
    # rule 38
    server, tried = Server(IPv4Address("192.0.2.1")), []
    for number in range(1, 30):
        if server.unicast_due:
            tried.append(number)
        server = server.deaf()
    assert tried == [1, 2, 3, 11, 19, 27]
    assert server.answered(0.01).unicast_due
    assert server.answered(0.01).deaf().unheard == 1
