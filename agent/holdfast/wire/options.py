"""DHCP options: their codes, and their values as meaning.

The decoders take an option's whole value (``joined``, RFC 3396) and raise WireError when nothing in it can be
used; the caller then treats the option as absent. Where a list is sound at its start and malformed at its
end, the sound part is returned: a lease is worth more than a perfect option. What a list can hold is bounded
by message.MAXIMUM_SIZE.
"""

from __future__ import annotations

from holdfast.wire import WireError
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Network

PAD = 0
SUBNET_MASK = 1
TIME_OFFSET = 2
ROUTER = 3
DOMAIN_NAME_SERVER = 6
LOG_SERVER = 7
HOST_NAME = 12
DOMAIN_NAME = 15
ROOT_PATH = 17
INTERFACE_MTU = 26
BROADCAST_ADDRESS = 28
STATIC_ROUTE = 33
NIS_DOMAIN = 40
NTP_SERVERS = 42
VENDOR_SPECIFIC = 43
NETBIOS_NAME_SERVER = 44
REQUESTED_ADDRESS = 50
LEASE_TIME = 51
OVERLOAD = 52
MESSAGE_TYPE = 53
SERVER_ID = 54
PARAMETER_REQUEST_LIST = 55
MESSAGE = 56
MAX_MESSAGE_SIZE = 57
RENEWAL_TIME = 58
REBINDING_TIME = 59
VENDOR_CLASS_ID = 60
CLIENT_ID = 61
TFTP_SERVER_NAME = 66
BOOTFILE_NAME = 67
USER_CLASS = 77
RAPID_COMMIT = 80
FQDN = 81
RELAY_AGENT_INFORMATION = 82
AUTHENTICATION = 90
CLIENT_ARCHITECTURE = 93
TZ_POSIX = 100
TZ_DATABASE = 101
IPV6_ONLY = 108
CAPTIVE_PORTAL = 114
AUTO_CONFIGURE = 116
SUBNET_SELECTION = 118
DOMAIN_SEARCH = 119
CLASSLESS_STATIC_ROUTE = 121
FORCERENEW_NONCE_CAPABLE = 145
AZURE_ENDPOINT = 245
CLASSLESS_STATIC_ROUTE_MS = 249
END = 255

#: The names of RFC 2132 and its successors, as people write them in server configurations.
NAMES: dict[int, str] = {
    SUBNET_MASK: "subnet-mask",
    TIME_OFFSET: "time-offset",
    ROUTER: "router",
    DOMAIN_NAME_SERVER: "domain-name-server",
    LOG_SERVER: "log-server",
    HOST_NAME: "host-name",
    DOMAIN_NAME: "domain-name",
    ROOT_PATH: "root-path",
    INTERFACE_MTU: "interface-mtu",
    BROADCAST_ADDRESS: "broadcast-address",
    STATIC_ROUTE: "static-route",
    NIS_DOMAIN: "nis-domain",
    NTP_SERVERS: "ntp-servers",
    VENDOR_SPECIFIC: "vendor-specific",
    NETBIOS_NAME_SERVER: "netbios-name-server",
    REQUESTED_ADDRESS: "requested-address",
    LEASE_TIME: "lease-time",
    OVERLOAD: "overload",
    MESSAGE_TYPE: "message-type",
    SERVER_ID: "server-id",
    PARAMETER_REQUEST_LIST: "parameter-request-list",
    MESSAGE: "message",
    MAX_MESSAGE_SIZE: "max-message-size",
    RENEWAL_TIME: "renewal-time",
    REBINDING_TIME: "rebinding-time",
    VENDOR_CLASS_ID: "vendor-class-id",
    CLIENT_ID: "client-id",
    TFTP_SERVER_NAME: "tftp-server-name",
    BOOTFILE_NAME: "bootfile-name",
    USER_CLASS: "user-class",
    RAPID_COMMIT: "rapid-commit",
    FQDN: "fqdn",
    RELAY_AGENT_INFORMATION: "relay-agent-information",
    AUTHENTICATION: "authentication",
    CLIENT_ARCHITECTURE: "client-architecture",
    TZ_POSIX: "tz-posix",
    TZ_DATABASE: "tz-database",
    IPV6_ONLY: "ipv6-only",
    CAPTIVE_PORTAL: "captive-portal",
    AUTO_CONFIGURE: "auto-configure",
    SUBNET_SELECTION: "subnet-selection",
    DOMAIN_SEARCH: "domain-search",
    CLASSLESS_STATIC_ROUTE: "classless-static-route",
    FORCERENEW_NONCE_CAPABLE: "forcerenew-nonce-capable",
    AZURE_ENDPOINT: "azure-endpoint",
    CLASSLESS_STATIC_ROUTE_MS: "classless-static-route-ms",
}

