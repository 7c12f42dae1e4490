"""./dev fleet as an operator runs it: alerts of the real Prometheus and Alertmanager, from a fault to its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_lab.testbed import fair_time

ROOT = Path(__file__).resolve().parents[2]
# Four minutes: with the guests, not with the tests that every change runs.
pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.long]


def test_alerts_fire_reach_somebody_and_resolve() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent")}
    command = [sys.executable, "-m", "holdfast_lab.fleet"]
    done = fair_time.run(command, 600, text=True, env=environment, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    heard = re.findall(r"webhook +(\w+) (fires|resolved): (\S+)", done.stdout)
    for alert in ("HoldfastLeaseEndsSoon", "HoldfastLeaseEnded"):
        for guest in ("guest-1", "guest-2", "guest-3"):
            assert heard.index((alert, "fires", guest)) < heard.index((alert, "resolved", guest))
    assert ("HoldfastServerDeaf", "fires", "192.0.2.1") in heard
    assert re.search(r"^green  \d+ notifications: ", done.stdout, re.MULTILINE)
