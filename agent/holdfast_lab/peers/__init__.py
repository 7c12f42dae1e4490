"""The DHCP clients that Holdfast is measured against, and Holdfast itself: one short description each.

Every client runs as its distribution ships it, with its own defaults, on one interface. What differs from a
machine in use is only where its files are: see ``cage.py``.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import holdfast
from holdfast import bundle
from holdfast.wire import options as opt
from holdfast.wire.frame import build_udp
from holdfast.wire.message import (
    ANY,
    BOOTREQUEST,
    BROADCAST,
    CLIENT_PORT,
    DISCOVER,
    SERVER_PORT,
    Message,
    encode,
)


@dataclass(frozen=True)
class Peer:
    """How to start one client. ``{iface}`` in ``command`` and ``files`` stands for the interface's name."""

    name: str
    command: tuple[str, ...]
    version: tuple[str, ...]
    """A command that prints the version somewhere in its banner."""
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    """Folders to make, and the user who owns each."""
    helpers: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Programs to start before the client, each with the path whose existence says that it is ready."""
    binds: bool = True
    """False: it sends a DISCOVER and does nothing else."""

    def argv(self, iface: str) -> tuple[list[str], list[str]]:
        """The command line, and root folders to lay under the machine's own; FileNotFoundError: not installed."""
        program = find(self.command[0])
        if program is None:
            raise FileNotFoundError(self.command[0])
        root = unpacked(program)
        words = [word.format(iface=iface) for word in self.command[1:]]
        return ([self.command[0], *words], [str(root)]) if root else ([program, *words], [])


_ROOTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/lib/systemd"
CAGE = Path(__file__).with_name("cage.py")
SURROUNDINGS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/lib/systemd", "LANG": "C.UTF-8"}
"""The environment of every client; its own is added."""


