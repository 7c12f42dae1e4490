"""What reaches a terminal or a log, and by which way."""

from __future__ import annotations

import ast
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.escape import printable

AGENT = Path(__file__).resolve().parents[2] / "agent" / "holdfast"


ACTING = "\x1b\x07\n\r\t\x7f\x9b\u202e\u2066\u200b\ufeff\u2028\ud800a"


@given(st.text(st.characters()) | st.text(st.sampled_from(ACTING)))
def test_no_control_character_survives(text: str) -> None:  # rule 92
    shown = printable(text)
    assert shown.isprintable()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert printable(shown) == shown


@pytest.mark.parametrize(("text", "shown"), [
    ("eth0: BOUND", "eth0: BOUND"), ("Zürich 東京", "Zürich 東京"), ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
    ("a\nb\tc", r"a\nb\tc"), ("\x9b2J\x7f", r"\x9b2J\x7f"), ("\u202eabc\u200b", r"\u202eabc\u200b"),
    ("\U000e0041", r"\U000e0041"), (b"\xff\x9b".decode("utf-8", "surrogateescape"), r"\xff\x9b"),
    ("\ud800", r"\ud800"),
])
def test_what_is_written_instead(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_commands_print_in_one_place() -> None:
    """Every line of a command goes through cli/output.py."""
    wrong = []
    for room in ("cli", "doctor", "takeover"):
        for path in sorted((AGENT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and path.name != "output.py" and ast.unparse(node.func) in (
                    "print", "click.echo", "click.secho", "echo.click", "sys.stdout.write", "sys.stderr.write",
                ):
                    wrong.append(f"{path.relative_to(AGENT)}:{node.lineno}")
    assert wrong == []
