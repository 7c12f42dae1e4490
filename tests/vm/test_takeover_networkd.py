"""systemd-networkd taken over and handed back, on a booted machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.guests import Guest, Qemu
from tests.support.guests.handover import FLOWS, Former, there_and_back
from tests.support.guests.variants import LINK

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]


def manages(guest: Guest) -> bool:
    """networkd has the link."""
    state = guest.shell("networkctl --no-legend list \"$1\"", LINK).split()[-1]
    return state not in {"unmanaged", "pending", "initialized"}


FORMER = Former("networkd", manages, disturb="systemctl restart systemd-networkd.service")


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_networkd(flow: Callable[[Former], None]) -> None:
    flow(FORMER)


@pytest.mark.machine
def test_networkd_in_a_virtual_machine() -> None:
    """With udev, without which some managers are gentler than they really are."""
    there_and_back(FORMER._replace(machine=Qemu))
