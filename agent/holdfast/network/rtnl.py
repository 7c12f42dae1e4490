"""pyroute2's message classes, and nothing else of pyroute2. The only file that imports it.

``import pyroute2`` runs its ``__init__``, which loads every protocol it knows: 100 ms and 20 MiB that a
DHCP client does not need. Its message codecs need none of it. So a bare package module of that name
is installed while they are imported, and removed afterwards: a later import of pyroute2 gets the real one.
When pyroute2 is loaded already, it is used as it is.

pyroute2's own ``ifinfmsg`` loads 20 plugins for kinds of links; ``linkmsg`` here is the few attributes
we need, in its own declarative form.
"""

from __future__ import annotations

import importlib.util
import sys
import types


def _stand_in() -> bool:
    """Install the bare package module; False when the real one is loaded."""
    if "pyroute2" in sys.modules:
        return False
    spec = importlib.util.find_spec("pyroute2")
    if spec is None:
        raise ImportError("pyroute2 is not installed: it is what holdfast speaks to the kernel with")
    package = types.ModuleType("pyroute2")
    package.__path__ = list(spec.submodule_search_locations or ())
    package.__spec__ = spec
    sys.modules["pyroute2"] = package
    return True


_stood_in = _stand_in()
try:
    from pyroute2.netlink import nlmsg
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg
finally:
    if _stood_in:
        del sys.modules["pyroute2"]

__all__ = ["ifaddrmsg", "linkmsg", "nlmsg", "rtmsg"]


class linkmsg(nlmsg):  # type: ignore[misc]  # noqa: N801 - named as pyroute2 names its classes
    """struct ifinfomsg and the attributes we use (linux/if_link.h); nested ones stay bytes."""

    prefix = "IFLA_"
    fields = (
        ("family", "B"), ("__align", "x"), ("type", "H"), ("index", "i"), ("flags", "I"), ("change", "I"),
    )
    nla_map = (
        (1, "IFLA_ADDRESS", "cdata"),
        (3, "IFLA_IFNAME", "asciiz"),
        (4, "IFLA_MTU", "uint32"),
        (10, "IFLA_MASTER", "uint32"),
        (18, "IFLA_LINKINFO", "cdata"),
        (26, "IFLA_AF_SPEC", "cdata"),
        (29, "IFLA_EXT_MASK", "uint32"),
        (44, "IFLA_EVENT", "uint32"),
        (50, "IFLA_MIN_MTU", "uint32"),
        (51, "IFLA_MAX_MTU", "uint32"),
    )
