"""packaging/monitoring: what Prometheus, Alertmanager and Grafana are given, judged by their own programs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from holdfast.observe import ids, metrics
from holdfast_lab.fleet.dashboard import ROWS

FOLDER = Path(__file__).parents[3] / "packaging" / "monitoring"
RULES = yaml.safe_load((FOLDER / "holdfast.rules.yml").read_text())["groups"][0]["rules"]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
EXPRESSIONS = [
    *(rule["expr"] for rule in RULES),
    *(query.expression for row in ROWS for panel in row.panels for query in panel.queries),
]


def said(*command: str) -> tuple[int, str]:
    """Exit status and words of a program that is run in the folder."""
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    status, words = said("promtool", "check", "rules", "holdfast.rules.yml")
    assert (status, f"SUCCESS: {len(RULES)} rules found" in words) == (0, True), words
    status, words = said("promtool", "test", "rules", "holdfast.rules.test.yml")
    assert (status, "SUCCESS" in words) == (0, True), words


def test_every_alert_is_tested_and_tells_what_to_do() -> None:
    tests = (FOLDER / "holdfast.rules.test.yml").read_text()
    for alert in ALERTS:
        assert re.search(rf'alertname(: |="){alert["alert"]}\b', tests), alert["alert"]
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert set(alert["annotations"]) == {"summary", "description"}


def test_amtool_accepts_the_route() -> None:
    status, words = said("amtool", "check-config", "alertmanager.yml")
    assert (status, "SUCCESS" in words) == (0, True), words


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_speak_of_what_there_is(expression: str) -> None:
    written = Path(metrics.__file__).read_text()
    for name in re.findall(r"(?<![:\w])holdfast_\w+", expression):
        assert f'"{name}"' in written
    assert set(re.findall(r"\binterface:\w+(?::\w+)?", expression)) <= RECORDED
    for code in re.findall(r'code="([a-z-]+)"', expression):
        assert code in ids.NOTICES
    for results in re.findall(r'result(?:=~|!=)"([a-z|]+)"', expression):
        assert set(results.split("|")) <= set(ids.RESULTS)
    for states in re.findall(r'state=~?"([A-Z|-]+)"', expression):
        assert set(states.split("|")) <= set(metrics.STATES)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
def test_the_dashboard_is_what_its_panels_say_and_fits_grafanas_schema() -> None:
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from holdfast_lab.docs import grafana

    text = grafana.FILE.read_text()
    assert text == grafana.render(), "run ./dev dashboard"
    plugins.register_default_plugins()
    written = json.loads(text)
    assert json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder)) == written
    panels = [panel for panel in written["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {target["datasource"]["uid"] for panel in panels for target in panel["targets"]} == {"${datasource}"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((FOLDER / "holdfast.dashboard.json").read_text())["panels"]:
        left, top, width, height = (panel["gridPos"][side] for side in "xywh")
        cells = {(left + x, top + y) for x in range(width) for y in range(height)}
        assert not cells & taken, panel.get("title")
        assert max(x for x, _ in cells) < 24
        taken |= cells
