"""``./dev dashboard``: packaging/monitoring/holdfast.dashboard.json of fleet/dashboard.py, by Grafana's own builders.

grafana-foundation-sdk is generated from the schemas of Grafana: what it builds is valid, and it reads it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from holdfast_lab.fleet.dashboard import ROWS, Panel, Query

FILE = Path(__file__).resolve().parents[3] / "packaging" / "monitoring" / "holdfast.dashboard.json"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
#: The labels that a reader chooses: variables of the dashboard.
CHOSEN = 'job=~"$job", instance=~"$instance"'
HEIGHT = {"stat": 4, "graph": 8, "table": 8}


def render() -> str:
    """The dashboard as Grafana imports it."""
    board = (
        dashboard.Dashboard("Holdfast").uid("holdfast").tags(["dhcp", "holdfast"]).time("now-6h", "now").refresh("1m")
        .description("DHCPv4 leases of a fleet. Needs the recording rules of holdfast.rules.yml.").readonly()
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("job", "Job", "label_values(holdfast_build_info, job)"))
        .with_variable(_variable("instance", "Guest", 'label_values(holdfast_build_info{job=~"$job"}, instance)'))
    )
    number = 0
    for row in ROWS:
        board = board.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            number += 1
            board = board.with_panel(_panel(panel).id(number))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    return (variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
            .multi(True).include_all(True).all_value(".*"))


def _panel(panel: Panel) -> Any:
    """The builder of one panel: each kind has a class of its own, and they share no base."""
    built: Any = {"stat": _stat, "graph": _graph, "table": _table}[panel.kind](panel)
    built = built.title(panel.title).description(panel.what).datasource(SOURCE).unit(panel.unit)
    built = built.height(HEIGHT[panel.kind]).span(panel.width)
    for number, query in enumerate(panel.queries):
        built = built.with_target(_target(query, "ABCDEF"[number], instant=panel.kind != "graph", kind=panel.kind))
    return built


def _target(query: Query, name: str, *, instant: bool, kind: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.within(CHOSEN)).ref_id(name).legend_format(query.legend)
    target = target.datasource(SOURCE)
    target = target.instant() if instant else target.range()
    return target.format(PromQueryFormat.TABLE if kind == "table" else PromQueryFormat.TIME_SERIES)


def _stat(panel: Panel) -> stat.Panel:
    steps = [models.Threshold(value=None, color="green")]
    if panel.bad is not None:
        steps.append(models.Threshold(value=panel.bad, color="red"))
    thresholds = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
    newest = common.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().thresholds(thresholds).graph_mode(common_models.BigValueGraphMode.NONE).reduce_options(newest)


def _graph(_panel: Panel) -> timeseries.Panel:
    stacked = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    legend = common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    return timeseries.Panel().fill_opacity(20).stacking(stacked).min(0).legend(legend).tooltip(tooltip)


def _table(panel: Panel) -> table.Panel:
    """One line for a guest or server: the queries joined by their labels, columns with their headings."""
    columns = {f"Value #{'ABCDEF'[number]}": query.legend for number, query in enumerate(panel.queries)}
    if len(panel.queries) == 1:
        columns["Value"] = panel.queries[0].legend
    hidden = dict.fromkeys(("Time", "__name__", "job", "group"), True)
    return (
        table.Panel().show_header(True)
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(models.DataTransformerConfig(
            id_val="organize", options={"excludeByName": hidden, "renameByName": columns}))
    )


def main() -> None:
    """Write the file."""
    FILE.write_text(render(), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
