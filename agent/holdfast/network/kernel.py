"""One interface's addresses and routes in the kernel: look, change, look again.

What to do, in which order, and the reading back are in ``plan.py``, shared with the fake. Here an operation becomes a
netlink message, and a message becomes what was observed.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf

from holdfast.network import KernelError, rtnl
from holdfast.network import plan as plans
from holdfast.network.link import IFF_UP, holders
from holdfast.network.netlink import NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE, NetlinkSocket
from holdfast.network.plan import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    IFA_F_STATE,
    RTPROT_BOOT,
    RTPROT_STATIC,
    Address,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Observed,
    Op,
    PutAddress,
    SetMtu,
)
from holdfast.network.spec import RTPROT_DHCP, NetworkSpec, Route

AF_INET, AF_INET6 = 2, 10
RTM_GETLINK, RTM_SETLINK = 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTN_UNICAST = 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTPROT_KERNEL = 2
RTEXT_FILTER_SKIP_STATS = 8
IFLA_INET_CONF, IPV4_DEVCONF_PROMOTE_SECONDARIES = 1, 20
IFLA_INET6_CONF, DEVCONF_DISABLE_IPV6 = 2, 26
FOREVER = 0xFFFFFFFF

#: Route protocols that can concern us: ours, the kernel's prefix routes, what scripts and people add. The
#: full table of a routing daemon (bird, zebra, bgp: 12 and up) is not even decoded.
PROTOCOLS = frozenset({RTPROT_DHCP, RTPROT_KERNEL, RTPROT_BOOT, RTPROT_STATIC})


class Kernel:
    """The interface ``ifindex`` in the network namespace of the calling thread, over ``shared``, the socket of several,
    or one of its own. Raises KernelError only."""

    def __init__(self, ifindex: int, shared: NetlinkSocket | None = None) -> None:
        self.ifindex = ifindex
        self._netlink = NetlinkSocket() if shared is None else shared
        self._shared = shared is not None
        self._table = rtnl.RT_TABLE_MAIN  # the link's own, as last observed

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

    def own_table(self) -> int:
        """The link's own routing table: that of the VRF which it is in, else main. Raises KernelError."""
        return self._link().table

    def put_mtu_back(self, ours: int, former: int) -> None:
        """Set the MTU to ``former`` where it still is ``ours``. Raises KernelError."""
        if self.present_mtu() == ours:
            self.perform(SetMtu(former))

    def remove(self, spec: NetworkSpec, *, yielded: bool = False) -> None:
        """Remove the spec's address and routes, and nothing else; no error when they are gone already. ``yielded``:
        the interface is an administrator's, so an address without an end is theirs unless the lease has none either."""
        plans.remove(self, spec, yielded=yielded)

    def close(self) -> None:
        """Close the netlink socket, if it is this interface's alone; the interface stays as it is."""
        if not self._shared:
            self._netlink.close()

    # -- looking ---------------------------------------------------------------------------------

    def observe(self, *specs: NetworkSpec) -> Observed:
        """The interface as the kernel has it now; with ``specs`` only what concerns them and us, so that its cost does
        not grow with others' addresses and routes (rule 91), and of routes those of the link's own table and theirs."""
        link = self._link()
        addresses = self._addresses(*(spec.address for spec in specs if link.promotes))
        routes = self._routes(specs, addresses) if specs else self._dump_routes(0, _concerns_us, ())
        read = [_read_route(answer, self.ifindex, link.table) for answer in routes]
        theirs = {table for spec in specs for table in (spec.table, *(route.table for route in spec.routes))}
        tables = {0, *(0 if table == link.table else table for table in theirs)}
        self._table = link.table
        return Observed(
            addresses=addresses,
            routes=tuple(route for route in read if route is not None and (route.table in tables or not specs)),
            table=link.table,
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
        seek = (*(_attribute(rtnl.RTA_PREFSRC, source.packed) for source in sources),
                *(_attribute(rtnl.RTA_DST, spec.address.network.network_address.packed) for spec in specs))
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
        message = rtnl.ROUTE.pack(AF_INET, 0, 0, 0, 0, protocol, 0, RTN_UNICAST, 0)
        message += rtnl.u32(rtnl.RTA_OIF, self.ifindex)
        return self._netlink.dump(message, RTM_GETROUTE, "reading routes", keep, seek)

    def _addresses(self, *about: IPv4Interface) -> tuple[Address, ...]:
        """The addresses of the link; with ``about`` only those, what has our mark, and the first of their subnets."""
        index = struct.pack("=I", self.ifindex)
        exact: tuple[bytes, ...] = ()
        subnets: tuple[bytes, ...] = ()
        if about:
            own = [_attribute(rtnl.IFA_LOCAL, a.ip.packed) for a in about]
            exact = (_attribute(rtnl.IFA_PROTO, bytes((plans.MARK,))), *own)
            # The whole bytes of the prefix; whoever reads looks at the rest.
            subnets = tuple(local[:4 + a.network.prefixlen // 8] for local, a in zip(own, about, strict=True))

        def concerns(answer: bytes) -> bool:
            if answer[20:24] != index:
                return False
            if not about or any(pattern in answer for pattern in exact):
                return True
            # struct ifaddrmsg from byte 16: family prefixlen flags scope index
            return not answer[18] & IFA_F_SECONDARY and any(pattern in answer for pattern in subnets)

        answers = self._netlink.dump(
            rtnl.ADDRESS.pack(AF_INET, 0, 0, 0, self.ifindex), RTM_GETADDR, "reading addresses", concerns,
            exact + subnets,
        )
        return tuple(_read_address(answer) for answer in answers)

    def _link(self) -> Observed:
        """The link alone: the MTU, its routing table, whether promote_secondaries is on for it, whether it is up and
        speaks IPv6."""
        request = self._link_message() + rtnl.u32(rtnl.IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
        answer = self._netlink.get(request, RTM_GETLINK, "reading the link")
        _, _, _, flags, _ = rtnl.LINK.unpack_from(answer, rtnl.HEADER)
        held = rtnl.attributes(answer[rtnl.HEADER + rtnl.LINK.size:])
        # The nested attributes: AF_INET, in it IFLA_INET_CONF, an array of u32 counted from 1; AF_INET6, in it
        # IFLA_INET6_CONF, one counted from 0.
        families = rtnl.attributes(held.get(rtnl.IFLA_AF_SPEC, b""))
        conf = rtnl.attributes(families.get(AF_INET, b"")).get(IFLA_INET_CONF, b"")
        at = 4 * (IPV4_DEVCONF_PROMOTE_SECONDARIES - 1)
        conf6 = rtnl.attributes(families.get(AF_INET6, b"")).get(IFLA_INET6_CONF, b"")
        at6 = 4 * DEVCONF_DISABLE_IPV6
        return Observed(
            mtu=rtnl.number(held.get(rtnl.IFLA_MTU)), promotes=any(conf[at:at + 4]), up=bool(flags & IFF_UP),
            ipv6=len(conf6) >= at6 + 4 and not any(conf6[at6:at6 + 4]), port_of=port_of(held), table=table_of(held),
        )

    def _also_on(self, address: IPv4Address) -> tuple[str, ...]:
        """Other interfaces that have ``address``; none while there is no descriptor to ask with (rule 90)."""
        try:
            own = socket.if_indextoname(self.ifindex)
            return tuple(name for name in holders(address) if name != own)
        except OSError:
            return ()

    # -- changing --------------------------------------------------------------------------------

    def promote(self) -> None:
        """Switch on net.ipv4.conf.LINK.promote_secondaries, as systemd does by default. By netlink, since
        /proc/sys is read-only in containers and under ProtectKernelTunables, and goes by name."""
        conf = rtnl.attribute(IFLA_INET_CONF, rtnl.u32(IPV4_DEVCONF_PROMOTE_SECONDARIES, 1))
        message = self._link_message() + rtnl.attribute(rtnl.IFLA_AF_SPEC, rtnl.attribute(AF_INET, conf))
        self._netlink.change(message, RTM_SETLINK, 0, "switching on promote_secondaries")

    def _link_message(self) -> bytes:
        return rtnl.LINK.pack(0, 0, self.ifindex, 0, 0)

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
            message = self._link_message() + rtnl.u32(rtnl.IFLA_MTU, op.mtu)
            change(message, RTM_SETLINK, 0, f"setting the MTU to {op.mtu}")
        elif isinstance(op, PutAddress):
            message = _address_message(op.address, self.ifindex)
            change(message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, f"adding address {op.address.interface}")
        elif isinstance(op, DeleteAddress):
            interface = op.address.interface
            message = (
                rtnl.ADDRESS.pack(AF_INET, interface.network.prefixlen, 0, 0, self.ifindex)
                + rtnl.attribute(rtnl.IFA_LOCAL, interface.ip.packed)
                + rtnl.attribute(rtnl.IFA_ADDRESS, (op.address.peer or interface.ip).packed)
            )
            change(message, RTM_DELADDR, 0, f"removing address {interface}")
        elif isinstance(op, AddRoute):
            # Append: replacing would remove another interface's default route of the same metric.
            message = _route_message(op.route, self.ifindex, self._table, op.metrics)
            change(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, f"adding route {op.route}")
        else:
            message = _route_message(op.route, self.ifindex, self._table)
            change(message, RTM_DELROUTE, 0, f"removing route {op.route}")


#: Errors that mean that the kernel has the wanted state already.
_HARMLESS: dict[type, tuple[int, ...]] = {
    AddRoute: (errno.EEXIST,),
    DeleteRoute: (errno.ESRCH, errno.ENOENT),
    DeleteAddress: (errno.EADDRNOTAVAIL,),
}


def _address_message(address: Address, ifindex: int) -> bytes:
    interface = address.interface
    flags = address.flags & ~IFA_F_STATE
    lifetimes = struct.pack("=4I", _lifetime(address.preferred), _lifetime(address.valid), 0, 0)  # struct ifa_cacheinfo
    parts = [
        rtnl.ADDRESS.pack(AF_INET, interface.network.prefixlen, flags & 0xFF, address.scope, ifindex),
        rtnl.attribute(rtnl.IFA_LOCAL, interface.ip.packed),
        rtnl.attribute(rtnl.IFA_ADDRESS, (address.peer or interface.ip).packed),
        rtnl.u32(rtnl.IFA_FLAGS, flags),
        rtnl.attribute(rtnl.IFA_CACHEINFO, lifetimes),
    ]
    if address.broadcast is not None:
        parts.append(rtnl.attribute(rtnl.IFA_BROADCAST, address.broadcast.packed))
    if address.label is not None:
        parts.append(rtnl.attribute(rtnl.IFA_LABEL, os.fsencode(address.label) + b"\0"))
    if address.metric:
        parts.append(rtnl.u32(rtnl.IFA_RT_PRIORITY, address.metric))
    if address.mark:
        parts.append(rtnl.attribute(rtnl.IFA_PROTO, bytes((address.mark,))))
    return b"".join(parts)


def port_of(attributes: dict[int, bytes]) -> str:
    """Kind and name of what the link is a port of, "" for a link that is none. A VRF gets no packets of its links."""
    master = rtnl.number(attributes.get(rtnl.IFLA_MASTER))
    info = rtnl.attributes(attributes.get(rtnl.IFLA_LINKINFO, b""))
    kind = rtnl.text(info.get(rtnl.IFLA_INFO_SLAVE_KIND)) or ""
    return f"{kind} {_name(master)}" if master and kind not in ("", "vrf") else ""


def table_of(attributes: dict[int, bytes]) -> int:
    """The table that the kernel looks up for the link's packets: that of its VRF, main otherwise."""
    info = rtnl.attributes(attributes.get(rtnl.IFLA_LINKINFO, b""))
    port = rtnl.attributes(info.get(rtnl.IFLA_INFO_SLAVE_DATA, b""))
    vrf = rtnl.text(info.get(rtnl.IFLA_INFO_SLAVE_KIND)) == "vrf"
    return (rtnl.number(port.get(rtnl.IFLA_VRF_PORT_TABLE)) if vrf else 0) or rtnl.RT_TABLE_MAIN


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
    _, prefixlen, flags, scope, _ = rtnl.ADDRESS.unpack_from(data, rtnl.HEADER)
    held = rtnl.attributes(data[rtnl.HEADER + rtnl.ADDRESS.size:])
    times = held.get(rtnl.IFA_CACHEINFO, b"")
    preferred, valid = struct.unpack_from("=2I", times) if len(times) >= 8 else (FOREVER, FOREVER)
    local, peer = held.get(rtnl.IFA_LOCAL), held.get(rtnl.IFA_ADDRESS)
    broadcast = held.get(rtnl.IFA_BROADCAST)
    return Address(
        interface=IPv4Interface((local or peer, prefixlen)),
        broadcast=IPv4Address(broadcast) if broadcast else None,
        label=rtnl.text(held.get(rtnl.IFA_LABEL)),
        scope=scope,
        flags=rtnl.number(held.get(rtnl.IFA_FLAGS)) or flags,
        valid=inf if valid == FOREVER else float(valid),
        preferred=inf if preferred == FOREVER else float(preferred),
        metric=rtnl.number(held.get(rtnl.IFA_RT_PRIORITY)),
        mark=rtnl.number(held.get(rtnl.IFA_PROTO)),
        peer=IPv4Address(peer) if local and peer and peer != local else None,
    )


def _route_message(route: Route, ifindex: int, own_table: int, metrics: tuple[tuple[str, int], ...] = ()) -> bytes:
    # The scope counts when deleting, too: no gateway stands for any there, and "any scope" would let the
    # request for an on-link route find one through a gateway.
    scope = RT_SCOPE_LINK if route.onlink else RT_SCOPE_UNIVERSE
    length, table = route.destination.prefixlen, route.table or own_table
    parts = [
        # A byte for the table, which rtnetlink(7) has an attribute for.
        rtnl.ROUTE.pack(AF_INET, length, 0, 0, table if table < 256 else rtnl.RT_TABLE_COMPAT, route.protocol, scope,
                        RTN_UNICAST, 0),
        rtnl.u32(rtnl.RTA_TABLE, table),
        rtnl.u32(rtnl.RTA_OIF, ifindex),
    ]
    if length:
        parts.append(rtnl.attribute(rtnl.RTA_DST, route.destination.network_address.packed))
    if route.gateway is not None:
        parts.append(rtnl.attribute(rtnl.RTA_GATEWAY, route.gateway.packed))
    if route.metric:
        parts.append(rtnl.u32(rtnl.RTA_PRIORITY, route.metric))
    if route.source is not None:
        parts.append(rtnl.attribute(rtnl.RTA_PREFSRC, route.source.packed))
    numbers = [(rtnl.RTAX_MTU, route.mtu)] if route.mtu else []
    numbers += [(rtnl.RTAX[name], number) for name, number in metrics if name in rtnl.RTAX]
    if numbers:
        parts.append(rtnl.attribute(rtnl.RTA_METRICS, b"".join(rtnl.u32(kind, number) for kind, number in numbers)))
    return b"".join(parts)


def _attribute(kind: int, value: bytes) -> bytes:
    """An attribute without its padding, to be looked for in a message."""
    return rtnl.attribute(kind, value)[:4 + len(value)]


def _concerns_us(answer: bytes) -> bool:
    """struct rtmsg from byte 16: family dst_len src_len tos table protocol scope type."""
    return (
        answer[20] != rtnl.RT_TABLE_LOCAL and answer[21] in PROTOCOLS
        and answer[23] == RTN_UNICAST and answer[19] == 0
    )


def _read_route(data: bytes, ifindex: int, own_table: int) -> Route | None:
    """None for another link's, and for what is never ours: multipath, nexthop objects, IPv6 gateways."""
    _, length, _, _, table, protocol, _, _, _ = rtnl.ROUTE.unpack_from(data, rtnl.HEADER)
    held = rtnl.attributes(data[rtnl.HEADER + rtnl.ROUTE.size:])
    if rtnl.number(held.get(rtnl.RTA_OIF)) != ifindex or rtnl.RTA_VIA in held:
        return None
    gateway, source = held.get(rtnl.RTA_GATEWAY), held.get(rtnl.RTA_PREFSRC)
    table = rtnl.number(held.get(rtnl.RTA_TABLE)) or table
    return Route(
        destination=IPv4Network((held.get(rtnl.RTA_DST, bytes(4)), length)),
        gateway=IPv4Address(gateway) if gateway else None,
        metric=rtnl.number(held.get(rtnl.RTA_PRIORITY)),
        source=IPv4Address(source) if source else None,
        protocol=protocol,
        mtu=rtnl.number(rtnl.attributes(held.get(rtnl.RTA_METRICS, b"")).get(rtnl.RTAX_MTU)),
        table=0 if table == own_table else table,
    )
