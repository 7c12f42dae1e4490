"""Real DHCP servers, each in the foreground, in a namespace and a folder that a test made.

Four of them: dnsmasq, Kea, ISC dhcpd and busybox udhcpd. They are told the same things (``Service``),
started and killed by pid, and are ready when UDP port 67 is bound in their namespace.

On machines with AppArmor, Debian's and Ubuntu's profiles confine dhcpd and kea-dhcp4 to their own
folders in /etc, /run and /var/lib. Profiles go by path, so a copy of the program elsewhere is free of
them; ``./dev test`` puts one first on PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from ipaddress import IPv4Interface
from pathlib import Path
from typing import ClassVar, NamedTuple

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace


class Service(NamedTuple):
    """What a server is to hand out. ``pool`` is the one address it has (dhcpd: or two); times are seconds.

    ``lease_time`` is what is asked of the server; dnsmasq never gives less than 120, and takes a forced
    T1 (option 58) from 3 s on only. ``extra`` are more lines for dnsmasq's configuration.
    """

    pool: str = "10.77.0.50"
    server: str = "10.77.0.1/24"
    lease_time: int = 20
    t1: int = 3
    t2: int = 8
    authoritative: bool = True
    static_route: str = "192.0.2.0/24"
    domain: str = "lab.example"
    mtu: int = 1400
    extra: tuple[str, ...] = ()

    @property
    def interface(self) -> IPv4Interface:
        """The server's own address, with its prefix."""
        return IPv4Interface(self.server)

    @property
    def classless_routes(self) -> bytes:
        """Option 121 (RFC 3442): the default route and ``static_route``, both by way of the server."""
        gateway = self.interface.ip.packed
        network, _, length = self.static_route.partition("/")
        significant = (int(length) + 7) // 8
        destination = bytes(int(part) for part in network.split("."))[:significant]
        return b"\0" + gateway + bytes([int(length)]) + destination + gateway


