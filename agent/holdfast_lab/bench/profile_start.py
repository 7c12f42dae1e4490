"""``./dev profile-start``: where the time from exec to the first DISCOVER goes.

Each run is an interpreter of its own, started as the packages' launchers start it, on a link of a namespace of its own;
it ends when the DISCOVER is handed to its socket. What is measured is processor time (user and system), which other
programs on the machine change little, and what is counted is exact: modules, files, sockets, requests to the kernel.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from holdfast_lab.peers import SITE, bundle_code
from holdfast_lab.render.tables import console, grid
from holdfast_lab.testbed.netns import Namespace, connect

LINK = "eth0"
NOT_PERMITTED = 5

#: Runs in the interpreter that is measured. Phases are told apart by wrapping what begins them; one inside another is
#: taken off the outer one.
PROBE = """
import sys
from time import process_time
marks, stack, spent = [process_time()], [], {"interpreter": process_time()}
counts = {"files": 0, "sockets": 0, "requests to the kernel": 0}
def audit(event, args):
    if event == "open" and not str(args[0]).endswith((".pyc", ".py")): counts["files"] += 1
    elif event == "socket.__new__": counts["sockets"] += 1
    elif event == "fcntl.ioctl": counts["requests to the kernel"] += 1
sys.addaudithook(audit)
def phase(name, function):
    def timed(*args, **kwargs):
        stack.append([process_time(), 0.0])
        try: return function(*args, **kwargs)
        finally:
            began, inner = stack.pop()
            took = process_time() - began
            spent[name] = spent.get(name, 0.0) + took - inner
            if stack: stack[-1][1] += took
    return timed
import builtins
plain, importing = builtins.__import__, False
def outermost(*args, **kwargs):
    global importing
    if importing: return plain(*args, **kwargs)
    importing = True
    try: return timed_import(*args, **kwargs)
    finally: importing = False
timed_import = phase("imports", plain)
builtins.__import__ = outermost
sys.path[:0] = SITE
from holdfast import bundle
bundle.use()
import holdfast.runtime.__main__ as daemon
import holdfast.settings as settings, holdfast.sockets.link as sockets
import holdfast.network.link as link, holdfast.network.watch as watch, holdfast.state.folder as folder
import holdfast.core.client as client, holdfast.state.locks as locks
settings.read = phase("configuration", settings.read)
locks.Locks.take = phase("files", locks.Locks.take)
for name in ("make", "read", "open_folder", "names"): setattr(folder, name, phase("files", getattr(folder, name)))
for name in ("find", "ethernet", "set_up", "settle_carrier", "addresses", "own_macs"):
    setattr(link, name, phase("the link", getattr(link, name)))
watch.LinkMessages.__init__ = phase("the link", watch.LinkMessages.__init__)
watch.LinkWatch.__init__ = phase("the link", watch.LinkWatch.__init__)
sockets.LinkSockets.open = phase("packet socket", sockets.LinkSockets.open)
client.Client.handle = phase("protocol", client.Client.handle)
transmit = sockets.LinkSockets.transmit
def last(self, action):
    import os
    phase("packet socket", transmit)(self, action)
    total = process_time()
    modules = [name for name in sys.modules if name.startswith("holdfast")]
    facts = {**counts, "modules of ours": len(modules), "modules of Python": len(sys.modules) - len(modules)}
    os.write(1, repr({"total": total, "spent": spent, "facts": facts}).encode())
    os._exit(0)
sockets.LinkSockets.transmit = last
sys.argv[1:] = WORDS
daemon.main()
"""


#: What a start takes at the least: nothing is wrapped, and it ends where PROBE does.
PLAIN = """
import gc, sys
gc.disable()  # as main() does first
sys.path[:0] = SITE
from holdfast import bundle
bundle.use()
import holdfast.sockets.link as sockets
def last(self, action):
    import os
    os._exit(0)
