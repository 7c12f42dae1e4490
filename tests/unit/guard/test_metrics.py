"""What guard tells Prometheus."""

from __future__ import annotations

from pathlib import Path

from tests.support.guarded import Scene

from holdfast.guard.actions import Noticed, Recorded
from holdfast.guard.metrics import KIND
from holdfast.guard.reporter import Reporter
from holdfast.observe.log import Log
from holdfast.observe.metrics import Textfile


def reporter_of(scene: Scene, folder: Path) -> Reporter:
    """A reporter that was told what the scene has seen; its wall clock is at 5000 when the other is at 1000."""
    reporter = Reporter("eth0", Log("stderr", level=0), str(folder), lambda: scene.now, lambda: scene.now + 4000,
                        Textfile(str(folder), "eth0", KIND))
    for _, action in scene.actions:
        if isinstance(action, Recorded):
            reporter.recorded(action)
        elif isinstance(action, Noticed):
            reporter.noticed(action)
        else:
            reporter.repeated()
    return reporter


def test_every_family_and_its_times(tmp_path: Path) -> None:
    scene = Scene().bound()
    scene.send()
    scene.sleep(1.5)
    scene.reply()
    scene.configured()
    reporter = reporter_of(scene, tmp_path)
    reporter.write_metrics("networkd", scene.now + 60, 0)
    lines = (tmp_path / "holdfast_guard_eth0.prom").read_text().splitlines()
    assert 'holdfast_guard_outcomes_total{interface="eth0",result="renewed"} 1' in lines
    assert 'holdfast_guard_outcomes_total{interface="eth0",result="ignored"} 0' in lines
    assert 'holdfast_guard_rebroadcasts_total{interface="eth0"} 1' in lines
    assert 'holdfast_guard_notices_total{interface="eth0",code="client-silent"} 0' in lines
    assert f'holdfast_guard_lease_expiry_timestamp_seconds{{interface="eth0"}} {scene.now + 4060:.3f}' in lines
    assert f'holdfast_guard_last_answer_timestamp_seconds{{interface="eth0"}} {scene.now + 4000:.3f}' in lines
    assert all(line.startswith(("# ", "holdfast_guard_")) for line in lines)


def test_what_is_not_known_is_not_told(tmp_path: Path) -> None:
    reporter = reporter_of(Scene(), tmp_path)
    reporter.write_metrics("unknown", None, 0)
    text = (tmp_path / "holdfast_guard_eth0.prom").read_text()
    assert "expiry" not in text
    assert "last_answer" not in text


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    lines: list[str] = []

    class Told(Log):
        def write(self, priority: int, text: str, fields: object = None) -> None:
            lines.append(text)

    folder = tmp_path / "away"
    reporter = Reporter("eth0", Told("stderr"), str(tmp_path), lambda: 1.0, lambda: 2.0,
                        Textfile(str(folder), "eth0", KIND))
    reporter.write_metrics("unknown", None, 0)
    assert lines == [f"eth0: the metrics cannot be written: {folder}/holdfast_guard_eth0.prom: No such file or "
                     "directory"]
