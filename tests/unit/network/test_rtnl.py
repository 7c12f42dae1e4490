"""network.rtnl: pyroute2's messages without pyroute2, and pyroute2 none the worse for it."""

from __future__ import annotations

import socket
import struct
import sys

import pytest
from tests.support.interpreter import unmeasured

from holdfast.network import rtnl
from holdfast.network.kernel import port_of
from holdfast_lab.testbed import fair_time


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    path = [p for p in sys.path if p]
    words = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"]
    done = fair_time.run(words, 60, text=True, check=True, env=unmeasured())
    return str(done.stdout).strip()


def test_only_the_messages_are_loaded() -> None:
    loaded = run("""
import holdfast.network.kernel
print(*sorted(name for name in sys.modules if name.startswith(("pyroute2", "asyncio", "multiprocessing"))))
""").split()
    assert "pyroute2" not in loaded
    assert set(loaded) <= {
        "pyroute2.common", "pyroute2.config", "pyroute2.netlink", "pyroute2.netlink.exceptions",
        "pyroute2.netlink.rtnl", "pyroute2.netlink.rtnl.ifaddrmsg", "pyroute2.netlink.rtnl.rtmsg",
    }


@pytest.mark.parametrize("order", ["rtnl, whole", "whole, rtnl"])
def test_the_real_package_can_be_imported_before_and_after(order: str) -> None:
    steps = {
        "rtnl": "from holdfast.network.rtnl import rtmsg",
        "whole": "from pyroute2 import IPRoute",
    }
    code = "\n".join(steps[step] for step in order.split(", "))
    assert run(code + "\nprint(IPRoute.__name__, rtmsg.__name__)") == "IPRoute rtmsg"


def test_link_and_watch_need_no_library() -> None:
    """They are imported before the first DISCOVER."""
    loaded = run("""
import holdfast.network.link, holdfast.network.watch
print(*sys.modules)
""").split()
    assert not [
        name for name in loaded
        if name.startswith(("pyroute2", "jeepney")) or name in ("dataclasses", "logging", "ctypes", "inspect", "json")
    ]


def test_without_pyroute2_the_error_says_so() -> None:
    said = run("""
import importlib.util
importlib.util.find_spec = lambda name: None
try:
    import holdfast.network.rtnl
except ImportError as error:
    print(error)
""")
    assert said.startswith("pyroute2 is not installed")


@pytest.mark.parametrize(("kind", "found"), [
    (b"bond", "bond lo"), (b"bridge", "bridge lo"), (b"team", "team lo"), (b"vrf", ""), (b"", ""),
])
def test_what_a_link_is_a_port_of(kind: bytes, found: str) -> None:
    """Not asked of the kernel: one that knows neither bonds nor VRFs is a kernel, too."""
    slave = struct.pack("=HH", 4 + len(kind) + 1, 4) + kind + b"\0"  # IFLA_INFO_SLAVE_KIND
    slave += bytes(-len(slave) % 4)
    master = struct.pack("=HHI", 8, 10, socket.if_nametoindex("lo"))  # IFLA_MASTER
    body = struct.pack("=BxHiII", 0, 1, 2, 0, 0) + master + struct.pack("=HH", 4 + len(slave), 18) + slave
    message = rtnl.linkmsg(struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body)
    message.decode()
    assert port_of(message) == found
