"""dhclient (ISC), alone. Its files and its command line, for ``ifupdown`` and ``ifcfg`` too.

Facts: it writes its lease at each ACK and reads it when it starts (then INIT-REBOOT, no DISCOVER). SIGKILL leaves
the interface as it is; ``-r`` and ``-x`` flush it. It sends no client-id unless told to by ``-i``, ``-D`` or its
configuration. Debian's script cannot add an address that is there, so after a hand-back the kernel keeps the
lifetimes that it has until the first renewal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from math import inf

from holdfast.managers import lease_files
from holdfast.managers.formats import dhclient_leases as leases
from holdfast.managers.formats import dhclient_text
from holdfast.takeover.adapters import process
from holdfast.takeover.errors import TakeoverError, reader_errors
from holdfast.takeover.host import Host
from holdfast.takeover.model import ForeignLease, Found, Ownership
from holdfast.takeover.processes import Process

CONFIGURATIONS = ("/etc/dhcp/dhclient.conf", "/etc/dhclient.conf")
#: dhclient(8), upstream and RHEL's: options with a value. -I and -R have one in RHEL only.
_VALUED = frozenset((
    "-p", "-D", "-pf", "-cf", "-lf", "-sf", "-df", "-e", "-s", "-g", "-H", "-F", "-V", "-C", "-timeout",
    "--dad-wait-time", "--prefix-len-hint", "--decline-wait-time", "--address-prefix-len",
))
_PERHAPS_VALUED = frozenset(("-I", "-R"))
#: Options of short runs: a release, a stop, a version.
_SHORT = frozenset(("-r", "-x", "-6", "--version", "--help", "-h"))
_DUID_UNKNOWN = "is told to send a DUID as client-id, and its lease file has no default-duid"


@dataclass(frozen=True)
class Arguments:
    """What a command line says. ``values`` by option; ``flags``; ``words`` are the interfaces."""

    values: dict[str, str]
    flags: frozenset[str]
    words: tuple[str, ...]

    @property
    def ephemeral(self) -> bool:
        """A short run of cloud-init in early boot, whose lease is not used afterwards."""
        return self.values.get("-sf") == "/bin/true" or self.values.get("-lf", "") == "/run/dhclient.lease"


def arguments(argv: Sequence[str]) -> Arguments:
    """The command line of a dhclient."""
    values: dict[str, str] = {}
    flags, words = set(), []
    before = ""
    rest = iter(argv[1:])
    for word in rest:
        if word in _VALUED:
            values[word] = next(rest, "")
        elif word.startswith("-"):
            flags.add(word)
        else:
            words.append(word)
            if before in _PERHAPS_VALUED:  # its value, or an interface: whoever asks knows which names there are
                values[before] = word
        before = word
    return Arguments(values, frozenset(flags), tuple(words))


def _serves(host: Host, process: Process, ifname: str) -> bool:
    parsed = arguments(process.argv)
    if parsed.flags & _SHORT or parsed.ephemeral:
        return False
    if parsed.words:
        return ifname in parsed.words
    path = lease_path(host, process.argv)  # without a name: every interface that can broadcast
    return not host.weakness(path, missing=True) and leases.last_lease(host.text(path), ifname, {}) is not None


def lease_path(host: Host, argv: Sequence[str]) -> str:
    """The lease file of a dhclient started like that."""
    given = arguments(argv).values.get("-lf")
    return given or next((path for path in lease_files.DHCLIENT if host.exists(path)), lease_files.DHCLIENT[0])


def configuration(host: Host, argv: Sequence[str]) -> str:
    """The text of its configuration with all that it includes, "" when there is none."""
    given = arguments(argv).values.get("-cf")
    path = given or next((path for path in CONFIGURATIONS if host.exists(path)), CONFIGURATIONS[0])

    def read(included: str) -> str:
        if not included.startswith("/"):
            raise TakeoverError(f"{path} includes {included!r}, which depends on where dhclient was started; name it "
                                "from / on")
        host.require_root(included, f"{path} includes")
        return host.text(included)

    host.require_root(path, "dhclient's configuration")
    return dhclient_text.with_included(host.text(path), read)


def check_alone(host: Host, process: Process, ifname: str) -> None:
    """TakeoverError when the process has a lease of another interface too."""
    parsed = arguments(process.argv)
    known = set(host.interfaces()) - {"lo", ifname}
    text = host.text(lease_path(host, process.argv))
    others = sorted(
        name for name in known
        if name in parsed.words or (not parsed.words and leases.last_lease(text, name, {}) is not None)
    )
    if others:
        raise TakeoverError(
            f"dhclient (pid {process.pid}) serves {ifname} and {', '.join(others)}, and ending it would end both: "
            f"first run one dhclient for each interface"
        )


def read_lease(host: Host, found: Found) -> ForeignLease:
    """The lease of the dhclient that ``found`` describes, from its file."""
    path = lease_path(host, found.argv)
    host.require_root(path, "dhclient's lease file")
    text, conf = host.text(path), configuration(host, found.argv)
    block = leases.last_lease(text, found.ifname, dhclient_text.declared_options(conf))
    if block is None:
        raise TakeoverError(
            f"{path} has no lease of {found.ifname} that can be read; see whether dhclient (pid {found.pids[0]}) has "
            "one (its log), or start it again"
        )
    sends = _Sends(host, found, conf)
    mask = block.options.get(1, b"\xff\xff\xff\xff")
    server = block.options.get(54, b"")
    expires, lasts = host.from_wall(block.expire), int.from_bytes(block.options.get(51, b""), "big")
    return ForeignLease(
        address=IPv4Interface(f"{block.address}/{IPv4Address(mask)}"),
        server_id=IPv4Address(server) if len(server) == 4 else None,
        started_at=expires - lasts if lasts and expires < inf else host.boottime(),
        t1_at=host.from_wall(block.renew), t2_at=host.from_wall(block.rebind), expires_at=expires,
        options=block.options,
        client_id=sends.client_id(text), vendor_class=sends.vendor_class(), hostname=sends.hostname(),
        source=path,
    )


class _Sends:
    """What a dhclient puts into its messages: its command line, then ``send`` of its configuration."""

    def __init__(self, host: Host, found: Found, conf: str) -> None:
        self._host, self._found = host, found
        self._told = arguments(found.argv)
        general = [words for words in dhclient_text.statements(conf) if words.startswith("send ")]
        own = dhclient_text.sections(conf, f'interface "{found.ifname}"')
        self._sent: dict[str, str] = {}
        for words in [*general, *(words for words in own if words.startswith("send "))]:
            match = re.fullmatch(r"send\s+(?:option\s+)?([\w.-]+)\s*=?\s*(.+)", words, re.DOTALL)
            if match:
                self._sent[match.group(1)] = match.group(2).strip()

    def client_id(self, lease_text: str) -> bytes | None:
        """Option 61; b"" for none, None for an expression that only dhclient can work out."""
        given = self._told.values.get("-I", "")
        if given and given not in self._host.interfaces():  # RHEL's -I
            return leases.octets(given) or given.encode()
        mac = self._host.mac(self._found.ifname)
        expression = self._sent.get("dhcp-client-identifier")
        if expression is not None:
            return b"\x01" + mac if expression == "hardware" else leases.octets(expression)
        if "-i" in self._told.flags or "-D" in self._told.values:
            duid = leases.default_duid(lease_text)
            if duid is None:
                raise TakeoverError(f"dhclient on {self._found.ifname} {_DUID_UNKNOWN}")
            return b"\xff" + mac[-4:] + duid  # RFC 4361
        return b""

    def vendor_class(self) -> bytes | None:
        """Option 60."""
        given = self._told.values.get("-V")
        return given.encode() if given else leases.octets(self._sent.get("vendor-class-identifier", ""))

    def hostname(self) -> str | None:
        """Option 12."""
        given = self._told.values.get("-H") or self._sent.get("host-name", "")
        if given.replace(" ", "") == "gethostname()":
            return self._host.nodename()
        value = leases.octets(given) if given.startswith('"') else given.encode()
        return value.decode("ascii", "replace") if value else None


def write_lease(host: Host, found: Found, lease: ForeignLease) -> None:
    """Append ``lease`` to its lease file, so that it starts with it."""
    path = lease_path(host, found.argv)
    host.require_root(path, "dhclient's lease file")
    before = host.read(path) or b""
    declared = dhclient_text.declared_options(configuration(host, found.argv))

    def unix(instant: float) -> float:
        return instant if instant == inf else instant - host.boottime() + host.wall()

    block = leases.Block(
        found.ifname, lease.address.ip, lease.options, unix(lease.t1_at), unix(lease.t2_at), unix(lease.expires_at)
    )
    status = host.stat(path)
    with reader_errors():
        text = leases.render(block, declared)
    host.write(path, before + text.encode(), status.st_mode & 0o777 if status else 0o644)


class Dhclient:
    """The adapter of a dhclient that no manager runs."""

    name = "dhclient"

    def find(self, host: Host, ifname: str) -> Found | None:
        """The dhclient that keeps the interface's IPv4 lease, and what it has forked."""

        def look() -> list[Process]:
            return [
                each for each in host.processes()
                if self.name in (each.program, each.comm) and _serves(host, each, ifname)
            ]

        return process.find(host, self.name, ifname, look)

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The last block of its lease file."""
        process = host.process(found.pids[0])
        if process is not None:
            check_alone(host, process, found.ifname)
        return read_lease(host, found)

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """Its own unit, when it has one, does not start it."""
        return process.unit_ownership(host, found)

    def stop(self, host: Host, found: Found) -> None:
        """SIGKILL: -r and -x flush the interface."""
        process.stop(host, found)

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start it with the lease in its file."""
        try:
            write_lease(host, found, lease_now)
        finally:  # on a full disk it is started with its old lease file
            process.start_again(host, found)
