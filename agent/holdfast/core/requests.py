"""What we send. One function per row of RFC 2131 table 4; each field is tagged with the table's word.

    table 4             ciaddr        option 50      option 54     destination
    SELECTING REQUEST   zero          MUST           MUST          broadcast
    INIT-REBOOT         zero          MUST           MUST NOT      broadcast
    RENEWING            our address   MUST NOT       MUST NOT      unicast to the server
    REBINDING           our address   MUST NOT       MUST NOT      broadcast
    DECLINE             zero          MUST           MUST          broadcast
    RELEASE             our address   MUST NOT       MUST          unicast to the server
"""

from __future__ import annotations

from holdfast.core.config import ClientConfig
from holdfast.core.lease import Lease
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.address import IPv4Address
from holdfast.wire.message import ANY, BOOTREQUEST, BROADCAST_FLAG, Message

SECS_MAX = 65535


def secs_since(started_at: float, now: float) -> int:
    """The ``secs`` field: whole seconds since ``started_at``, stopping at 65535 (rule 10)."""
    return max(0, min(SECS_MAX, int(now - started_at)))


def discover(config: ClientConfig, xid: int, secs: int, wanted: IPv4Address | None) -> Message:
    """DISCOVER; ``wanted`` goes into option 50 (MAY). Rapid commit (option 80, RFC 4039) when configured."""
    extra = {} if wanted is None else {opt.REQUESTED_ADDRESS: wanted.packed}
    if config.rapid_commit:
        extra[opt.RAPID_COMMIT] = b""
    return _ask(config, msg.DISCOVER, xid, secs, extra)


def request_selecting(config: ClientConfig, xid: int, secs: int, offer: Message) -> Message:
    """REQUEST that takes ``offer``; ``xid`` is the OFFER's and ``secs`` the DISCOVER's (MUST, section 4.4.1).

    Option 54 is the OFFER's whatever it is, for the server looks for its own word (rule 78). An OFFER without one is
    taken without one, as dhclient does, though table 4 has it as a MUST for both."""
    extra = {opt.REQUESTED_ADDRESS: offer.yiaddr.packed}
    named = offer.options.get(opt.SERVER_ID, b"")
    if len(named) == 4:
        extra[opt.SERVER_ID] = named
    return _ask(config, msg.REQUEST, xid, secs, extra)


def request_reboot(config: ClientConfig, xid: int, secs: int, address: IPv4Address) -> Message:
    """REQUEST that asks whether ``address`` is still ours (INIT-REBOOT)."""
    return _ask(config, msg.REQUEST, xid, secs, {opt.REQUESTED_ADDRESS: address.packed})


def request_renew(config: ClientConfig, xid: int, secs: int, lease: Lease) -> Message:
    """REQUEST of a bound client. The same bytes go by unicast and by broadcast."""
    return _ask(config, msg.REQUEST, xid, secs, {}, ciaddr=lease.address)


def decline(config: ClientConfig, xid: int, address: IPv4Address, server_id: IPv4Address | None) -> Message:
    """DECLINE: somebody else has ``address``."""
    extra = {opt.REQUESTED_ADDRESS: address.packed, opt.MESSAGE: b"address in use"}
    return _tell(config, msg.DECLINE, xid, extra, server_id)


def release(config: ClientConfig, xid: int, lease: Lease) -> Message:
    """RELEASE of ``lease``."""
    return _tell(config, msg.RELEASE, xid, {}, named_server(lease), ciaddr=lease.address)


def named_server(lease: Lease) -> IPv4Address | None:
    """What the server of ``lease`` calls itself (option 54), whether a packet could be sent there or not."""
    named = lease.options.get(opt.SERVER_ID, b"")
    return IPv4Address(named) if len(named) == 4 else lease.server_id


def _ask(
    config: ClientConfig, kind: int, xid: int, secs: int, extra: dict[int, bytes], ciaddr: IPv4Address = ANY
) -> Message:
    options = {opt.MESSAGE_TYPE: bytes((kind,))}
    if config.client_id is not None:
        options[opt.CLIENT_ID] = config.client_id
    options.update(extra)
    options[opt.MAX_MESSAGE_SIZE] = config.max_message_size.to_bytes(2, "big")
    if not config.anonymize:  # RFC 7844 section 3: neither name nor class
        if config.hostname:
            options[opt.HOST_NAME] = config.hostname.encode("ascii")
        if config.vendor_class:
            options[opt.VENDOR_CLASS_ID] = config.vendor_class
        if config.user_class:
            options[opt.USER_CLASS] = config.user_class
        for code, value in config.send:
            options.setdefault(code, value)
    # The same list in DISCOVER and in every REQUEST (MUST, section 3.1 point 5).
    options[opt.PARAMETER_REQUEST_LIST] = bytes(config.request_list)
    # A bound client can hear unicast; one without an address may need the flag (SHOULD be 0, section 4.1).
    flags = BROADCAST_FLAG if config.broadcast_flag and ciaddr == ANY else 0
    return Message(
        op=BOOTREQUEST, htype=config.htype, xid=xid, secs=secs, flags=flags, ciaddr=ciaddr,
        chaddr=config.chaddr, options=options,
    )


def _tell(
    config: ClientConfig, kind: int, xid: int, extra: dict[int, bytes], server_id: IPv4Address | None,
    ciaddr: IPv4Address = ANY,
) -> Message:
    options = {opt.MESSAGE_TYPE: bytes((kind,))}
    if config.client_id is not None:
        options[opt.CLIENT_ID] = config.client_id
    if server_id is not None:
        options[opt.SERVER_ID] = server_id.packed
    options.update(extra)
    return Message(
        op=BOOTREQUEST, htype=config.htype, xid=xid, ciaddr=ciaddr, chaddr=config.chaddr, options=options
    )
