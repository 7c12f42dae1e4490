"""BOOTP/DHCP messages (RFC 2131 section 2, RFC 951) as bytes and as a record.

What is refused and what is read is decided by what keeps a lease:

- The header, the cookie and the *framing* of the options must be sound. A message that lies about its own
  length may have lost its second half, and half an ACK looks like a server that withdraws our routes. So an
  option that reaches past the end of its field refuses the message.
- The *content* of an option never does: nonsense in one option makes that property None.
- A missing end option (255) is forgiven, as is anything after it. An overload option (52) that is not
  1, 2 or 3 is ignored, and so is one inside ``file`` or ``sname``.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - the module calls it just "error"

from holdfast.wire import WireError
from holdfast.wire import options as opt
from holdfast.wire.address import IPv4Address
from holdfast.wire.lean import MappingProxyType
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOTREQUEST = 1
BOOTREPLY = 2

# Option 53 (RFC 2132 section 9.6; FORCERENEW: RFC 3203 section 4)
DISCOVER = 1
OFFER = 2
REQUEST = 3
DECLINE = 4
ACK = 5
NAK = 6
RELEASE = 7
INFORM = 8
FORCERENEW = 9

MESSAGE_NAMES: dict[int, str] = {
    DISCOVER: "DISCOVER",
    OFFER: "OFFER",
    REQUEST: "REQUEST",
    DECLINE: "DECLINE",
    ACK: "ACK",
    NAK: "NAK",
    RELEASE: "RELEASE",
    INFORM: "INFORM",
    FORCERENEW: "FORCERENEW",
}

ANY = IPv4Address(0)
BROADCAST = IPv4Address(0xFFFFFFFF)
SERVER_PORT = 67
CLIENT_PORT = 68
BROADCAST_FLAG = 0x8000

#: Some relays and servers drop anything shorter than BOOTP's 300 bytes (RFC 1542 section 2.1).
MINIMUM_SIZE = 300
#: Largest message read or written, in bytes. Our option 57 asks for no more than 1472, what a 1500 byte MTU
#: carries; the rest is room for servers on a larger MTU. It bounds every list an option can hold.
MAXIMUM_SIZE = 2048

#: op htype hlen hops xid secs flags ciaddr yiaddr siaddr giaddr chaddr sname file cookie
_HEADER = Struct("!4BI2H4I16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_PAD, _END = opt.PAD, opt.END  # looked up once, not twice for every option
_NO_OPTIONS: Mapping[int, bytes] = MappingProxyType({})


@record
class Message(NamedTuple):
    """One message. Fields have RFC 2131's names; ``chaddr`` is as long as ``hlen`` says.

    ``options`` maps a code to its whole value: split options (RFC 3396) are joined in the order
    options, ``file``, ``sname``, and of repeated ones the first counts (``options.joined``); pad, end and
    overload (52) are not in it. ``sname`` and ``file`` end before their first NUL and are empty when they
    carried options.
    """

    op: int
    xid: int
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = ANY
    yiaddr: IPv4Address = ANY
    siaddr: IPv4Address = ANY
    giaddr: IPv4Address = ANY
    chaddr: bytes = b""
    htype: int = 1
    hops: int = 0
    sname: bytes = b""
    file: bytes = b""
    options: Mapping[int, bytes] = _NO_OPTIONS

    @property
    def message_type(self) -> int | None:
        """Option 53; None when absent or not one byte."""
        value = self.options.get(opt.MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 else None

    @property
    def server_id(self) -> IPv4Address | None:
        """Option 54; None when absent, of a wrong length, or nothing a packet can be unicast to
        (0.0.0.0/8, 127.0.0.0/8, multicast, broadcast, ``yiaddr``): such a lease is renewed by broadcast."""
        value = self.options.get(opt.SERVER_ID, b"")
        if len(value) != 4 or not 0 < value[0] < 224 or value[0] == 127 or value == self.yiaddr.packed:
            return None
        return IPv4Address(value)

    @property
    def lease_time(self) -> int | None:
        """Option 51, seconds; 0xffffffff is infinite."""
        return self._seconds(opt.LEASE_TIME)

    @property
    def renewal_time(self) -> int | None:
        """Option 58 (T1), seconds."""
        return self._seconds(opt.RENEWAL_TIME)

    @property
    def rebinding_time(self) -> int | None:
        """Option 59 (T2), seconds."""
        return self._seconds(opt.REBINDING_TIME)

    @property
    def client_id(self) -> bytes | None:
        """Option 61, type byte included; None when absent or empty."""
        return self.options.get(opt.CLIENT_ID) or None

    @property
    def requested_address(self) -> IPv4Address | None:
        """Option 50."""
        value = self.options.get(opt.REQUESTED_ADDRESS, b"")
        return IPv4Address(value) if len(value) == 4 else None

    @property
    def error_text(self) -> str | None:
        """Option 56, the server's words: printable ASCII, at most 255 characters."""
        return opt.text(self.options.get(opt.MESSAGE, b"")) or None

    def _seconds(self, code: int) -> int | None:
        value = self.options.get(code, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None


def decode(data: bytes) -> Message:
    """Read the payload of a UDP datagram. WireError when it is not a sound DHCP message (see above)."""
    if not _HEADER.size <= len(data) <= MAXIMUM_SIZE:
        raise WireError(f"length {len(data)}, not {_HEADER.size} to {MAXIMUM_SIZE}", "length")
    (op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file,
     cookie) = _HEADER.unpack_from(data)
    if cookie != _COOKIE:
        raise WireError("no DHCP magic cookie", "cookie")
    if hlen > 16:
        raise WireError(f"hardware address of {hlen} bytes", "hardware-length")
    options = _read_options(data[_HEADER.size:])
    overload = options.pop(opt.OVERLOAD, None)
    if overload is not None and overload in _OVERLOADS:
        if overload[0] & 1 and not _is_name(file):
            _add_options(options, _read_options(file))
            file = b""
        if overload[0] & 2 and not _is_name(sname):
            _add_options(options, _read_options(sname))
            sname = b""
    return Message(
        op, xid, secs, flags, _address(ciaddr), _address(yiaddr), _address(siaddr), _address(giaddr),
        chaddr[:hlen], htype, hops, sname.partition(b"\0")[0], file.partition(b"\0")[0], options,
    )


#: Option 52 (RFC 2132 section 9.3): bit 0 is the file field, bit 1 the sname field.
_OVERLOADS = (b"\x01", b"\x02", b"\x03")


def _is_name(field: bytes) -> bool:
    """True for a plain name in a field that was announced as options: visible characters and then zeros. Letters read
    as options can be routes ("y" is 121); options have a length below 32, an end, or both."""
    name = field.rstrip(b"\0")
    return bool(name) and all(0x20 < byte < 0x7F for byte in name)


def _address(value: int) -> IPv4Address:
    return IPv4Address(value) if value else ANY


def _read_options(field: bytes) -> dict[int, bytes]:
    """The options in ``field``; what is there more than once is one value (``options.joined``)."""
    options: dict[int, bytes] = {}
    position, end = 0, len(field)
    try:
        while position < end:
            code = field[position]
            if code == _PAD:
                position += 1
                continue
            if code == _END:
                return options
            start = position + 2
            position = start + field[position + 1]
            piece = field[start:position]
            if code in options:
                piece = opt.joined(code, options[code], piece, another_field=False)
            options[code] = piece
    except IndexError:
        raise WireError("an option has no length") from None
    if position > end:
        raise WireError("an option reaches past the end of its field")
    return options


def _add_options(options: dict[int, bytes], more: dict[int, bytes]) -> None:
    """Add to ``options`` what another field holds; an overload option means nothing there."""
    more.pop(opt.OVERLOAD, None)
    for code, piece in more.items():
        options[code] = opt.joined(code, options[code], piece, another_field=True) if code in options else piece


def encode(message: Message, *, minimum: int = MINIMUM_SIZE) -> bytes:
    """The payload of a UDP datagram: options in the mapping's order, those over 255 bytes split (RFC 3396),
    then the end option and zeros up to ``minimum`` bytes.

    WireError when a field is out of range, a name holds a NUL (it would not come back), an option's
    code is not one a message can hold, or the whole is over MAXIMUM_SIZE bytes. Never overloads.
    """
    if len(message.chaddr) > 16:
        raise WireError(f"hardware address of {len(message.chaddr)} bytes", "hardware-length")
    for name, room in ((message.sname, 64), (message.file, 128)):
        if len(name) > room or b"\0" in name:
            raise WireError(f"sname or file is over {room} bytes or holds a NUL", "value")
    try:
        header = _HEADER.pack(
            message.op, message.htype, len(message.chaddr), message.hops, message.xid, message.secs,
            message.flags, int(message.ciaddr), int(message.yiaddr), int(message.siaddr),
            int(message.giaddr), message.chaddr, message.sname, message.file, _COOKIE,
        )
    except StructError as error:
        raise WireError(f"a header field is out of range: {error}", "value") from None
    data = (header + _write_options(message.options)).ljust(minimum, b"\0")
    if len(data) > MAXIMUM_SIZE:
        raise WireError(f"{len(data)} bytes, more than {MAXIMUM_SIZE}", "length")
    return data


def _write_options(options: Mapping[int, bytes]) -> bytes:
    written = bytearray()
    for code, value in options.items():
        if not opt.PAD < code < opt.END or code == opt.OVERLOAD:
            raise WireError(f"option {code} cannot be written", "value")
        for start in range(0, len(value) or 1, 255):
            piece = value[start:start + 255]
            written += bytes((code, len(piece))) + piece
    written.append(opt.END)
    return bytes(written)
