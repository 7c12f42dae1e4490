"""What stands for the mounts that a boot would wait for keeps the kernel's settings as they are, for each unit."""

from __future__ import annotations

import pytest
from tests.support.guests.install import install
from tests.support.guests.nspawn import Nspawn
from tests.support.guests.variants import LINK

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

UNITS = ("holdfast@.service", "holdfast-wait-online.service", "holdfast-overlay.service")
#: The first two could be written with CAP_NET_ADMIN alone, the others by root without any capability.
KEPT = (f"/proc/sys/net/ipv4/conf/{LINK}/forwarding", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/domainname",
        "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", f"/sys/class/net/{LINK}/mtu",
        "/sys/fs/cgroup/cgroup.procs")
PROBE = f"""\
#!/bin/sh
for file in {' '.join(KEPT)}; do
    {{ true >>$file; }} 2>/dev/null && echo "$file"
done >/run/probed
exit 0
"""
#: Of a unit's [Service] section what is not its sandbox, or what the probe needs: it is nobody's notifier, and in /usr.
OTHER = ("Exec", "Type", "Restart", "Watchdog", "Notify", "RemainAfterExit", "NoExecPaths", "StateDirectory",
         "RuntimeDirectory")


def test_the_kernels_settings_stay_as_they_are() -> None:
    guest = Nspawn("bare")
    guest.sysctls = True  # those of its network can be written, as in a virtual machine
    with guest:
        guest.wait_booted()
        install(guest)
        guest.push("/usr/local/bin/probe", PROBE, mode=0o755)
        # Without a sandbox the probe can tell.
        guest.shell("/usr/local/bin/probe")
        assert {KEPT[0], KEPT[-1]} <= set(guest.pull("/run/probed").decode().split())
        for unit in UNITS:
            body = guest.pull(f"/usr/lib/systemd/system/{unit}").decode().split("\n[Service]\n")[1].split("\n[")[0]
            sandbox = [line for line in body.split("\n") if not line.startswith(OTHER)]
            guest.push("/run/systemd/system/probe.service", "\n".join(
                ["[Service]", "Type=oneshot", "ExecStart=/usr/local/bin/probe", "ReadWritePaths=/run", *sandbox, ""]))
            guest.shell("touch /run/probed; chmod 666 /run/probed; echo never >/run/probed; "
                        "systemctl daemon-reload && systemctl start probe.service")
            assert guest.pull("/run/probed").decode() == "", unit
