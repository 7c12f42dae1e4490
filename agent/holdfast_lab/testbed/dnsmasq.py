"""A real server, dnsmasq, for hundreds of links: the lab's own is one thread with 205 addresses."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from holdfast_lab.testbed.netns import Namespace, Switch

#: What every address begins with, and the server's own.
PREFIX, SERVER = "10.88.", "10.88.0.1/16"
_CONFIGURATION = """\
port=0
no-ping
log-facility=-
bind-interfaces
interface=br0
except-interface=lo
user=root
pid-file={folder}/pid
dhcp-leasefile={folder}/leases
dhcp-range=10.88.1.0,10.88.250.250,255.255.0.0,{time}
dhcp-option=3
dhcp-authoritative
"""


def prepare(machine: Namespace) -> None:
    """Of many links of one segment each answers for its own address alone."""
    machine.sysctl("net/ipv4/conf/all/arp_ignore", 1)


def serve(switch: Switch, *, time: int, more: Sequence[str] = ()) -> tuple[subprocess.Popen[bytes], Path]:
    """Start dnsmasq on ``switch``, with leases of ``time`` seconds and ``more`` lines of configuration; the process,
    which ends with the switch's namespace, and its log."""
    machine = switch.namespace
    machine.run(lambda: machine.rtnl.add_address("br0", SERVER))
    path, log = machine.directory / "dnsmasq.conf", machine.directory / "dnsmasq.log"
    text = _CONFIGURATION.format(folder=machine.directory, time=time)
    path.write_text(text + "".join(f"{line}\n" for line in more), encoding="ascii")
    with log.open("w", encoding="utf-8") as out:
        process = machine.popen(["dnsmasq", "--keep-in-foreground", f"--conf-file={path}"],
                                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    return process, log
