"""What an agent does at every renewal and for every command leaves nothing in memory.

CPython keeps the names of attributes that it was asked for in C by a text made for it, up to 4096 of them: a file that
is opened as text, or a reader of JSON, leaves one to six each time. It is a quarter of a MiB in the end, and a slope
that hides others until then.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Calls, of which some leave a block or two for reasons of their own.
CALLS, SOME = 500, 50
_PROGRAM = """
import gc, sys
from ipaddress import IPv4Address
{imports}

def act():
    {action}

def blocks(calls):
    kept, before = [], sys.getallocatedblocks()
    for _ in range(calls):
        act()
        # So that the next text is elsewhere, as it is in an agent with much to do.
        kept += [bytes(15), bytes(31), bytes(47)]
    gc.collect()
    return sys.getallocatedblocks() - before - len(kept)

blocks(10)
print(blocks({calls}))
"""
ACTIONS = {
    "boot_id": ("from holdfast.observe.outcomes import boot_id", "boot_id()"),
    "a command": ("from holdfast import strict_json", "strict_json.loads(b'[{\"a\": 1.5}, 2]')"),
    "an answer": ("from holdfast import json_text", "json_text.dumps([{'a': 1.5}, 2])"),
    "a stored file": ("from holdfast import json_text", "json_text.loads(b'[{\"a\": 1.5}, 2]')"),
    "an address": ("", "str(IPv4Address('192.0.2.1')).encode()"),
}


@pytest.mark.parametrize("what", ACTIONS)
def test_it_leaves_nothing_in_memory(what: str) -> None:
    imports, action = ACTIONS[what]
    program = _PROGRAM.format(imports=imports, action=action, calls=CALLS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) <= SOME