class Server:
    """One server process. ``start`` after ``kill`` starts it again with the lease file it left."""

    name: ClassVar[str]
    program: ClassVar[str]
    shortest_lease: ClassVar[int] = 1

    def __init__(self, namespace: Namespace, interface: str, folder: Path, service: Service) -> None:
        """``interface`` is in ``namespace`` and up, and has the server's address already."""
        self.namespace = namespace
        self.interface = interface
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "log"
        self._log_start = 0

    # -- what each server has of its own ---------------------------------------------------------

    def configuration(self) -> dict[str, str]:
        """File name -> content, written anew at each start."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """The command line that keeps the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Variables to add to the environment."""
        return {}

    def lease_files(self) -> list[Path]:
        """What the server remembers leases in."""
        return sorted(self.folder.glob("leases*"))

    # -- life ------------------------------------------------------------------------------------

    @property
    def lease_time(self) -> int:
        """The seconds that the server really gives."""
        return max(self.service.lease_time, self.shortest_lease)

    def start(self) -> None:
        """Write the configuration, start the process, and return when it is listening."""
        assert self.process is None, f"{self.name} is running"
        for name, content in self.configuration().items():
            (self.folder / name).write_text(content)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = self.namespace.popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.environment()},
            )
        try:
            wait_until(self._listening_or_dead, 20, f"{self.name} listens on port 67")
        except AssertionError:
            self.kill()
            raise
        if self.process.poll() is not None:
            self.process = None
            raise AssertionError(f"{self.name} ended at once:\n{self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        """SIGTERM, and wait for the end; SIGKILL when it does not listen to that."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: whatever was not written down is lost."""
        self._end(signal.SIGKILL)

    def forget(self) -> None:
        """Remove the lease files of the stopped server."""
        assert self.process is None, "first stop the server"
        for path in self.lease_files():
            path.unlink()

    def reconfigure(self, service: Service) -> None:
        """Kill, forget every lease, and start again with ``service``."""
        self.kill()
        self.forget()
        self.service = service
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            fair_time.wait(self.process, 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _listening_or_dead(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            return True
        return port_bound(self.process.pid, 67) and self.said_ready()

    def said_ready(self) -> bool:
        """True when the log says so too, for servers that bind port 67 before they can answer."""
        return True


def port_bound(pid: int, port: int) -> bool:
    """True when some socket in the network namespace of ``pid`` is bound to UDP ``port``."""
    try:
        lines = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(int(line.split()[1].partition(":")[2], 16) == port for line in lines)


class Dnsmasq(Server):
    """dnsmasq: never less than 120 s, but T1 and T2 can be forced; pings before it offers if not told."""

    name = "dnsmasq"
    program = "dnsmasq"
    shortest_lease = 120

    def configuration(self) -> dict[str, str]:
        """dnsmasq(8)."""
        service = self.service
        gateway = service.interface.ip
        lines = [
            "port=0",
            "no-ping",
            "log-dhcp",
            "log-facility=-",
            "bind-interfaces",
            f"interface={self.interface}",
            "except-interface=lo",
            "user=root",
            f"pid-file={self.folder}/pid",
            f"dhcp-leasefile={self.folder}/leases",
            f"dhcp-range={service.pool},{service.pool},{service.interface.netmask},{self.lease_time}",
            f"dhcp-option-force=58,{service.t1}",
            f"dhcp-option-force=59,{service.t2}",
            f"dhcp-option=3,{gateway}",
            f"dhcp-option=6,{gateway}",
            f"dhcp-option=15,{service.domain}",
            f"dhcp-option=26,{service.mtu}",
            f"dhcp-option=121,0.0.0.0/0,{gateway},{service.static_route},{gateway}",
        ]
        if service.authoritative:
            lines.append("dhcp-authoritative")
        return {"dnsmasq.conf": "\n".join([*lines, *service.extra]) + "\n"}

    def command(self) -> list[str]:
        """In the foreground, but not in debugging mode, which changes what it does."""
        return [self.program, "--keep-in-foreground", f"--conf-file={self.folder}/dnsmasq.conf"]


class Kea(Server):
    """kea-dhcp4. Its lock and pid files go where KEA_* says; it takes leases as short as one likes."""

    name = "kea"
    program = "kea-dhcp4"

    def configuration(self) -> dict[str, str]:
        """Kea's administrator reference manual, section 8."""
        service = self.service
        gateway = str(service.interface.ip)
        options: list[dict[str, object]] = [
            {"name": "routers", "data": gateway},
            {"name": "domain-name-servers", "data": gateway},
            {"name": "domain-name", "data": service.domain},
            {"name": "interface-mtu", "data": str(service.mtu)},
            {"code": 121, "space": "dhcp4", "csv-format": False, "data": service.classless_routes.hex()},
        ]
        settings = {
            "interfaces-config": {"interfaces": [self.interface], "dhcp-socket-type": "raw"},
            "lease-database": {
                "type": "memfile", "persist": True, "lfc-interval": 0, "name": str(self.folder / "leases"),
            },
            "valid-lifetime": self.lease_time,
            "renew-timer": service.t1,
            "rebind-timer": service.t2,
            "authoritative": service.authoritative,
            "subnet4": [
                {
                    "id": 1,
                    "subnet": str(service.interface.network),
                    "pools": [{"pool": f"{service.pool} - {service.pool}"}],
                    "option-data": options,
                }
            ],
            "loggers": [
                {"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}
            ],
        }
        return {"kea.json": json.dumps({"Dhcp4": settings}, indent=1)}

    def command(self) -> list[str]:
        """kea-dhcp4 stays in the foreground of itself."""
        return [self.program, "-c", str(self.folder / "kea.json")]

    def environment(self) -> dict[str, str]:
        """Nothing of it outside the folder."""
        return {"KEA_PIDFILE_DIR": str(self.folder), "KEA_LOCKFILE_DIR": str(self.folder)}

    def said_ready(self) -> bool:
        """Port 67 is bound before the leases are loaded."""
        return b"DHCP4_STARTED" in self.log.read_bytes()[self._log_start :]


class Dhcpd(Server):
    """ISC dhcpd: reads packet sockets, so an nft input hook does not keep anything from it.

    Its cache threshold would answer an early renewal with what is left of the old lease.
    """

    name = "dhcpd"
    program = "dhcpd"

    def configuration(self) -> dict[str, str]:
        """dhcpd.conf(5) and dhcp-options(5)."""
        service = self.service
        gateway = service.interface.ip
        network = service.interface.network
        routes = ":".join(f"{byte:02x}" for byte in service.classless_routes)
        return {
            "dhcpd.conf": f"""\
option classless-routes code 121 = string;
{"" if service.authoritative else "not "}authoritative;
ping-check false;
dhcp-cache-threshold 0;
default-lease-time {self.lease_time};
min-lease-time 1;
max-lease-time {self.lease_time};
subnet {network.network_address} netmask {network.netmask} {{
  range {service.pool};
  option dhcp-renewal-time {service.t1};
  option dhcp-rebinding-time {service.t2};
  option routers {gateway};
  option domain-name-servers {gateway};
  option domain-name "{service.domain}";
  option interface-mtu {service.mtu};
  option classless-routes {routes};
}}
"""
        }

    def command(self) -> list[str]:
        """The lease file must be there before dhcpd starts."""
        (self.folder / "leases").touch()
        return [
            self.program, "-4", "-f", "-d", "--no-pid", "-cf", str(self.folder / "dhcpd.conf"),
            "-lf", str(self.folder / "leases"), self.interface,
        ]


class Udhcpd(Server):
    """busybox udhcpd: never says NAK to a renewal of a lease that it forgot; it says nothing."""

    name = "udhcpd"
    program = "udhcpd"

    def configuration(self) -> dict[str, str]:
        """The options by name where busybox has one, else by number and hexadecimal value."""
        service = self.service
        gateway = service.interface.ip
        return {
            "udhcpd.conf": f"""\
interface {self.interface}
start {service.pool}
end {service.pool}
max_leases 1
auto_time 1
offer_time 2
min_lease 1
lease_file {self.folder}/leases
pidfile {self.folder}/pid
opt lease {self.lease_time}
opt subnet {service.interface.netmask}
opt router {gateway}
opt dns {gateway}
opt domain {service.domain}
opt mtu {service.mtu}
opt staticroutes 0.0.0.0/0 {gateway},{service.static_route} {gateway}
opt 0x3a {service.t1:08x}
opt 0x3b {service.t2:08x}
"""
        }

    def command(self) -> list[str]:
        """The lease file must be there before udhcpd starts."""
        (self.folder / "leases").touch()
        return [self.program, "-f", str(self.folder / "udhcpd.conf")]


SERVERS: dict[str, type[Server]] = {server.name: server for server in (Dnsmasq, Kea, Dhcpd, Udhcpd)}


def missing(server: type[Server]) -> str | None:
    """Why ``server`` cannot run here, or None."""
    if shutil.which(server.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        return f"{server.program} is not installed"
    return None