#: What belongs to one message or one exchange, and is no part of what a lease configures.
OF_ONE_MESSAGE = frozenset((
    REQUESTED_ADDRESS, LEASE_TIME, OVERLOAD, MESSAGE_TYPE, SERVER_ID, PARAMETER_REQUEST_LIST, MESSAGE, MAX_MESSAGE_SIZE,
    RENEWAL_TIME, REBINDING_TIME, CLIENT_ID, RAPID_COMMIT, RELAY_AGENT_INFORMATION, AUTHENTICATION, IPV6_ONLY,
    AUTO_CONFIGURE, FORCERENEW_NONCE_CAPABLE,
))
#: Options of a fixed length, and that length in bytes (RFC 2132; those above 90: RFC 4388, 4578, 8925, 2563, 3011,
#: 6926, 5071 and, for 245, what Azure sends).
FIXED_LENGTHS: dict[int, int] = {
    **dict.fromkeys(
        (19, 20, 23, 27, 29, 30, 31, 34, 36, 37, 39, 46, OVERLOAD, MESSAGE_TYPE, AUTO_CONFIGURE, 156, 157), 1
    ),
    **dict.fromkeys((13, 22, INTERFACE_MTU, MAX_MESSAGE_SIZE), 2),
    **dict.fromkeys((
        SUBNET_MASK, TIME_OFFSET, 16, 24, BROADCAST_ADDRESS, 32, 35, 38, REQUESTED_ADDRESS, LEASE_TIME, SERVER_ID,
        RENEWAL_TIME, REBINDING_TIME, 91, IPV6_ONLY, SUBNET_SELECTION, 152, 153, 154, 155, 159, 208, 211,
        AZURE_ENDPOINT,
    ), 4),
}
#: Options that hold one name, text or identifier of any length: two of them are not one that is longer.
SINGLE_VALUES = frozenset((
    HOST_NAME, 14, DOMAIN_NAME, ROOT_PATH, 18, NIS_DOMAIN, 47, MESSAGE, VENDOR_CLASS_ID, CLIENT_ID, 62, 64,
    TFTP_SERVER_NAME, BOOTFILE_NAME, FQDN, AUTHENTICATION, 97, TZ_POSIX, TZ_DATABASE, CAPTIVE_PORTAL, 160, 209, 210,
    252,
))

#: RFC 2132 section 5.1 allows 68, but every IPv4 host must take datagrams of 576 (RFC 791 section 3.1);
#: a smaller value is a server's mistake (or an attack: an MTU of 68 stops most traffic).
_MINIMUM_MTU = 576

_LETTERS_DIGITS_HYPHEN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
_AND_UNDERSCORE = _LETTERS_DIGITS_HYPHEN + b"_"
_PRINTABLE = bytes(range(0x20, 0x7F))
_PRINTABLE_OR_QUESTION_MARK = bytes(byte if byte in _PRINTABLE else 0x3F for byte in range(256))
_VISIBLE = bytes(range(0x21, 0x7F))

#: Characters of a value that are told when it is not used.
_SHOWN = 64
#: Domains read from option 119. Each may be a two byte pointer to a long name, so that 2 KiB could become
#: 250 KiB; resolvers look at far fewer (glibc before 2.26: six).
_MAXIMUM_DOMAINS = 32
#: Labels and pointers of option 119 that are followed, those of refused names too: 32 names of 127 labels, each by way
#: of two pointers. Without a bound 1.9 KiB of pointers to each other and to one long name cost a quarter of a second.
_MAXIMUM_STEPS = _MAXIMUM_DOMAINS * (127 + 3)


