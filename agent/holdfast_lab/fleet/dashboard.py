"""What the Grafana dashboard shows: its panels with their queries, apart from Grafana's own form (docs/grafana.py)."""

from __future__ import annotations

from typing import NamedTuple

#: Stands in a query for the labels that a reader of the dashboard has chosen.
SCOPE = "SCOPE"
#: Stands for the window of a rate; Grafana's own word for one that fits the graph and the scrape interval.
WINDOW = "$__rate_interval"

_EXPIRY = f"interface:holdfast_lease_expiry_timestamp_seconds:last{{{SCOPE}}}"
_DURATION = f"interface:holdfast_lease_duration_seconds:last{{{SCOPE}}}"
_BROADCASTS = f"sum by (server) (interface:holdfast_broadcast_answers:increase6h{{{SCOPE}}})"
_ANSWERS = f"sum by (server) (interface:holdfast_answers:increase6h{{{SCOPE}}})"
_SERVED = "on (job, instance, interface) group_left (server) holdfast_lease_info"


class Query(NamedTuple):
    """PromQL with SCOPE in it, and what its series are called: a legend, or the heading of a table's column."""

    text: str
    legend: str

    def within(self, scope: str, window: str = WINDOW) -> str:
        """The query for the series that ``scope`` selects, such as 'job="node"'."""
        return self.text.replace(SCOPE, scope).replace(WINDOW, window)

    @property
    def expression(self) -> str:
        """The query for every series, over a minute."""
        return self.within('job=~".+"', "1m")


class Panel(NamedTuple):
    """``kind`` is "stat", "graph" or "table"; ``unit`` one of Grafana's; ``width`` in its 24 columns. ``bad`` is the
    value from which a stat is red. ``quiet``: in a healthy fleet it has no data."""

    title: str
    kind: str
    what: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    bad: float | None = None
    quiet: bool = False


class Row(NamedTuple):
    """A heading and its panels."""

    title: str
    panels: tuple[Panel, ...]


def _count(title: str, what: str, condition: str, width: int = 4) -> Panel:
    return Panel(title, "stat", what, (Query(f"count({condition}) or vector(0)", title),), width=width, bad=1)


ROWS = (
    Row("Fleet", (
        Panel("Interfaces with a lease", "stat", "As their agents wrote it last, a dead one's too.",
              (Query(f"sum(holdfast_lease_valid{{{SCOPE}}})", "with a lease"),
               Query(f"count(holdfast_lease_valid{{{SCOPE}}})", "of")), width=6),
        _count("Leases about to end", "Less than a fifth is left.", f"{_EXPIRY} - time() < 0.2 * {_DURATION}", 5),
        _count("Leases ended", "Guests that do not answer any more included, for six hours.", f"{_EXPIRY} < time()"),
        _count("Agents silent at T1", "T1 has passed, and they wrote nothing.",
               f"holdfast_lease_renewal_timestamp_seconds{{{SCOPE}}} < time() - 60 and "
               "holdfast_updated_timestamp_seconds < holdfast_lease_renewal_timestamp_seconds", 5),
        _count("Deaf servers", "Most renewals of six hours went by broadcast.", f"{_BROADCASTS} > 0.5 * {_ANSWERS}"),
        Panel("States", "graph", "BOUND, but for moments: many in RENEWING or REBINDING wait for a server.",
              (Query(f"sum by (state) (holdfast_state{{{SCOPE}}})", "{{state}}"),)),
        Panel("Answers by the way of the message", "graph", "broadcast instead of unicast: a deaf server.",
              (Query(f"sum by (path) (rate(holdfast_answers_total{{{SCOPE}}}[{WINDOW}]))", "{{path}}"),), unit="reqps"),
    )),
    Row("Guests", (
        Panel("Leases that end first", "table", "Seconds until the end; negative after it.",
              (Query(f"sort(bottomk(20, {_EXPIRY} - time()))", "left"),), unit="s"),
        Panel("Slowest renewals", "table", "From the first message to the answer, each guest's last one.",
              (Query(f"sort_desc(topk(20, holdfast_last_outcome_latency_seconds{{{SCOPE}}}))", "latency"),), unit="s"),
        Panel("Acquisitions and renewals that went otherwise", "graph", "All results but renewed, in an hour.",
              (Query(f'sum by (result) (increase(holdfast_outcomes_total{{result!="renewed", {SCOPE}}}[1h])) > 0',
                     "{{result}}"),), quiet=True),
        Panel("Notices", "graph", "By code, in an hour; docs/operations.md says what each means.",
              (Query(f"sum by (code) (increase(holdfast_notices_total{{{SCOPE}}}[1h])) > 0", "{{code}}"),), quiet=True),
    )),
    Row("Servers", (
        Panel("Servers", "table", "Guests, those that wait for an answer, and the share of answers to broadcast.", (
            Query(f"count by (server) (holdfast_lease_info{{{SCOPE}}})", "guests"),
            Query(f'sum by (server) (holdfast_state{{state=~"RENEWING|REBINDING", {SCOPE}}} * {_SERVED})', "waiting"),
            Query(f"{_BROADCASTS} / {_ANSWERS}", "broadcast share"),
        )),
        Panel("Renewals waited for", "graph", "Guests in RENEWING or REBINDING, by server.",
              (Query(f'sum by (server) (holdfast_state{{state=~"RENEWING|REBINDING", {SCOPE}}} * {_SERVED})',
                     "{{server}}"),)),
        Panel("Messages that were ignored", "graph", "By reason, in an hour.",
              (Query(f"sum by (reason) (increase(holdfast_dropped_total{{{SCOPE}}}[1h])) > 0", "{{reason}}"),),
              quiet=True),
        Panel("Versions", "table", "Of the agent, by interfaces.",
              (Query(f"count by (version) (holdfast_build_info{{{SCOPE}}})", "interfaces"),)),
    )),
)


def panels() -> tuple[Panel, ...]:
    """Those that have data in a healthy fleet."""
    return tuple(panel for row in ROWS for panel in row.panels if not panel.quiet)
