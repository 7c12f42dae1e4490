"""docs/rfc2131.md names the tests that prove each rule, and every rule has one."""

from __future__ import annotations

import re

from holdfast_lab.docs import rulebook


def test_the_ways_to_name_rules_are_read() -> None:
    assert rulebook.numbers("3, 4-6 and 9") == {3, 4, 5, 6, 9}


def test_only_the_last_column_of_a_rule_is_replaced() -> None:
    page = "# Title\n| rule | tests |\n|---|---|\n| 7 | ports | MUST | `a.py` | old |\n"
    assert rulebook.rewritten(page, {7: ["unit/test_x.py"]}) == (
        "# Title\n| rule | tests |\n|---|---|\n| 7 | ports | MUST | `a.py` | `unit/test_x.py` |\n"
    )


def test_the_page_is_not_stale() -> None:
    assert rulebook.main(["--check"]) == 0


def test_every_rule_has_a_test() -> None:
    named = rulebook.proofs(rulebook.ROOT / "tests")
    rules = {int(n) for n in re.findall(r"^\| (\d+) \|", rulebook.PAGE.read_text(), re.M)}
    assert rules == set(range(1, 76))
    assert rules - set(named) == set()
