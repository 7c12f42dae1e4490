"""json_text in a process that has not imported json, as the daemon is."""

from __future__ import annotations

import sys

import pytest
from tests.support.interpreter import unmeasured

from holdfast_lab.testbed import fair_time

_READ = """
import sys
from holdfast import json_text
assert "json" not in sys.modules
try:
    print(json_text.loads(bytes.fromhex(sys.argv[1])))
except (ValueError, RecursionError) as error:
    print("refused", type(error).__name__)
"""


@pytest.mark.parametrize("data", [
    b"", b"{", b'{"lease": {"address": "10.0', b'{"a" 1}', b'{"a": 1,}', b"[1,", b"nul", b'"\x01"', b'"\\q"', b"1 2",
    b"[" * 3_000, b"\xff", b"NaN",
])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:  # rule 48
    path = [part for part in sys.path if part]
    words = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {path!r}\n{_READ}", data.hex()]
    done = fair_time.run(words, 60, text=True, env=unmeasured())
    assert done.stdout.startswith("refused"), done.stderr


def test_what_is_json_is_read_without_it() -> None:
    path = [part for part in sys.path if part]
    words = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {path!r}\n{_READ}", b'{"a": [1, 2.5]}'.hex()]
    assert fair_time.run(words, 60, text=True, env=unmeasured()).stdout == "{'a': [1, 2.5]}\n"