def joined(code: int, earlier: bytes, piece: bytes, *, another_field: bool) -> bytes:
    """The value of option ``code`` that was read as ``earlier`` and comes again as ``piece``, later in the same field
    of the message or in ``another_field`` of it.

    RFC 3396 section 7 joins them, and so does this what may be split: lists, routes, and what is not known here.
    Servers also repeat themselves (dnsmasq with ``--dhcp-option=54,...``), and then the first value counts (rule 76):
    of options of a fixed length the first that has it; of names, texts and identifiers the first, unless it is as long
    as one option can be, or goes on in another field, or is a domain's piece: two domains have a dot each.
    """
    full = bool(earlier) and len(earlier) % 255 == 0
    if code in FIXED_LENGTHS and not full:
        size = FIXED_LENGTHS[code]
        if len(earlier) == size:
            return earlier
        if len(piece) == size:
            return piece
    elif code in SINGLE_VALUES and earlier:
        cut = code == DOMAIN_NAME and len(earlier) < 255 and not (b"." in earlier and b"." in piece)
        if piece == earlier or not (full or another_field or cut):
            return earlier
    return earlier + piece


def address(value: bytes) -> IPv4Address:
    """One address: exactly four bytes."""
    if len(value) != 4:
        raise WireError(f"an address of length {len(value)}, not 4")
    return IPv4Address(value)


def subnet_mask(value: bytes) -> IPv4Address:
    """A mask that an interface can have: ones and then zeros, and of eight ones at least. No unicast network is wider,
    and for one the kernel would make no prefix route."""
    mask = address(value)
    hosts = int(mask) ^ 0xFFFFFFFF
    if hosts >= 1 << 24 or hosts & (hosts + 1):
        raise WireError(f"{mask} is not a mask")
    return mask


def addresses(value: bytes) -> tuple[IPv4Address, ...]:
    """One address or more. A length that is no multiple of four is no list of addresses, and its first is a guess; and
    some servers put names where addresses belong (``ntp.example.``), which have letters for octets: void as a whole."""
    if len(value) < 4 or len(value) % 4:
        raise WireError(f"length {len(value)} is not that of a list of addresses, four bytes each")
    if len(value) > 4 and b"." in value[:-1] and value.rstrip(b".\0")[-2:].isalpha() and domain(value) is not None:
        raise WireError(f"{text(value)} is a name, not a list of addresses")
    return tuple(IPv4Address(value[at:at + 4]) for at in range(0, len(value), 4))


def uint16(value: bytes) -> int:
    """An unsigned number: exactly two bytes."""
    if len(value) != 2:
        raise WireError(f"a number of length {len(value)}, not 2")
    return int.from_bytes(value, "big")


def mtu(value: bytes) -> int:
    """An interface's MTU: from 576 up (rule 62)."""
    number = uint16(value)
    if number < _MINIMUM_MTU:
        raise WireError(f"{number} is below {_MINIMUM_MTU}")
    return number


def text(value: bytes) -> str:
    """Text fit for a log line: ends before the first NUL, at most 255 characters, and "?" for everything but
    printable ASCII. May be empty. Not fit to be a name: see ``hostname``."""
    return value.partition(b"\0")[0][:255].translate(_PRINTABLE_OR_QUESTION_MARK).decode("ascii")


def quoted(value: bytes) -> str:
    """``text`` for a line that says why a value is not used: in quotes, and cut after 64 characters."""
    said = text(value.rstrip(b"\0"))
    return f'"{said}"' if len(said) <= _SHOWN else f'"{said[:_SHOWN]}..."'


