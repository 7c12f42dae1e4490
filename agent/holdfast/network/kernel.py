"""One interface's addresses and routes in the kernel: look, change, look again.

What to do, in which order, and the reading back are in ``plan.py``, shared with the fake. Here an operation becomes a
netlink message, and a message becomes what was observed.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf
from typing import Any

from holdfast.network import KernelError
from holdfast.network import plan as plans
from holdfast.network.link import IFF_UP, holders
from holdfast.network.netlink import NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE, NetlinkSocket
from holdfast.network.plan import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    IFA_F_STATE,
    RTPROT_BOOT,
    Address,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Observed,
    Op,
    PutAddress,
    SetMtu,
)
from holdfast.network.rtnl import ifaddrmsg, linkmsg, rtmsg
from holdfast.network.spec import RTPROT_DHCP, NetworkSpec, Route

AF_INET, AF_INET6 = 2, 10
RTM_GETLINK, RTM_SETLINK = 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RT_TABLE_MAIN, RTN_UNICAST = 254, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTPROT_KERNEL, RTPROT_STATIC = 2, 4
RTEXT_FILTER_SKIP_STATS = 8
IFLA_INET_CONF, IPV4_DEVCONF_PROMOTE_SECONDARIES = 1, 20
IFLA_INET6_CONF, DEVCONF_DISABLE_IPV6 = 2, 26
IFLA_INFO_SLAVE_KIND = 4
IFA_LOCAL, IFA_PROTO = 2, 11
RTA_DST, RTA_PREFSRC = 1, 7
FOREVER = 0xFFFFFFFF

#: Route protocols that can concern us: ours, the kernel's prefix routes, what scripts and people add. The
#: full table of a routing daemon (bird, zebra, bgp: 12 and up) is not even decoded.
PROTOCOLS = frozenset({RTPROT_DHCP, RTPROT_KERNEL, RTPROT_BOOT, RTPROT_STATIC})


class Kernel:
    """The interface ``ifindex`` in the network namespace of the calling thread. Raises KernelError only."""

    def __init__(self, ifindex: int) -> None:
        self.ifindex = ifindex
        self._netlink = NetlinkSocket()

    def apply(
        self, desired: NetworkSpec, former: NetworkSpec | None, now: float, *, keep: bool = False
    ) -> tuple[str, ...]:
        """Make the interface look like ``desired``; idempotent. ``former`` is what was configured before,
        if that is another lease. ``keep``: an address whose lifetimes agree to the second is not touched, so that
        nothing happens at all when everything is there. Answers with what could not be had and is not worth
        failing for (an MTU beyond the link's, a nonsensical route). Raises KernelError when, having read back,
        the address or a route is not there; then nothing of the former lease was removed. The link must be up."""
        return plans.apply(self, desired, former, now, keep=keep)

    def foreign(self, address: IPv4Address) -> bool:
        """True when ``address`` is on the link and nothing with our mark has it. Raises KernelError."""
        marks = [held.mark for held in self._addresses(IPv4Interface(address)) if held.interface.ip == address]
        return bool(marks) and plans.MARK not in marks

    def refresh(self, spec: NetworkSpec, now: float) -> bool:
        """Give the spec's address the lease's lifetimes, if it is there and has an end; nothing else is touched.
        False when it is not there. Raises KernelError."""
        return plans.refresh(self, spec, now)

    def present_mtu(self) -> int:
        """The link's MTU now. Raises KernelError."""
        return self._link().mtu

    def put_mtu_back(self, ours: int, former: int) -> None:
        """Set the MTU to ``former`` where it still is ``ours``. Raises KernelError."""
        if self.present_mtu() == ours:
            self.perform(SetMtu(former))

    def remove(self, spec: NetworkSpec, *, yielded: bool = False) -> None:
        """Remove the spec's address and routes, and nothing else; no error when they are gone already. ``yielded``:
        the interface is an administrator's, so an address without an end is theirs unless the lease has none either."""
        plans.remove(self, spec, yielded=yielded)

    def close(self) -> None:
        """Close the netlink socket; the interface stays as it is."""
        self._netlink.close()

    # -- looking ---------------------------------------------------------------------------------

    def observe(self, *specs: NetworkSpec) -> Observed:
        """The interface as the kernel has it now; with ``specs`` only what concerns them and us, so that its cost does
        not grow with others' addresses and routes (rule 91)."""
        link = self._link()
        addresses = self._addresses(*(spec.address for spec in specs if link.promotes))
        routes = self._routes(specs, addresses) if specs else self._dump_routes(0, _concerns_us, ())
        read = [_read_route(answer, self.ifindex) for answer in routes]
        return Observed(
            addresses=addresses,
            routes=tuple(route for route in read if route is not None),
            mtu=link.mtu,
            promotes=link.promotes,
            up=link.up,
            ipv6=link.ipv6,
            port_of=link.port_of,
            also_on=self._also_on(specs[0].address.ip) if specs else (),
        )

    def _routes(self, specs: tuple[NetworkSpec, ...], addresses: tuple[Address, ...]) -> list[bytes]:
        """The routes that are ours or lead to the subnets of ``specs``. Those that others add by the thousand are asked
        for only where an address has no prefix route of the kernel's, since anybody may have made it then."""
        sources = {*(spec.address.ip for spec in specs), *(a.interface.ip for a in addresses if a.mark == plans.MARK)}
        seek = (*(_attribute(RTA_PREFSRC, source.packed) for source in sources),
                *(_attribute(RTA_DST, spec.address.network.network_address.packed) for spec in specs))
        bare = any(held.flags & IFA_F_NOPREFIXROUTE for held in addresses)
        found: list[bytes] = []
        for protocol in sorted(PROTOCOLS) if bare else (RTPROT_KERNEL, RTPROT_DHCP):

            def concerns(answer: bytes, protocol: int = protocol) -> bool:
                return answer[21] == protocol and _concerns_us(answer) and any(part in answer for part in seek)

            found += self._dump_routes(protocol, concerns, seek)
        return found

    def _dump_routes(self, protocol: int, keep: Callable[[bytes], bool], seek: tuple[bytes, ...]) -> list[bytes]:
        """Those of ``protocol``, 0 for any, as far as the kernel filters (4.20)."""
        # Not asked for by table: the kernel says ENOENT while there is no table main yet.
        message = _message(rtmsg, [("RTA_OIF", self.ifindex)], family=AF_INET, proto=protocol, type=RTN_UNICAST)
        return self._netlink.dump(message, RTM_GETROUTE, "reading routes", keep, seek)

    def _addresses(self, *about: IPv4Interface) -> tuple[Address, ...]:
        """The addresses of the link; with ``about`` only those, what has our mark, and the first of their subnets."""
        index = struct.pack("=I", self.ifindex)
        exact: tuple[bytes, ...] = ()
        subnets: tuple[bytes, ...] = ()
        if about:
            exact = (_attribute(IFA_PROTO, bytes((plans.MARK,))), *(_attribute(IFA_LOCAL, a.ip.packed) for a in about))
            # The whole bytes of the prefix; whoever reads looks at the rest.
            subnets = tuple(_attribute(IFA_LOCAL, a.ip.packed)[:4 + a.network.prefixlen // 8] for a in about)

        def concerns(answer: bytes) -> bool:
            if answer[20:24] != index:
                return False
            if not about or any(pattern in answer for pattern in exact):
                return True
            # struct ifaddrmsg from byte 16: family prefixlen flags scope index
            return not answer[18] & IFA_F_SECONDARY and any(pattern in answer for pattern in subnets)

        answers = self._netlink.dump(
            _message(ifaddrmsg, family=AF_INET, index=self.ifindex), RTM_GETADDR, "reading addresses", concerns,
            exact + subnets,
        )
        return tuple(_read_address(answer) for answer in answers)

    def _link(self) -> Observed:
        """The link alone: the MTU, whether promote_secondaries is on for it, whether it is up and speaks IPv6."""
        request = _message(linkmsg, [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)], index=self.ifindex)
        answer = _decoded(linkmsg, self._netlink.get(request, RTM_GETLINK, "reading the link"))
        # The nested attributes: AF_INET, in it IFLA_INET_CONF, an array of u32 counted from 1; AF_INET6, in it
        # IFLA_INET6_CONF, one counted from 0.
        families = answer.get_attr("IFLA_AF_SPEC") or b""
        conf = _nested(_nested(families, AF_INET), IFLA_INET_CONF)
        at = 4 * (IPV4_DEVCONF_PROMOTE_SECONDARIES - 1)
        conf6 = _nested(_nested(families, AF_INET6), IFLA_INET6_CONF)
        at6 = 4 * DEVCONF_DISABLE_IPV6
        return Observed(
            mtu=int(answer.get_attr("IFLA_MTU") or 0), promotes=any(conf[at:at + 4]), up=bool(answer["flags"] & IFF_UP),
            ipv6=len(conf6) >= at6 + 4 and not any(conf6[at6:at6 + 4]), port_of=port_of(answer),
        )

    def _also_on(self, address: IPv4Address) -> tuple[str, ...]:
        own = _name(self.ifindex)
        return tuple(name for name in holders(address) if name != own)

    # -- changing --------------------------------------------------------------------------------

    def promote(self) -> None:
        """Switch on net.ipv4.conf.LINK.promote_secondaries, as systemd does by default. By netlink, since
        /proc/sys is read-only in containers and under ProtectKernelTunables, and goes by name."""
        leaf = struct.pack("=HHI", 8, IPV4_DEVCONF_PROMOTE_SECONDARIES, 1)
        conf = struct.pack("=HH", 4 + len(leaf), IFLA_INET_CONF) + leaf
        inet = struct.pack("=HH", 4 + len(conf), AF_INET) + conf
        self._netlink.change(
            _message(linkmsg, [("IFLA_AF_SPEC", inet)], index=self.ifindex), RTM_SETLINK, 0,
            "switching on promote_secondaries",
        )

    def perform(self, op: Op) -> None:
        """Perform one operation. It is no error when the kernel has that state already."""
        try:
            self._perform(op)
        except KernelError as error:
            if error.errno not in _HARMLESS.get(type(op), ()):
                raise

    def _perform(self, op: Op) -> None:
        change = self._netlink.change
        if isinstance(op, SetMtu):
            message = _message(linkmsg, [("IFLA_MTU", op.mtu)], index=self.ifindex)
            change(message, RTM_SETLINK, 0, f"setting the MTU to {op.mtu}")
        elif isinstance(op, PutAddress):
            message = _address_message(op.address, self.ifindex)
            change(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, f"adding address {op.address.interface}")
        elif isinstance(op, DeleteAddress):
            interface = op.address.interface
            message = _message(
                ifaddrmsg,
                [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(op.address.peer or interface.ip))],
                family=AF_INET, prefixlen=interface.network.prefixlen, index=self.ifindex,
            )
            change(message, RTM_DELADDR, 0, f"removing address {interface}")
        elif isinstance(op, AddRoute):
            # Append: replacing would remove another interface's default route of the same metric.
            message = _route_message(op.route, self.ifindex)
            change(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, f"adding route {op.route}")
        else:
            message = _route_message(op.route, self.ifindex)
            change(message, RTM_DELROUTE, 0, f"removing route {op.route}")


#: Errors that mean that the kernel has the wanted state already.
_HARMLESS: dict[type, tuple[int, ...]] = {
    AddRoute: (errno.EEXIST,),
    DeleteRoute: (errno.ESRCH, errno.ENOENT),
    DeleteAddress: (errno.EADDRNOTAVAIL,),
}


def _message(kind: Any, attributes: list[tuple[str, Any]] | None = None, **fields: int) -> Any:
    message = kind()
    message.update(fields)
    message["attrs"] = attributes or []
    return message


def _decoded(kind: Any, data: bytes) -> Any:
    message = kind(data)
    message.decode()
    return message


def _address_message(address: Address, ifindex: int) -> Any:
    attributes: list[tuple[str, Any]] = [
        ("IFA_LOCAL", str(address.interface.ip)),
        ("IFA_ADDRESS", str(address.peer or address.interface.ip)),
        ("IFA_FLAGS", address.flags & ~IFA_F_STATE),
        ("IFA_CACHEINFO", {
            "ifa_preferred": _lifetime(address.preferred), "ifa_valid": _lifetime(address.valid),
            "cstamp": 0, "tstamp": 0,
        }),
    ]
    if address.broadcast is not None:
        attributes.append(("IFA_BROADCAST", str(address.broadcast)))
    if address.label is not None:
        attributes.append(("IFA_LABEL", address.label))
    if address.metric:
        attributes.append(("IFA_RT_PRIORITY", address.metric))
    if address.mark:
        attributes.append(("IFA_PROTO", address.mark))
    return _message(
        ifaddrmsg, attributes, family=AF_INET, prefixlen=address.interface.network.prefixlen,
        flags=address.flags & ~IFA_F_STATE & 0xFF, scope=address.scope, index=ifindex,
    )


def port_of(answer: Any) -> str:
    """Kind and name of what the link is a port of, "" for a link that is none. A VRF gets no packets of its links."""
    master = answer.get_attr("IFLA_MASTER")
    kind = _nested(answer.get_attr("IFLA_LINKINFO") or b"", IFLA_INFO_SLAVE_KIND).rstrip(b"\0")
    return f"{kind.decode('ascii', 'replace')} {_name(master)}" if master and kind not in (b"", b"vrf") else ""


def _name(ifindex: int) -> str:
    """The name of an interface, its number when there is none."""
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return str(ifindex)


def _lifetime(seconds: float) -> int:
    """For struct ifa_cacheinfo: whole seconds, all ones for ever (rule 32)."""
    return FOREVER if seconds == inf else max(1, min(int(seconds), FOREVER - 1))


def _read_address(data: bytes) -> Address:
    message = _decoded(ifaddrmsg, data)
    times = message.get_attr("IFA_CACHEINFO") or {"ifa_valid": FOREVER, "ifa_preferred": FOREVER}
    local, peer = message.get_attr("IFA_LOCAL"), message.get_attr("IFA_ADDRESS")
    broadcast = message.get_attr("IFA_BROADCAST")
    return Address(
        interface=IPv4Interface((local or peer, message["prefixlen"])),
        broadcast=IPv4Address(broadcast) if broadcast else None,
        label=message.get_attr("IFA_LABEL"),
        scope=message["scope"],
        flags=message.get_attr("IFA_FLAGS") or message["flags"],
        valid=inf if times["ifa_valid"] == FOREVER else float(times["ifa_valid"]),
        preferred=inf if times["ifa_preferred"] == FOREVER else float(times["ifa_preferred"]),
        metric=message.get_attr("IFA_RT_PRIORITY") or 0,
        mark=message.get_attr("IFA_PROTO") or 0,
        peer=IPv4Address(peer) if local and peer and peer != local else None,
    )


def _route_message(route: Route, ifindex: int) -> Any:
    attributes: list[tuple[str, Any]] = [("RTA_OIF", ifindex)]
    if route.destination.prefixlen:
        attributes.append(("RTA_DST", str(route.destination.network_address)))
    if route.gateway is not None:
        attributes.append(("RTA_GATEWAY", str(route.gateway)))
    if route.metric:
        attributes.append(("RTA_PRIORITY", route.metric))
    if route.source is not None:
        attributes.append(("RTA_PREFSRC", str(route.source)))
    if route.mtu:
        attributes.append(("RTA_METRICS", {"attrs": [("RTAX_MTU", route.mtu)]}))
    # The scope counts when deleting, too: no gateway stands for any there, and "any scope" would let the
    # request for an on-link route find one through a gateway.
    scope = RT_SCOPE_LINK if route.onlink else RT_SCOPE_UNIVERSE
    return _message(
        rtmsg, attributes, family=AF_INET, dst_len=route.destination.prefixlen, table=RT_TABLE_MAIN,
        proto=route.protocol, scope=scope, type=RTN_UNICAST,
    )


def _attribute(kind: int, value: bytes) -> bytes:
    """struct rtattr as it stands in a message."""
    return struct.pack("=HH", 4 + len(value), kind) + value


def _concerns_us(answer: bytes) -> bool:
    """struct rtmsg from byte 16: family dst_len src_len tos table protocol scope type."""
    return (
        answer[20] == RT_TABLE_MAIN and answer[21] in PROTOCOLS
        and answer[23] == RTN_UNICAST and answer[19] == 0
    )


def _read_route(data: bytes, ifindex: int) -> Route | None:
    """None for another link's, and for what is never ours: multipath, nexthop objects, IPv6 gateways."""
    message = _decoded(rtmsg, data)
    if message.get_attr("RTA_OIF") != ifindex or message.get_attr("RTA_VIA") is not None:
        return None
    gateway, source = message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_PREFSRC")
    metrics = message.get_attr("RTA_METRICS")
    return Route(
        destination=IPv4Network((message.get_attr("RTA_DST") or 0, message["dst_len"])),
        gateway=IPv4Address(gateway) if gateway else None,
        metric=message.get_attr("RTA_PRIORITY") or 0,
        source=IPv4Address(source) if source else None,
        protocol=message["proto"],
        mtu=(metrics.get_attr("RTAX_MTU") or 0) if metrics is not None else 0,
    )


def _nested(attributes: bytes, wanted: int) -> bytes:
    """The value of the first attribute of type ``wanted`` (struct nlattr), empty when there is none."""
    position = 0
    while position + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, position)
        if length < 4:
            break
        if kind & 0x3FFF == wanted:
            return attributes[position + 4:position + length]
        position += (length + 3) & ~3
    return b""
