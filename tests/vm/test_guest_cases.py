"""Cases of tests/guests, some of each manager: taken over, and nothing differs, at once or after a reboot.

All of them: ./dev guests.
"""

from __future__ import annotations

import pytest
from tests.support.guests.cases.case import read
from tests.support.guests.cases.run import run
from tests.support.guests.cases.table import table
from tests.support.guests.place import ROOT

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

CASES = (
    "eni-alias", "eni-nova-mtu-1450", "ifcfg-nova-mtu-1450", "netplan-nova-mtu-1450", "netplan-route-only-domains",
    "networkd-neighbour", "networkd-nova-slaac", "networkd-own-dns", "nm-ipv6-off", "nm-nova-stateful", "nm-own-search",
    "two-clients", "unknown-client",
)


@pytest.mark.parametrize("name", CASES)
def test_nothing_else_changes(name: str) -> None:
    case = read(ROOT / "tests" / "guests" / name)
    outcome = run(case)
    assert outcome.as_wanted(case), table([outcome])
