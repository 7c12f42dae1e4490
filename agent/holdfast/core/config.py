"""What the protocol needs to know about this client; built by ``settings``, never read from a file here."""

from __future__ import annotations

from holdfast.wire import options as opt
from holdfast.wire.record import NamedTuple

#: What we ask every server for (option 55). The order is the order of our preference:
#: RFC 3442 wants 121 before 3, and servers that honour the order fill a small packet from the left.
DEFAULT_REQUEST_LIST: tuple[int, ...] = (
    opt.SUBNET_MASK,
    opt.CLASSLESS_STATIC_ROUTE,
    opt.CLASSLESS_STATIC_ROUTE_MS,
    opt.ROUTER,
    opt.STATIC_ROUTE,
    opt.DOMAIN_NAME_SERVER,
    opt.DOMAIN_NAME,
    opt.DOMAIN_SEARCH,
    opt.BROADCAST_ADDRESS,
    opt.INTERFACE_MTU,
    opt.NTP_SERVERS,
    opt.HOST_NAME,
    opt.LEASE_TIME,
    opt.SERVER_ID,
    opt.RENEWAL_TIME,
    opt.REBINDING_TIME,
    opt.CAPTIVE_PORTAL,
)


class ClientConfig(NamedTuple):
    """Settings of one client, and the only defaults of what of it can be configured (``settings`` takes them from
    here). Durations are seconds.

    ``client_id`` is the whole value of option 61 (type byte included), or None to send none.
    ``acd``: "optimistic" (configure at once, watch for a conflict), "strict" (RFC 5227: probe
    first) or "off". ``nak``: "hold" keeps a valid address while asking anew, "halt" is RFC 2131
    figure 5. ``on_expiry``: "remove", or "hold" to keep the address of an ended lease while its gateway
    answers ARP (rule 40). Option 108 in ``request_list`` is a promise to do as it says (RFC 8925).
    ``discover_ceiling`` bounds the gap between DISCOVERs. ``allow_servers`` and ``deny_servers``: networks as (address,
    mask), by option 54; answers of servers that are denied, or that are not among those allowed, are ignored. ``send``
    are more options of DISCOVER and REQUEST, not sent with ``anonymize``. An OFFER without one of ``required`` is not
    taken. ``lease_time_limit``: no lease is used for longer; ``default_lease_time``: that of a server which says none.
    """

    chaddr: bytes
    htype: int = 1
    client_id: bytes | None = None
    request_list: tuple[int, ...] = DEFAULT_REQUEST_LIST
    hostname: str | None = None
    vendor_class: bytes | None = None
    user_class: bytes | None = None
    max_message_size: int = 1472
    broadcast_flag: bool = False
    rapid_commit: bool = False
    anonymize: bool = False
    acd: str = "optimistic"
    nak: str = "hold"
    on_expiry: str = "remove"
    start_delay: bool = False
    discover_ceiling: float = 64.0
    allow_servers: tuple[tuple[int, int], ...] = ()
    deny_servers: tuple[tuple[int, int], ...] = ()
    send: tuple[tuple[int, bytes], ...] = ()
    required: tuple[int, ...] = ()
    lease_time_limit: float | None = None
    default_lease_time: float | None = None
