"""Keep the last column of docs/rfc2131.md true: which tests prove which rule.

A test says ``# rule 31`` or ``# rules 3, 4-6`` above or inside itself. ``python -m holdfast_lab.docs.rulebook``
writes the column anew, ``--check`` only says whether it is stale (exit status 1).

The page is for reading, so a rule has at most five tests there, from different files: those that prove most come first
(every event, then real kernels and servers, then one function at a time).
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "rfc2131.md"
#: The folders of tests, those with the strongest proofs first; MOST tests are named for a rule.
ROOMS = ("properties", "scenarios", "integration", "golden", "vm", "unit", "fuzz")
MOST = 5
_COMMENT = re.compile(r"#\s*rules?\s+(\d[\d,\s-]*(?:and\s+\d[\d,\s-]*)*)")
_ROW = re.compile(r"^\| (\d+) \|(.*)\|([^|]*)\|$")


def numbers(text: str) -> set[int]:
    """The rules that ``text`` ("3, 4-6 and 9") names."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:\s*-\s*(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def proofs(tests: Path) -> dict[int, list[str]]:
    """Rule -> the tests that name it, as ``file::test`` relative to ``tests``, in the order of ROOMS."""
    named: dict[int, list[str]] = {}
    files = [path for room in ROOMS for path in sorted((tests / room).rglob("test_*.py"))]
    for path in files:
        text = path.read_text(encoding="utf-8")
        spans = _tests(ast.parse(text))
        for token in tokenize.generate_tokens(StringIO(text).readline):
            if token.type != tokenize.COMMENT:  # the same words in a text prove nothing
                continue
            for match in _COMMENT.finditer(token.string):
                test = _of_line(spans, token.start[0], alone=token.line.lstrip().startswith("#"))
                name = f"{path.relative_to(tests)}{f'::{test}' if test else ''}"
                for rule in numbers(match[1]):
                    if name not in named.setdefault(rule, []):
                        named[rule].append(name)
    return named


def _tests(tree: ast.Module) -> list[tuple[int, int, str]]:
    """First line (of the decorators), last line and name of each test function, and of each class with tests in it."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        (min([node.lineno, *(each.lineno for each in node.decorator_list)]), node.end_lineno or node.lineno, node.name)
        for node in tree.body
        if isinstance(node, ast.ClassDef) or (isinstance(node, functions) and node.name.startswith("test"))
    ]


def _of_line(spans: list[tuple[int, int, str]], line: int, *, alone: bool) -> str:
    """The test that a line is in, or that begins right after a comment of its own line; "" for none."""
    for first, last, name in spans:
        if first <= line <= last or (alone and line + 1 == first):
            return name
    return ""


def chosen(tests: list[str]) -> list[str]:
    """At most MOST of them: the first of each file before the second of any."""
    files = [name.partition("::")[0] for name in tests]
    turns = [(files[:index].count(files[index]), index) for index in range(len(tests))]
    return [tests[index] for index in sorted(index for _, index in sorted(turns)[:MOST])]


def rewritten(page: str, named: dict[int, list[str]]) -> str:
    """``page`` with the last column of every rule's row replaced."""
    lines = []
    for line in page.splitlines():
        row = _ROW.match(line)
        if row:
            tests = ", ".join(f"`{name}`" for name in chosen(named.get(int(row[1]), [])))
            line = f"| {row[1]} |{row[2]}| {tests} |"  # noqa: PLW2901 - the row, replaced
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
