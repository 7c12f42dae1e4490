"""``./dev trace``: the files of the daemon that a renewal's ACK and a removed address pass, in order.

Theory of operation
-------------------
The daemon's real code serves one interface on a host in memory (``testbed.virtual_host``), so that a run is the same
every time. While the event is dealt with, ``sys.setprofile`` notes each function that is called. Only files of
``agent/holdfast`` count, and of these not what stands for the standard library (``wire/record.py``, ``address.py``,
``lean.py``), which is passed whenever two values are compared. A *step* is a call into another file than the call
before it; a step into a file that was entered earlier is a *return*.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import IPv4Interface
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import holdfast
from holdfast.network.watch import Kind, LinkEvent
from holdfast_lab.testbed.virtual_host import OURS, Host

ROOT = Path(holdfast.__file__).parent
#: What stands for the standard library: the definition of records, addresses, contexts.
NOT_COUNTED = frozenset({"wire/record.py", "wire/address.py", "wire/lean.py"})


class CallPath(NamedTuple):
    """The way of one event. ``steps``: (file below agent/holdfast, the function called first), in order; no two
    neighbours have the same file."""

    steps: tuple[tuple[str, str], ...]

    @property
    def files(self) -> list[str]:
        """Every file that was entered, once, in the order of first entry."""
        return list(dict.fromkeys(file for file, _ in self.steps))

    @property
    def returns(self) -> int:
        """How many steps led into a file that had been entered before."""
        return len(self.steps) - len(self.files)


def record(action: Callable[[], object]) -> CallPath:
    """Call ``action`` and note the way that it takes through the daemon's files."""
    steps: list[tuple[str, str]] = []

    def on_event(frame: FrameType, event: str, _arg: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        path = Path(code.co_filename)
        if not path.is_relative_to(ROOT):
            return
        file = path.relative_to(ROOT).as_posix()
        if file not in NOT_COUNTED and (not steps or steps[-1][0] != file):
            steps.append((file, code.co_name))

    former = sys.getprofile()
    sys.setprofile(on_event)
    try:
        action()
    finally:
        sys.setprofile(former)
    return CallPath(tuple(steps))


def renewal() -> CallPath:
    """The way of the ACK of an ordinary renewal at T1, from the sockets' listener to the last action performed."""
    host = Host(lease_time=3600)
    host.bind()
    acks = host.hold_answers()
    while not acks:  # before the unicast has been unanswered for long enough to be repeated
        host.loop.run(0.05)
    return record(lambda: host.receive(acks[0]))


def removed_address() -> CallPath:
    """The way of netlink's news that somebody removed our address, up to the decision when to put it back."""
    host = Host(lease_time=3600)
    host.bind()
    host.kernel.addresses = ()
    news = LinkEvent(Kind.ADDRESS_REMOVED, "eth0", 2, address=IPv4Interface(f"{OURS}/24"))
    return record(lambda: host.interface.links_changed([news]))


PATHS: dict[str, Callable[[], CallPath]] = {
    "a renewal's ACK": renewal,
    "a removed address": removed_address,
}


def main(arguments: list[str] | None = None) -> int:
    """Print both ways; with ``-v`` every step instead of every file. The exit status."""
    verbose = "-v" in (sys.argv[1:] if arguments is None else arguments)
    for name, trace in PATHS.items():
        trace()  # once before, so that what is imported at the first use is no step
        path = trace()
        print(f"{name}: {len(path.files)} files, {path.returns} returns into a file already left")
        first = {[file for file, _ in path.steps].index(file) + 1 for file in path.files}
        for number, (file, function) in enumerate(path.steps, start=1):
            if verbose or number in first:
                print(f"  {number:>3}  {file:<28} {function}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
