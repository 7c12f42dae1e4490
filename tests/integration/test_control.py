"""The control socket, with the PyPI package ``varlink``: a client that nobody here wrote."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bench import ADDRESS
from tests.support.servers import Service

pytestmark = pytest.mark.root

varlink = pytest.importorskip("varlink")


def test_varlink(make_bench: Any) -> None:
    """Introspection, status, history, and a renewal on request."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    bench.acquire()
    socket = bench.agent.runtime / "hf0.varlink"

    with varlink.Client(address=f"unix:{socket}") as client:
        info = client.get_interfaces()
        assert "io.holdfast.Agent" in info
        assert "org.varlink.service" in info
        interface = client.get_interface("io.holdfast.Agent")
        assert {"Status", "Renew", "Rebind", "Release", "History"} <= set(interface.members)
        with client.open("io.holdfast.Agent") as agent:
            print(agent.Status())
            print(agent.Renew())
            print(agent.Rebind())
            print(agent.History())

    assert ADDRESS in bench.agent.addresses()
    bench.assert_held()
