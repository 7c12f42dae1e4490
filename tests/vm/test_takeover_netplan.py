"""netplan with networkd taken over and handed back, on a booted machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.guests import Guest
from tests.support.guests.handover import FLOWS, Former

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]


def manages(guest: Guest) -> bool:
    """networkd has a lease for the link."""
    return bool(guest.shell("ls /run/systemd/netif/leases").split())


#: What `netplan apply` does, but for udev, which a container has not.
FORMER = Former("netplan", manages, disturb="netplan generate && systemctl daemon-reload && networkctl reload")


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_netplan(flow: Callable[[Former], None]) -> None:
    flow(FORMER)
