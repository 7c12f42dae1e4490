"""docs/rfc2131.md names the tests that prove each rule, and every rule has one."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast_lab.docs import rulebook


def test_the_ways_to_name_rules_are_read() -> None:
    assert rulebook.numbers("3, 4-6 and 9") == {3, 4, 5, 6, 9}


def test_only_the_last_column_of_a_rule_is_replaced() -> None:
    page = "# Title\n| rule | tests |\n|---|---|\n| 7 | ports | MUST | `a.py` | old |\n"
    assert rulebook.rewritten(page, {7: ["unit/test_x.py"]}) == (
        "# Title\n| rule | tests |\n|---|---|\n| 7 | ports | MUST | `a.py` | `unit/test_x.py` |\n"
    )


def test_a_comment_belongs_to_the_test_that_it_is_in_or_above(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit/test_x.py").write_text(
        "# rule 1\nA = 1\n\n\n# rule 2\n@mark\ndef test_a(): # rule 3\n    pass  # rules 4, 5\n\n\n"
        "class TestB:\n    def test_c(self):\n        # rule 4\n        text = '# rule 9'\n"
    )
    assert rulebook.proofs(tmp_path) == {
        1: ["unit/test_x.py"], 2: ["unit/test_x.py::test_a"], 3: ["unit/test_x.py::test_a"],
        4: ["unit/test_x.py::test_a", "unit/test_x.py::TestB"], 5: ["unit/test_x.py::test_a"],
    }


def test_at_most_five_tests_and_many_files() -> None:
    many = ["a::1", "a::2", "a::3", "b::1", "c::1", "c::2"]
    assert rulebook.chosen(many) == ["a::1", "a::2", "b::1", "c::1", "c::2"]
    assert rulebook.chosen(["a::1"]) == ["a::1"]


def test_the_page_is_not_stale() -> None:
    assert rulebook.main(["--check"]) == 0


def test_every_rule_has_a_test_and_every_rule_with_a_test_a_row() -> None:
    """The rows are exactly the rules that tests name, and none of 1 to 98 is missing."""
    named = set(rulebook.proofs(rulebook.ROOT / "tests"))
    rows = [int(n) for n in re.findall(r"^\| (\d+) \|", rulebook.PAGE.read_text(), re.M)]
    assert rows == sorted(set(rows))
    assert set(rows) == named | set(range(1, 99))
    assert set(rows) - named == set()
