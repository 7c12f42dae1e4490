"""An ifcfg file with dhclient taken over and handed back, on a booted machine.

Debian has no network-scripts. What runs here in their place does what their source says of a file with BOOTPROTO=dhcp
and of one without, in words of our own: dhclient with the same command line, lease file and pid file, or a link that is
only set up; and the same flush at the way down. Everything else is real.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.guests import File, Guest, Link
from tests.support.guests.handover import FLOWS, Former, Handover
from tests.support.guests.variants import LINK

from holdfast.managers.formats.shell_assignments import assignments

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

IFCFG = f"/etc/sysconfig/network-scripts/ifcfg-{LINK}"
CONTENT = f"""\
# of the image
DEVICE={LINK}
BOOTPROTO="dhcp"  # from the cloud
ONBOOT=yes
PEERDNS=yes
"""
PERSISTENT = "PERSISTENT_DHCLIENT=yes\n"

NETWORK = """\
#!/bin/sh
# Starts and stops the interface of one ifcfg file.
set -eu
. "$2"
pid=/run/dhclient-$DEVICE.pid
case $1,${BOOTPROTO:-} in
start,dhcp | start,bootp)
    oneshot=-1
    case ${PERSISTENT_DHCLIENT:-} in yes | y | 1) oneshot= ;; esac
    mkdir -p /var/lib/dhclient
    # shellcheck disable=SC2086
    dhclient ${DHCLIENTARGS:-} $oneshot -q -lf "/var/lib/dhclient/dhclient-$DEVICE.leases" -pf "$pid" "$DEVICE"
    ;;
start,*) ip link set "$DEVICE" up ;;
stop,*)
    [ ! -f "$pid" ] || kill "$(cat "$pid")" || :
    rm -f "$pid"
    ip addr flush dev "$DEVICE" scope global
    ip link set "$DEVICE" down
    ;;
esac
"""
SERVICE = f"""\
[Unit]
Before=network.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/ifcfg start {IFCFG}
ExecStop=/usr/local/sbin/ifcfg stop {IFCFG}
[Install]
WantedBy=multi-user.target
"""


def runs(guest: Guest) -> bool:
    """dhclient runs."""
    return guest.run(["pgrep", "dhclient"]).stdout != ""


def former(settings: str) -> Former:
    """A machine with that file. Nobody has a way to disturb the link but to flush it, so nobody does."""
    files: dict[str, File | Link] = {
        IFCFG: File(settings, 0o640),
        "/usr/local/sbin/ifcfg": File(NETWORK, 0o755),
        "/etc/systemd/system/network.service": File(SERVICE),
        "/etc/systemd/system/multi-user.target.wants/network.service": Link("../network.service"),
        "/sbin/resolvconf": File("", 0o644),  # systemd-resolved's, which does not run here
    }
    return Former("bare", runs, disturb="true", files=files)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_ifcfg_with_persistent_dhclient(flow: Callable[[Former], None]) -> None:
    flow(former(CONTENT + PERSISTENT))


def beneath(guest: Guest) -> str:
    """The file itself, whatever is mounted over it."""
    return guest.shell(f"mkdir -p /run/beneath && mount --bind / /run/beneath && cat /run/beneath{IFCFG} && "
                       "umount /run/beneath")


def test_ifcfg_without_persistent_dhclient_and_what_becomes_of_the_file() -> None:
    with former(CONTENT).boot() as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            assert " -1 " in guest.shell("pgrep --list-full dhclient")
            handover.holdfast("takeover", LINK, "--confirm-within", "300")
            copy = assignments(guest.pull(IFCFG).decode())
            assert copy == {**assignments(CONTENT), "BOOTPROTO": "none"}, "a copy is mounted over it"
            assert beneath(guest) == CONTENT
            handover.holdfast("confirm", LINK)
            assert beneath(guest) == CONTENT
            assert guest.shell(f"stat --format=%a {IFCFG}").strip() == "640"
            handover.holdfast("handback", LINK)
            assert guest.pull(IFCFG).decode() == CONTENT
            assert " -1 " in guest.shell("pgrep --list-full dhclient")
            handover.wait_renewal()
            handover.assert_nobody_noticed()


def test_a_restart_of_the_network_service_is_mended() -> None:
    """It flushes every interface, whoever serves it; Holdfast puts its address back: rule 60."""
    with former(CONTENT + PERSISTENT).boot() as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK)
            guest.run(["systemctl", "restart", "network.service"], check=True)
            assert not runs(guest)
            guest.wait(lambda: handover.address in guest.addresses(), 10, "the address is back")
            handover.assert_holdfast_serves()