def hostname(value: bytes) -> str | None:
    """A name by RFC 1123 section 2.1, or None (rule 73): labels of 1 to 63 letters, digits and hyphens, no
    hyphen at either end, 253 characters in all, and not of the form of an IP address. Trailing NULs
    (some servers count them in) and one trailing dot are taken off. It may be qualified."""
    return _name(value, _LETTERS_DIGITS_HYPHEN)


def domain(value: bytes) -> str | None:
    """A domain to search in, or None: as ``hostname``, and underscores (RFC 2181 section 11 allows any byte in a name
    that is no host's, and Active Directory's domains have them). Nothing that a shell or a file could misread."""
    return _name(value, _AND_UNDERSCORE)


def _name(value: bytes, allowed: bytes) -> str | None:
    name = value.rstrip(b"\0")
    if name.endswith(b"."):
        name = name[:-1]
    if not 1 <= len(name) <= 253:
        return None
    labels = name.split(b".")
    for label in labels:
        if not 1 <= len(label) <= 63 or label.startswith(b"-") or label.endswith(b"-"):
            return None
        if label.translate(None, allowed):
            return None
    if len(labels) > 1 and labels[-1].isdigit():
        return None
    return name.decode("ascii")


def domain_names(value: bytes, left_out: list[str] | None = None) -> tuple[str, ...]:
    """The domains of option 15, at most 32. It should hold one, but servers have put several there, separated by
    spaces, since before option 119 (AWS documents it). Those that are not names are left out: why each was is added to
    ``left_out``."""
    names: list[str] = []
    refused: list[bytes] = []
    for word in value.rstrip(b"\0").split()[:_MAXIMUM_DOMAINS] or [b""]:
        name = domain(word)
        if name is None:
            refused.append(word)
        else:
            names.append(name)
    _tell(left_out, refused)
    return tuple(names)


def _tell(left_out: list[str] | None, refused: list[bytes]) -> None:
    if left_out is not None:
        left_out += [f"{quoted(name)} is not a domain" for name in refused]


def uri(value: bytes) -> str | None:
    """A captive portal's address (RFC 8910): http or https, visible ASCII only; else None."""
    value = value.rstrip(b"\0")
    if value.translate(None, _VISIBLE) or not value.lower().startswith((b"https://", b"http://")):
        return None
    return value.decode("ascii")


def classless_routes(
    value: bytes, left_out: list[str] | None = None
) -> tuple[tuple[IPv4Network, IPv4Address], ...]:
    """(destination, gateway) pairs of option 121 or 249 (RFC 3442). Gateway 0.0.0.0 is on-link; host bits in
    a destination are masked away. What follows a malformed route is dropped (rule 65), which is added to
    ``left_out``."""
    routes: list[tuple[IPv4Network, IPv4Address]] = []
    position = 0
    while position < len(value):
        width = value[position]
        start = position + 1
        stop = start + (width + 7) // 8
        position = stop + 4
        if width > 32 or position > len(value):
            break
        significant = int.from_bytes(value[start:stop].ljust(4, b"\0"), "big")
        routes.append((_network(significant, width), IPv4Address(value[stop:position])))
    else:
        start = 0
    if not routes:
        raise WireError("no classless route can be read")
    if start and left_out is not None:
        left_out.append(f"the last {len(value) - start + 1} octets are no route")
    return tuple(routes)


def static_routes(value: bytes, left_out: list[str] | None = None) -> tuple[tuple[IPv4Network, IPv4Address], ...]:
    """(destination, gateway) pairs of option 33 (RFC 2132 section 5.8), which knows no masks: a destination
    is a network of its class, or a host when it has host bits. Destinations that are not unicast, 0.0.0.0
    among them (the RFC forbids it), are left out, and so is a ragged tail: why is added to ``left_out``."""
    routes = []
    refused: list[str] = []
    for at in range(0, len(value) - 7, 8):
        first = value[at]
        if not 0 < first < 224 or first == 127:
            refused.append(f"{IPv4Address(value[at:at + 4])} is not a destination that can be routed")
            continue
        width = 8 if first < 128 else 16 if first < 192 else 24
        destination = int.from_bytes(value[at:at + 4], "big")
        if destination & (0xFFFFFFFF >> width):
            width = 32
        routes.append((_network(destination, width), IPv4Address(value[at + 4:at + 8])))
    if len(value) % 8:
        refused.append(f"length {len(value)} is not that of a list of routes, eight bytes each")
    if left_out is not None:
        left_out += refused
    if not routes:
        raise WireError("no static route can be read")
    return tuple(routes)


