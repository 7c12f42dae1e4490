"""The interfaces that an agent serves, as data: their definitions, and where its sockets are.

The definitions are files beside this module, served as they are. They are read and parsed at the first call, so that a
start does not pay for them.
"""

from __future__ import annotations

import os
from functools import cache

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.control.idl import Interface

#: The agent's own interface, guard's, and the one that every Varlink service has.
NAME = "io.holdfast.Agent"
GUARD = "io.holdfast.Guard"
SERVICE = "org.varlink.service"
#: What a socket's name ends with; an interface's name is before it.
SUFFIX = ".varlink"

_FILES = {NAME: "io.holdfast.varlink", GUARD: "io.holdfast.guard.varlink", SERVICE: "org.varlink.service.varlink"}


@cache
def definition(name: str) -> Interface:
    """The interface NAME, GUARD or SERVICE, read once. Raises OSError when its file is gone (a package that was removed
    while its agent runs), ImportError likewise for the parser, and ValueError when it is no definition."""
    from holdfast.control.idl import parse  # noqa: PLC0415

    with open(os.path.join(os.path.dirname(__file__), _FILES[name]), encoding="utf-8") as file:
        return parse(file.read())


def socket_path(runtime_dir: str, ifname: str) -> str:
    """The path at which the agent that serves ``ifname`` listens."""
    return os.path.join(runtime_dir, ifname + SUFFIX)


def agent_path(runtime_dir: str) -> str:
    """The path at which an agent that serves by pattern listens. No interface can be called so: it is longer than 15
    bytes."""
    return os.path.join(runtime_dir, NAME)


def guard_path(runtime_dir: str) -> str:
    """The path at which guard listens."""
    return os.path.join(runtime_dir, GUARD)
