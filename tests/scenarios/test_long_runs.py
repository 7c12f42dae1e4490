"""./dev fuzz, attack and soak for as long as `./dev test --all` can afford, beside the guests: they mostly wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_lab.attack.__main__ import ATTACKS
from holdfast_lab.testbed import fair_time

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.long]
#: Tests among which the attacks are divided, and seconds of each attack.
SHARES, SECONDS = 4, 5
EACH = [one.name for one in ATTACKS if not one.lengthy]


def finds_nothing(module: str, *words: str) -> None:
    """Run a program of ours as ./dev does, not measured: that would be memory and starts of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    plain["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT / "agent", ROOT)))
    done = fair_time.run([sys.executable, "-m", module, *words], 600, text=True, env=plain, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("share", range(SHARES))
def test_attacks_take_nothing(share: int) -> None:
    names = EACH[share::SHARES]
    finds_nothing("holdfast_lab.attack", "--minutes", f"{len(names) * SECONDS / 60:g}", "--kills", "30", *names)


def test_a_soak_of_a_minute_loses_nothing() -> None:
    finds_nothing("holdfast_lab.attack.soak", "--minutes", "1")


def test_a_minute_of_fuzz_finds_nothing() -> None:
    finds_nothing("tests.fuzz.fuzz_exchanges", "--minutes", "1")
