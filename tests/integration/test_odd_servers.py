"""The daemon and real servers that are configured oddly, as their users do: a lease all the same, and the right one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.bench import ADDRESS
from tests.support.servers import Service

pytestmark = pytest.mark.root


@pytest.mark.parametrize("setting", ["dhcp-option", "dhcp-option-force"])
def test_dnsmasq_says_its_identifier_twice(make_bench: Any, setting: str) -> None:
    """``--dhcp-option=54,...`` adds the option to the one that is there; every client gets a lease from that."""
    # rule 76
    bench = make_bench("dnsmasq", Service(extra=(f"{setting}=54,10.77.0.1",)))
    bench.acquire()

    offer = bench.server.log.read_text().partition("DHCPOFFER")[2].partition("DHCPREQUEST")[0]
    assert offer.count("option: 54 server-identifier  10.77.0.1") == 2
    [link] = json.loads(bench.site.on_client("ip", "-4", "-j", "addr", "show", "dev", "hf0"))
    [address] = link["addr_info"]
    assert (address["local"], address["prefixlen"]) == (ADDRESS, 24)
    bench.agent.wait(lambda: any(one["path"] == "unicast" for one in bench.agent.results("renewed")), 20, "by unicast")
    bench.assert_held()