def _network(destination: int, width: int) -> IPv4Network:
    from ipaddress import IPv4Network  # noqa: PLC0415 - not before the first DISCOVER

    mask = 0xFFFFFFFF ^ (0xFFFFFFFF >> width)
    return IPv4Network((destination & mask, width))


def domain_search(value: bytes, left_out: list[str] | None = None) -> tuple[str, ...]:
    """The domains of option 119 (RFC 3397), with RFC 1035 compression over the whole value. Those that are
    not names (``domain``) are left out; what follows a malformed one, the 32nd, or more labels than 32
    names have, is dropped. Why is added to ``left_out``."""
    names: list[str] = []
    refused: list[bytes] = []
    position, steps, broken = 0, _MAXIMUM_STEPS, False
    while position < len(value) and len(names) < _MAXIMUM_DOMAINS:
        try:
            labels, position, steps = _read_name(value, position, steps)
        except WireError:
            broken = True
            break
        raw = b".".join(labels)
        name = domain(raw)
        if name is not None:
            names.append(name)
        else:
            refused.append(raw)
    _tell(left_out, refused)
    if broken and left_out is not None:
        left_out.append(f"what is there from octet {position} on is no domain")
    if not names:
        raise WireError("no domain can be read")
    return tuple(names)


def _read_name(value: bytes, position: int, steps: int) -> tuple[list[bytes], int, int]:
    """The labels of the name at ``position``, where the next name starts, and what is left of ``steps``.

    A pointer must lead to before the name, or the piece of it, that it is in: so every jump goes
    further back, and no chain of pointers can be endless. 127 labels is a name's most (RFC 1035
    section 2.3.4: 255 bytes with each label's length byte).
    """
    labels: list[bytes] = []
    piece, following = position, 0
    while len(labels) <= 127 and position < len(value) and steps:
        length = value[position]
        position += 1
        steps -= 1
        if length == 0:
            return labels, following or position, steps
        if length < 0x40:
            if position + length > len(value):
                break
            labels.append(value[position:position + length])
            position += length
        elif length >= 0xC0 and position < len(value):
            following = following or position + 1
            target = (length & 0x3F) << 8 | value[position]
            if target >= piece:
                break
            piece = position = target
        else:
            break
    raise WireError("a domain name is malformed")


def _some_host(value: bytes) -> bool:
    """True when one of the addresses can be another machine's."""
    return any(0 < each.packed[0] < 224 and each.packed[0] != 127 for each in addresses(value))


#: How the options are read that decide what an interface looks like; nothing, or WireError, when they say nothing.
_DECODERS: dict[int, Callable[[bytes], object]] = {
    SUBNET_MASK: subnet_mask,
    ROUTER: _some_host,
    DOMAIN_NAME_SERVER: _some_host,
    HOST_NAME: hostname,
    DOMAIN_NAME: domain_names,
    INTERFACE_MTU: mtu,
    BROADCAST_ADDRESS: address,
    STATIC_ROUTE: static_routes,
    NTP_SERVERS: _some_host,
    CAPTIVE_PORTAL: uri,
    DOMAIN_SEARCH: domain_search,
    CLASSLESS_STATIC_ROUTE: classless_routes,
    CLASSLESS_STATIC_ROUTE_MS: classless_routes,
}


def acted_on(code: int) -> bool:
    """True for an option that decides what an interface looks like."""
    return code in _DECODERS


def says_something(code: int, options: Mapping[int, bytes]) -> bool:
    """True when option ``code`` is among ``options`` and, if it is one that is acted on, not void."""
    value = options.get(code)
    if value is None or code not in _DECODERS:
        return value is not None
    try:
        return bool(_DECODERS[code](value))
    except WireError:
        return False
