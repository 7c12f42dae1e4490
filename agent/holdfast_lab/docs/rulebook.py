"""Keep the last column of docs/rfc2131.md true: which tests prove which rule.

A test says ``# rule 31`` or ``# rules 3, 4-6`` above or inside itself. ``python -m holdfast_lab.docs.rulebook``
writes the column anew, ``--check`` only says whether it is stale (exit status 1).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "rfc2131.md"
_COMMENT = re.compile(r"#\s*rules?\s+(\d[\d,\s-]*(?:and\s+\d[\d,\s-]*)*)")
_ROW = re.compile(r"^\| (\d+) \|(.*)\|([^|]*)\|$")


def numbers(text: str) -> set[int]:
    """The rules that ``text`` ("3, 4-6 and 9") names."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:\s*-\s*(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def proofs(tests: Path) -> dict[int, list[str]]:
    """Rule -> test files below ``tests`` that name it, as paths relative to ``tests``."""
    named: dict[int, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        rules: set[int] = set()
        for match in _COMMENT.finditer(path.read_text()):
            rules |= numbers(match[1])
        for rule in rules:
            named.setdefault(rule, []).append(str(path.relative_to(tests)))
    return named


def rewritten(page: str, named: dict[int, list[str]]) -> str:
    """``page`` with the last column of every rule's row replaced."""
    lines = []
    for line in page.splitlines():
        row = _ROW.match(line)
        if row:
            files = ", ".join(f"`{name}`" for name in named.get(int(row[1]), []))
            line = f"| {row[1]} |{row[2]}| {files} |"  # noqa: PLW2901 - the row, replaced
        lines.append(line)
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it."""
    page = PAGE.read_text()
    wanted = rewritten(page, proofs(ROOT / "tests"))
    if "--check" in arguments:
        if page != wanted:
            sys.stderr.write("docs/rfc2131.md is stale: run ./dev rules\n")
            return 1
        return 0
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
