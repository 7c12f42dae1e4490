"""Hypothesis strategies for addresses, messages and damaged bytes."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import settings
from hypothesis import strategies as st

from holdfast.wire import message as msg
from holdfast.wire import options as opt

# The same examples in every run, and no deadline: a busy machine is not a failure.
settings.register_profile("holdfast", derandomize=True, deadline=None)
settings.load_profile("holdfast")

#: Codes an encoded message can hold.
OPTION_CODES = [code for code in range(1, 255) if code != opt.OVERLOAD]

addresses = st.integers(0, 0xFFFFFFFF).map(IPv4Address)
unicast_addresses = st.integers(0x01000000, 0x7EFFFFFF).map(IPv4Address)
macs = st.binary(min_size=6, max_size=6).map(lambda mac: bytes([mac[0] & 0xFC | 2]) + mac[1:])
xids = st.integers(0, 0xFFFFFFFF)
ports = st.integers(0, 0xFFFF)


def texts_without_nul(size: int) -> st.SearchStrategy[bytes]:
    """What ``sname`` and ``file`` can hold."""
    return st.binary(max_size=size).map(lambda value: value.replace(b"\0", b"\1"))


def option_maps(
    codes: list[int] = OPTION_CODES, max_value: int = 280
) -> st.SearchStrategy[dict[int, bytes]]:
    """Options that fit one message together."""
    return st.dictionaries(st.sampled_from(codes), st.binary(max_size=max_value), max_size=6)


def messages(options: st.SearchStrategy[dict[int, bytes]] | None = None) -> st.SearchStrategy[msg.Message]:
    """Any message that can be encoded, sensible or not."""
    byte, half = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
    return st.builds(
        msg.Message, op=byte, xid=xids, secs=half, flags=half, ciaddr=addresses, yiaddr=addresses,
        siaddr=addresses, giaddr=addresses, chaddr=st.binary(max_size=16), htype=byte, hops=byte,
        sname=texts_without_nul(64), file=texts_without_nul(128),
        options=option_maps() if options is None else options,
    )


@st.composite
def replies(
    draw: st.DrawFn,
    *,
    xid: int | None = None,
    chaddr: bytes | None = None,
    types: tuple[int, ...] = (msg.OFFER, msg.ACK, msg.NAK),
) -> msg.Message:
    """What a server may say: header in order, times and server id sensible, odd or absent."""
    kind = draw(st.sampled_from(types))
    options = {opt.MESSAGE_TYPE: bytes([kind])}
    if draw(st.integers(0, 9)):
        options[opt.SERVER_ID] = draw(unicast_addresses).packed
    if kind != msg.NAK:
        times = st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(30, 86400), st.just(0xFFFFFFFF))
        for code in (opt.LEASE_TIME, opt.RENEWAL_TIME, opt.REBINDING_TIME):
            if draw(st.integers(0, 4)):
                options[code] = draw(times).to_bytes(4, "big")
        options[opt.SUBNET_MASK] = draw(st.sampled_from([b"\xff\xff\xff\x00", b"\xff\xff\xff\xff"]))
        options[opt.ROUTER] = draw(unicast_addresses).packed
    return msg.Message(
        op=msg.BOOTREPLY,
        xid=draw(xids) if xid is None else xid,
        yiaddr=msg.ANY if kind == msg.NAK else draw(unicast_addresses),
        chaddr=draw(macs) if chaddr is None else chaddr,
        options=options,
    )


@st.composite
def damaged(draw: st.DrawFn, sound: st.SearchStrategy[bytes]) -> bytes:
    """Sound bytes with a few bytes changed, taken out, put in, repeated or cut off."""
    data = bytearray(draw(sound))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["change", "cut", "insert", "repeat", "truncate"])):
            case "change":
                data[at:at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del data[at:at + length]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=length))
            case "repeat":
                data[at:at] = data[at:at + length]
            case _:
                del data[at:]
    return bytes(data)
