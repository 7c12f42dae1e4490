"""NetworkManager taken over and handed back, on a booted machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.guests import File, Guest
from tests.support.guests.handover import FLOWS, Former
from tests.support.guests.variants import LINK

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]


#: NetworkManager asks resolvconf here, which is systemd-resolved's, which does not run: it shall write the file.
FILES = {"/etc/NetworkManager/conf.d/10-dns.conf": File("[main]\nrc-manager=file\n")}


def serves(guest: Guest) -> bool:
    """NetworkManager has a lease on the device, which is its own either way. It does not run for a moment while it gets
    the link back."""
    return "ip_address = " in guest.shell("nmcli --get-values DHCP4 device show \"$1\"", LINK, check=False)


FORMER = Former("networkmanager", serves, disturb="systemctl restart NetworkManager.service", files=FILES)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_networkmanager(flow: Callable[[Former], None]) -> None:
    flow(FORMER)