def find(program: str) -> str | None:
    """The full path of a program, as the caller or a root shell would find it, or None."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_ROOTS_PATH}")


def unpacked(program: str) -> Path | None:
    """The root folder of the unpacked packages when ``program`` is the start script that ``./dev`` made for one.

    Such a client is made to look installed in its cage: it expects its scripts and its configuration in their places.
    """
    path = Path(program)
    root = path.parent.parent / "root"
    if path.parent.name != "bin" or not root.is_dir():
        return None
    with path.open("rb") as file:
        return root if file.read(2) == b"#!" else None


#: Where the agent and its libraries are: the two folders of a checkout that a package has in one.
SITE = (str(Path(holdfast.__file__).parents[1]), sysconfig.get_path("purelib"))


#: The interpreter that starts Holdfast.
PYTHON = os.environ.get("HOLDFAST_PYTHON", sys.executable)


def launched(module: str, *words: str, python: str = PYTHON) -> tuple[str, ...]:
    """What starts ``module`` as the launchers of the packages do (packaging/holdfast_build/payload.py; they have -B,
    since their byte-code is made at the installation)."""
    code = (f"import sys; sys.path[:0] = {list(SITE)!r}; from holdfast import bundle; bundle.use(); "
            f"from {module} import main; sys.exit(main())")
    return (python, "-IS", "-c", code, *words)


def bundle_code(python: str) -> None:
    """What the packages' installation does for the interpreter ``python`` that starts them: the daemon's byte-code in
    one file (holdfast/bundle.py). RuntimeError when it cannot."""
    done = subprocess.run([python, "-ISB", bundle.__file__], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{python} makes no byte-code of the daemon: {done.stderr[-300:]}")


def _holdfast(name: str, command: tuple[str, ...]) -> Peer:
    return Peer(
        name=name,
        command=command,
        version=(sys.executable, "-I", "-c", "import holdfast; print(holdfast.__version__)"),
        environment={"STATE_DIRECTORY": "/var/lib/holdfast", "RUNTIME_DIRECTORY": "/run/holdfast"},
        folders={"/var/lib/holdfast": "root", "/run/holdfast": "root"},
    )


HOLDFAST = _holdfast("holdfast", launched("holdfast.runtime.__main__", "{iface}"))  # what the systemd unit starts
#: What somebody types: `holdfast run eth0`.
IN_A_SHELL = _holdfast("holdfast run", launched("holdfast.start", "run", "{iface}"))

#: Started as Holdfast is: an interpreter that opens a start's sockets, and sends what it is given as hexadecimal.
_FLOOR = """
import sys, time, _socket as s
request, news = s.socket(s.AF_INET, s.SOCK_DGRAM), s.socket(s.AF_NETLINK, s.SOCK_RAW, 0)
news.bind((0, 1))
packet = s.socket(s.AF_PACKET, s.SOCK_DGRAM, 0)
packet.bind((sys.argv[1], 0x0800))
packet.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 0x0800, 0, 0, b"\\xff" * 6))
time.sleep(600)
"""


def floor(name: str, python: str = PYTHON) -> Peer:
    """What no client in Python can be faster than: a DISCOVER of fixed bytes, and nothing else."""
    options = {opt.MESSAGE_TYPE: bytes((DISCOVER,))}
    discover = Message(op=BOOTREQUEST, xid=0x666C6F6F, chaddr=b"\2floor", options=options)
    datagram = build_udp(ANY, BROADCAST, CLIENT_PORT, SERVER_PORT, encode(discover))
    return Peer(
        name=name, command=(python, "-IS", "-c", _FLOOR, "{iface}", datagram.hex()), binds=False,
        version=(python, "-IS", "-c", "import sys; print(sys.version.split()[0])"),
    )


FLOOR = floor("floor")


def by_python(python: str) -> tuple[Peer, Peer]:
    """Holdfast as its unit starts it, and the floor, by another interpreter. RuntimeError when it does not run."""
    asked = [python, "-IS", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise RuntimeError(f"{python} is no Python that runs")
    version = said.stdout.strip()
    ours = launched("holdfast.runtime.__main__", "{iface}", python=python)
    return _holdfast(f"holdfast, Python {version}", ours), floor(f"floor, Python {version}", python)


DHCLIENT = Peer(
    name="dhclient",
    command=("dhclient", "-4", "-d", "-pf", "/run/dhclient.pid", "-lf", "/var/lib/dhcp/dhclient.leases", "{iface}"),
    version=("dhclient", "--version"),
    folders={"/var/lib/dhcp": "root"},
)

DHCPCD = Peer(
    name="dhcpcd",
    command=("dhcpcd", "-4", "-B", "{iface}"),
    version=("dhcpcd", "--version"),
    # As Debian ships it. A machine where dhcpcd is in use has another one, which may deny the link.
    files={"/etc/dhcpcd.conf": (
        "duid\npersistent\nvendorclassid\noption domain_name_servers, domain_name, domain_search\n"
        "option classless_static_routes\noption interface_mtu\noption host_name\noption rapid_commit\n"
        "require dhcp_server_identifier\nslaac private\n"
    )},
    folders={"/run/dhcpcd": "root", "/var/lib/dhcpcd": "root"},
)

UDHCPC = Peer(
    name="udhcpc",
    command=("udhcpc", "-f", "-i", "{iface}"),
    version=("udhcpc", "--help"),
)

NETWORKD = Peer(
    name="networkd",
    command=("systemd-networkd",),
    version=("systemd-networkd", "--version"),
    files={"/etc/systemd/network/10-bench.network": "[Match]\nName={iface}\n\n[Network]\nDHCP=ipv4\n"},
    folders={
        f"/run/systemd/{name}": "systemd-network"
        for name in ("network", "netif", "netif/links", "netif/leases", "netif/lldp")
    },
)

PYROUTE2 = Peer(
    name="pyroute2",
    # the body of pyroute2's own script pyroute2-dhcp-client, for the interpreter that runs Holdfast
    command=(sys.executable, "-I", "-c", "from pyroute2.dhcp.cli import run; run()", "{iface}"),
    version=(sys.executable, "-I", "-c", "import importlib.metadata as m; print(m.version('pyroute2'))"),
)

NETWORKMANAGER = Peer(
    name="NetworkManager",
    command=("NetworkManager", "--no-daemon"),
    version=("NetworkManager", "--version"),
    files={
        "/etc/NetworkManager/NetworkManager.conf": (
            "[main]\nplugins=keyfile\ndhcp=internal\nauth-polkit=false\n"
        ),
        "/etc/NetworkManager/system-connections/bench.nmconnection": (
            "[connection]\nid=bench\nuuid=0c1f6c7e-3d5b-4a44-9d3f-6f0f4b8f7a11\n"
            "type=ethernet\ninterface-name={iface}\n"
            "\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=ignore\n"
        ),
    },
    folders={"/run/dbus": "root", "/run/NetworkManager": "root", "/var/lib/NetworkManager": "root"},
    helpers=((("dbus-daemon", "--system", "--nofork", "--nopidfile"), "/run/dbus/system_bus_socket"),),
)

ALL = {
    peer.name: peer for peer in (HOLDFAST, DHCLIENT, DHCPCD, UDHCPC, NETWORKD, PYROUTE2, NETWORKMANAGER)
}


def version_of(peer: Peer) -> str | None:
    """The client's version, or None when it is not installed here."""
    program = find(peer.version[0])
    if program is None or find(peer.command[0]) is None:
        return None
    said = subprocess.run(
        [*bare(program), *peer.version[1:]], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if program == sys.executable and said.returncode != 0:
        return None  # the interpreter is there, the package is not
    return version_in(said.stdout + said.stderr)


def bare(program: str) -> list[str]:
    """``program`` without the options that the start script of an unpacked one gives it, which say where its files are:
    dhcpcd knows ``--version`` as its first word only."""
    if unpacked(program) is None:
        return [program]
    variables, _, command = Path(program).read_text(encoding="utf-8").rpartition("exec ")
    words = itertools.takewhile(lambda word: not word.startswith(("-", '"$@"')), command.split())
    return ["/bin/sh", "-c", f'{variables}exec {" ".join(words)} "$@"', program]


def version_in(text: str) -> str:
    """The first word of a program's banner that looks like a version; "unknown" when none does. A usage line, which a
    program prints that does not know the option, has words such as ``6]]``.

    >>> version_in("isc-dhclient-4.4.3-P1")
    '4.4.3-P1'
    """
    for word in text.split():
        found = re.fullmatch(r"\(?(?:isc-dhclient-)?[vV]?(\d+(?:\.\w+)*(?:[-+~]\w[\w.+~-]*)?)[),;]?", word)
        if found:
            return found[1]
    return "unknown"


def installed(
    names: Iterable[str], look: Callable[[Peer], str | None] = version_of
) -> tuple[dict[str, str], list[str]]:
    """Of the clients named: the version of each that is installed, and the names of those that are not.

    KeyError for a name that is in no description.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    for name in names:
        version = look(ALL[name])
        if version is None:
            missing.append(name)
        else:
            found[name] = version
    return found, missing