sockets.LinkSockets.transmit = last
sys.argv[1:] = WORDS
from holdfast.runtime.__main__ import main
main()
"""


COUNTED = {"valgrind": "instructions", "strace": "system calls"}
#: {} is the file that they write to.
COUNTERS = {"valgrind": ("--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file={}"), "strace": ("-o{}",)}


def counted_in(tool: str, text: str) -> int:
    """The number in what ``tool`` has written: valgrind's in words, strace's a line for each call."""
    if tool == "valgrind":
        found = re.search(r"refs:\s+([\d,]+)", text)
        return int(found[1].replace(",", "")) if found else 0
    return sum("(" in line for line in text.splitlines())


def count(python: str) -> dict[str, int]:
    """What no other program on the machine changes: instructions (valgrind) and system calls (strace) to the first
    DISCOVER, and those of an empty interpreter. Empty where these programs are not installed."""
    found: dict[str, int] = {}
    with Namespace("count") as machine, Namespace("peer") as peer, tempfile.TemporaryDirectory() as folder:
        connect(machine, LINK, peer, "srv0")
        words = ["--state-dir", f"{folder}/s", "--runtime-dir", f"{folder}/r", LINK]
        start = PLAIN.replace("SITE", repr(list(SITE)), 1).replace("WORDS", repr(words), 1)
        for name, code in (("", start), (" of an empty interpreter", "pass")):
            command = [python, "-IS", "-c", code]
            for tool, options in COUNTERS.items():
                if shutil.which(tool):
                    written = [option.format(f"{folder}/{tool}") for option in options]
                    with open(os.devnull, "wb") as null:
                        machine.popen([tool, *written, *command], stdout=null, stderr=null).wait(timeout=120)
                    found[COUNTED[tool] + name] = counted_in(tool, Path(folder, tool).read_text(errors="replace"))
    return found


def profile(runs: int, python: str) -> dict[str, dict[str, float]]:
    """``spent``: milliseconds of processor time for each phase, medians, ``total`` and ``rest`` among them; ``facts``:
    what was counted in the last run. RuntimeError when one does not come to its DISCOVER."""
    found = []
    bundle_code(python)
    with Namespace("profile") as machine, Namespace("peer") as peer, tempfile.TemporaryDirectory() as folder:
        connect(machine, LINK, peer, "srv0")
        for number in range(runs + 1):
            words = ["--state-dir", f"{folder}/{number}s", "--runtime-dir", f"{folder}/{number}r", LINK]
            code = PROBE.replace("SITE", repr(list(SITE)), 1).replace("WORDS", repr(words), 1)
            child = machine.popen(
                [python, "-IS", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            out, errors = child.communicate(timeout=60)
            if not out:
                raise RuntimeError(f"no DISCOVER: {errors[-300:]}")
            if number:  # the first compiles what is not compiled yet
                found.append(ast.literal_eval(out))
    totals = [one["total"] for one in found]
    names = sorted({name for one in found for name in one["spent"]})
    spent = {name: 1000 * median(one["spent"].get(name, 0.0) for one in found) for name in names}
    spent["rest"] = max(0.0, 1000 * median(totals) - sum(spent.values()))
    return {"spent": {**spent, "total": 1000 * median(totals)}, "facts": found[-1]["facts"]}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 could not measure, 2 usage, 5 not root."""
    parser = argparse.ArgumentParser(prog="./dev profile-start", description="Where a start's time goes.")
    parser.add_argument("--runs", type=int, default=15, help="how many starts (15)")
    parser.add_argument(
        "--python", nargs="+", default=[sys.executable], metavar="PYTHON",
        help="versions that ./dev finds, `all`, or interpreters (ours)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("profile-start: needs root, to make a network namespace; use sudo", file=sys.stderr)
        return NOT_PERMITTED
    for python in options.python:
        try:
            show(python, max(1, options.runs))
        except RuntimeError as error:
            print(f"profile-start: {error}", file=sys.stderr)
            return 1
    return 0


def show(python: str, runs: int) -> None:
    """Print what ``profile`` and ``count`` say of one interpreter. RuntimeError when it comes to no DISCOVER."""
    measured, counted = profile(runs, python), count(python)
    rows = [["phase", "processor time, ms"]]
    rows += [[name, f"{value:.1f}"] for name, value in sorted(measured["spent"].items(), key=lambda item: item[1])]
    out = console()
    out.print(grid(rows), "", sep="\n")
    facts = [[name, f"{value:,.0f}"] for name, value in {**measured["facts"], **counted}.items()]
    out.print(grid([["before the first DISCOVER", "count"], *facts]))
    print(f"{python}, medians of {runs}")


if __name__ == "__main__":
    sys.exit(main())
