"""The table of outcomes, and what counts as right."""

from __future__ import annotations

from pathlib import Path

from tests.support.guests.cases.case import Case
from tests.support.guests.cases.run import Outcome
from tests.support.guests.cases.table import count, table

SAME = Outcome("plain", "accepted", "", 0.84, 0, 90)
DIFFERS = Outcome("ipv6", "accepted", "", 1.0, 2, 90, ("dns: -['a'] +[]",), ("dns: -['a'] +[]", "addr: -[] +['b']"))
REFUSED = Outcome("two", "refused", "holdfast: two clients serve ens3", 0.2, 0, 60)
FAILED = Outcome("odd", "failed", "systemd has not booted")
BAKED = Outcome("image", "baked")


def test_the_table() -> None:
    assert table([SAME, DIFFERS, REFUSED, FAILED, BAKED]).splitlines() == [
        "case   take-over  s    missed  at once  after a reboot",
        "-----  ---------  ---  ------  -------  --------------",
        "plain  accepted   0.8  0/90    same     same",
        "ipv6   accepted   1.0  2/90    dns      dns addr",
        "two    refused    0.2  0/60    same     -",
        "odd    failed     -    -       -        -",
        "image  baked      -    -       -        same",
        "",
        "ipv6:",
        "  at once: dns: -['a'] +[]",
        "  after a reboot: dns: -['a'] +[]",
        "  after a reboot: addr: -[] +['b']",
        "two:",
        "  holdfast: two clients serve ens3",
        "odd:",
        "  systemd has not booted",
        "",
        "5 cases: 2 the same, 1 differ, 1 refused, 1 failed; 2 probes missed",
    ]
    assert table([SAME]).splitlines()[-2:] == ["", count([SAME])]


def test_what_is_right() -> None:
    case = Case("one", Path("one"), "a rack", "bare")
    assert SAME.as_wanted(case)
    assert BAKED.as_wanted(case)
    assert not SAME._replace(missed=1).as_wanted(case)
    assert not any(outcome.as_wanted(case) for outcome in (DIFFERS, REFUSED, FAILED))


def test_a_refusal_that_is_right() -> None:
    case = Case("two", Path("two"), "a rack", "bare", refused="two clients")
    assert REFUSED.as_wanted(case)
    assert not any(outcome.as_wanted(case) for outcome in (SAME, FAILED, REFUSED._replace(reason="another")))
    assert not REFUSED._replace(at_once=("addr: -['a'] +[]",)).as_wanted(case)
