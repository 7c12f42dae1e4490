"""network.rtnl: the messages of rtnetlink. pyroute2, which shares no code with it, reads what it writes."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.interpreter import unmeasured

from holdfast.network import rtnl
from holdfast.network.kernel import port_of, table_of
from holdfast_lab.testbed import fair_time


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    path = [p for p in sys.path if p]
    words = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"]
    done = fair_time.run(words, 60, text=True, check=True, env=unmeasured())
    return str(done.stdout).strip()


def read_by_another(kind: Any, body: bytes) -> Any:
    """``body``, a message without its header, as pyroute2 understands it."""
    found = kind(struct.pack("=IHHII", 16 + len(body), 0, 0, 0, 0) + body)
    found.decode()
    return found


def test_the_configuration_of_a_link_needs_no_library() -> None:
    loaded = run("""
import holdfast.network.link, holdfast.network.watch
early = set(sys.modules)
import holdfast.network.kernel
print(*(name for name in sys.modules if name.startswith(("pyroute2", "jeepney", "asyncio", "multiprocessing"))))
print(*(name for name in early if name in ("dataclasses", "logging", "ctypes", "inspect", "json", "enum", "socket")))
""")
    assert loaded == ""


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1), st.binary(min_size=4, max_size=4), st.integers(0, 255))
def test_another_library_reads_what_is_written(metric: int, index: int, address: bytes, mark: int) -> None:
    text = socket.inet_ntoa(address)
    held = read_by_another(ifaddrmsg, rtnl.ADDRESS.pack(2, 24, 7, 253, index) + rtnl.attribute(rtnl.IFA_LOCAL, address)
                           + rtnl.u32(rtnl.IFA_RT_PRIORITY, metric) + rtnl.attribute(rtnl.IFA_LABEL, b"eth0:1\0")
                           + rtnl.attribute(rtnl.IFA_PROTO, bytes((mark,)))
                           + rtnl.attribute(rtnl.IFA_CACHEINFO, struct.pack("=4I", 50, 100, 0, 0)))
    assert (held["family"], held["prefixlen"], held["flags"], held["scope"], held["index"]) == (2, 24, 7, 253, index)
    assert (held.get_attr("IFA_LOCAL"), held.get_attr("IFA_RT_PRIORITY"), held.get_attr("IFA_LABEL"),
            held.get_attr("IFA_PROTO"), held.get_attr("IFA_CACHEINFO")["ifa_valid"]) == (
                text, metric, "eth0:1", mark, 100)
    route = read_by_another(rtmsg, rtnl.ROUTE.pack(2, 16, 0, 0, 254, 16, 253, 1, 0) + rtnl.u32(rtnl.RTA_OIF, index)
                            + rtnl.attribute(rtnl.RTA_DST, address) + rtnl.attribute(rtnl.RTA_GATEWAY, address)
                            + rtnl.attribute(rtnl.RTA_METRICS, rtnl.u32(rtnl.RTAX_MTU, 1400)))
    assert (route["dst_len"], route["table"], route["proto"], route["scope"], route["type"]) == (16, 254, 16, 253, 1)
    assert (route.get_attr("RTA_OIF"), route.get_attr("RTA_DST"), route.get_attr("RTA_GATEWAY"),
            route.get_attr("RTA_METRICS").get_attr("RTAX_MTU")) == (index, text, text, 1400)
    link = read_by_another(ifinfmsg, rtnl.LINK.pack(0, 1, index, 0x1003, 0) + rtnl.u32(rtnl.IFLA_MTU, 1450))
    assert (link["index"], link["flags"], link["ifi_type"], link.get_attr("IFLA_MTU")) == (index, 0x1003, 1, 1450)


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_what_is_written_is_read(values: dict[int, bytes]) -> None:
    written = b"".join(rtnl.attribute(kind, value) for kind, value in values.items())
    assert len(written) % 4 == 0
    assert rtnl.attributes(written) == values


@given(st.binary(max_size=60))
def test_nothing_that_is_read_raises(data: bytes) -> None:
    for value in rtnl.attributes(data).values():
        assert rtnl.number(value) >= 0
        assert "\0" not in (rtnl.text(value) or "")


def test_the_first_of_two_counts_and_a_cut_one_does_not() -> None:
    data = rtnl.u32(4, 1) + rtnl.u32(4, 2) + rtnl.u32(5 | 0x8000, 3)
    assert rtnl.attributes(data + rtnl.u32(6, 4)[:-1]) == {4: struct.pack("=I", 1), 5: struct.pack("=I", 3)}
    assert rtnl.attributes(struct.pack("=HH", 3, 1) + data) == {}
    assert (rtnl.number(None), rtnl.text(None), rtnl.text(b"a\0b")) == (0, None, "a")


@pytest.mark.parametrize(("kind", "found"), [(b"vrf", 1001), (b"bond", 254), (b"", 254)])
def test_the_table_of_a_link_is_that_of_its_vrf(kind: bytes, found: int) -> None:  # rule 97
    port = rtnl.attribute(rtnl.IFLA_INFO_SLAVE_DATA, rtnl.u32(rtnl.IFLA_VRF_PORT_TABLE, 1001))
    slave = rtnl.attribute(rtnl.IFLA_INFO_SLAVE_KIND, kind + b"\0") + port
    assert table_of(rtnl.attributes(rtnl.attribute(rtnl.IFLA_LINKINFO, slave))) == found
    assert table_of({}) == 254


@pytest.mark.parametrize(("kind", "found"), [
    (b"bond", "bond lo"), (b"bridge", "bridge lo"), (b"team", "team lo"), (b"vrf", ""), (b"", ""),
])
def test_what_a_link_is_a_port_of(kind: bytes, found: str) -> None:
    """Not asked of the kernel: one that knows neither bonds nor VRFs is a kernel, too."""
    slave = rtnl.attribute(rtnl.IFLA_INFO_SLAVE_KIND, kind + b"\0")
    master = rtnl.u32(rtnl.IFLA_MASTER, socket.if_nametoindex("lo"))
    assert port_of(rtnl.attributes(master + rtnl.attribute(rtnl.IFLA_LINKINFO, slave))) == found
