"""The pure parts of the benchmark: figures, tables, verdicts, the page, and what is read off the wire."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.wire.frame import parse_ipv4_udp
from holdfast.wire.message import decode
from holdfast_lab.bench import __main__ as bench
from holdfast_lab.bench import docs, report
from holdfast_lab.bench.code import HOT_START, ImportTimer, measure_decode, sample_reply
from holdfast_lab.bench.figures import Figures, Flood, Idle, Starts
from holdfast_lab.bench.flood import renewal_in
from holdfast_lab.bench.measure import groups, round_robin
from holdfast_lab.bench.room import lease_of, server_time, unanswered
from holdfast_lab.peers import SITE
from holdfast_lab.witness.wirelog import Seen

MIB = 1 << 20


def seen(at: float, kind: str, *, unicast: bool = False, ciaddr: str = "192.0.2.50") -> Seen:
    direction = "out" if kind in {"OFFER", "ACK", "NAK"} else "in"
    destination = "192.0.2.1" if unicast else "255.255.255.255"
    return Seen(at, direction, kind, "192.0.2.50", destination, not unicast, "02:00:00:00:00:01", 7, ciaddr=ciaddr)


BIND = [
    seen(0.0, "DISCOVER", ciaddr="0.0.0.0"),
    seen(0.002, "OFFER"),
    seen(0.0019, "REQUEST", ciaddr="0.0.0.0"),  # before the OFFER's stamp, which is taken after the send
    seen(0.006, "ACK"),
]


def full() -> Figures:
    """A run in which Holdfast meets every budget."""
    flood = Flood(49990, 10.0, 20 * MIB, 20 * MIB + 4096, 20 * MIB, 4.0, 0.02, 0.4, kept=True)
    return Figures(
        machine={"date": "2030-01-02", "processor": "2 x A", "kernel": "Linux 1", "system": "Debian", "python": "3.11"},
        versions={"dhclient": "4.4.3-P1", "holdfast": "0.1.0", "networkd": "252", "pyroute2": "0.9.7"},
        missing=["udhcpc"],
        command="sudo ./dev bench",
        starts={
            "holdfast": Starts([0.018, 0.019, 0.09], [0.05, 0.04, 0.06], [0.004] * 3),
            "holdfast run": Starts([0.02], [0.055], [0.004]),
            "dhclient": Starts([0.016, 0.016, 0.02], [0.028] * 3, [0.004] * 3),
            "networkd": Starts([0.02], [0.042], [0.004]),
            "pyroute2": Starts([0.2], [0.21], [0.004], failed=2),
        },
        idle={
            "holdfast": Idle(9 * MIB, 13 * MIB, 1, 0.0, 0, 60.0),
            "pyroute2": Idle(25 * MIB, 35 * MIB, 1, 0.001, 2, 60.0),
        },
        fault={"holdfast": {"60": [0.3, 0.25, 0.26], "240": [0.28, 0.25]}, "dhclient": {"60": [27.6], "240": [112.0]}},
        decode={"holdfast": 2e-6, "scapy": 2e-4},
        imports={"interpreter": 0.011, "holdfast": 0.014},
        flood=flood,
    )


def test_medians_not_means() -> None:
    figures = full()
    assert figures.discover("holdfast") == 0.019
    assert figures.address("holdfast") == 0.05
    assert figures.fault_first("holdfast", 60) == 0.3
    assert figures.fault_later("holdfast", 60) == pytest.approx(0.255)
    assert figures.fault_later("dhclient", 60) is None
    assert figures.discover("udhcpc") is None
    assert replace(figures, starts={"holdfast": Starts()}).discover("holdfast") is None


def test_a_missed_budget_fails_the_check_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    met, missed = tmp_path / "met.json", tmp_path / "missed.json"
    met.write_text(json.dumps(full().as_json()))
    late = replace(full(), fault={"holdfast": {"60": [2.6, 0.7]}})
    missed.write_text(json.dumps(late.as_json()))
    assert bench.main(["--read", str(met), "--check"]) == 0
    assert bench.main(["--read", str(missed)]) == 0
    assert bench.main(["--read", str(missed), "--check"]) == bench.MISSED
    assert "MISSED" in capsys.readouterr().out


def test_figures_survive_json() -> None:
    assert Figures.from_json(json.loads(json.dumps(full().as_json()))) == full()
    assert Figures.from_json(Figures().as_json()) == Figures()


def test_every_budget_is_met_when_it_is() -> None:
    found = report.verdicts(full())
    assert {one.met for one in found} == {True}
    assert len(found) == 14


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"starts": {**full().starts, "holdfast": Starts([0.0195], [0.05])}}, "exec to first DISCOVER"),
        ({"starts": {**full().starts, "holdfast": Starts([0.018], [0.051])}}, "exec to address"),
        ({"starts": {**full().starts, "holdfast run": Starts([0.02], [0.057])}},
         "exec to address, `holdfast run` in a shell"),
        ({"idle": {**full().idle, "holdfast": Idle(11 * MIB, 0, 1, 0.0, 0, 60.0)}}, "PSS, bound and idle"),
        ({"idle": {**full().idle, "holdfast": Idle(MIB, 15 * MIB, 1, 0.0, 0, 60.0)}}, "resident, nothing shared"),
        ({"idle": {**full().idle, "holdfast": Idle(MIB, 0, 1, 0.0, 60, 60.0)}}, "processor, bound and idle"),
        ({"fault": {"holdfast": {"60": [0.61, 0.7]}}}, "unanswered unicast to ACK, 60 s lease, first time"),
        ({"flood": replace(full().flood or Flood(*[0] * 9, kept=True), kept=False)}, "49990 malformed packets/s, 10 s"),
    ],
)
def test_a_missed_budget_is_said(change: dict[str, object], what: str) -> None:
    missed = [one for one in report.verdicts(replace(full(), **change)) if one.met is False]  # type: ignore[arg-type]
    assert missed[0].what == what
    assert missed[0].word == "MISSED"


def test_without_a_peer_the_verdict_is_open() -> None:
    figures = Figures(versions={"holdfast": "1"}, starts={"holdfast": Starts([0.03], [0.05])})
    assert {one.word for one in report.verdicts(figures)} == {"not known"}


def test_a_lost_renewal_in_the_flood_is_a_miss() -> None:
    flood = replace(full().flood, renewal=None, late=None)  # type: ignore[type-var]
    missed = [one for one in report.verdicts(replace(full(), flood=flood)) if one.met is False]
    assert [one.measured for one in missed] == ["never renewed"]


def test_the_tables_have_a_row_for_each_client_and_ours_first() -> None:
    table = report.main_table(full())
    assert [row[0] for row in table] == ["client", "holdfast", "dhclient", "networkd", "pyroute2"]
    assert table[1] == ["holdfast", "0.1.0", "19", "50", "0.3, then 0.26", "0.28, then 0.25", "9", "0", "0"]
    assert table[2][4:] == ["27.6", "112", "-", "-", "-"]
    ratios = report.ratio_table(full())
    assert ratios[1] == ["dhclient", "1.19", "1.79", "0.011", "0.003", "-"]


def test_the_page_says_where_when_and_how(tmp_path: Path) -> None:
    written = docs.write(full(), tmp_path / "docs")
    assert {path.name for path in written} == {"README.md", "fault.svg", "memory.svg", "results.json", "start.svg"}
    page = (tmp_path / "docs" / "README.md").read_text()
    for words in ("2030-01-02", "2 x A", "sudo ./dev bench", "udhcpc is not installed; left out",
                  "pyroute2: starts without", "4.4.3-P1", "(start.svg)", "| met |"):
        assert words in page
    again = Figures.from_json(json.loads((tmp_path / "docs" / "results.json").read_text()))
    assert again == full()


def test_the_machine_is_described() -> None:
    assert set(docs.machine()) == {"date", "processor", "kernel", "system", "python"}
    assert docs.processor_in("processor\t: 0\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
    assert docs.processor_in("") == "unknown"


def test_unanswered_takes_the_time_from_the_first_unicast_to_the_ack() -> None:
    renewals = [
        seen(30.0, "REQUEST", unicast=True),
        seen(31.0, "REQUEST"),
        seen(31.1, "ACK"),
        seen(60.0, "REQUEST", unicast=True),
        seen(60.1, "REQUEST", unicast=True),
        seen(60.25, "REQUEST"),
        seen(60.3, "ACK"),
        seen(90.0, "REQUEST", unicast=True),
    ]
    assert unanswered(BIND + renewals) == pytest.approx([1.1, 0.3])
    assert unanswered(BIND) == []


def test_the_servers_share_is_request_to_answer_in_the_order_of_its_work() -> None:
    assert server_time(BIND) == pytest.approx(0.002 + 0.0041)
    assert server_time([*BIND, seen(30, "REQUEST"), seen(31, "ACK")]) == pytest.approx(0.0061)
    assert server_time([]) == 0


def test_a_renewal_in_the_flood_counts_from_its_request_and_from_t1() -> None:
    took, late = renewal_in([*BIND, seen(20.5, "REQUEST", unicast=True), seen(20.75, "ACK")], 20)
    assert took == pytest.approx(0.25)
    assert late == pytest.approx(20.75 - 20.0019)
    assert renewal_in(BIND, 20) == (None, None)


def test_leases_spell_out_their_timers() -> None:
    assert (lease_of(240).time, lease_of(240).t1, lease_of(240).t2) == (240, 120, 210)


def test_clients_take_turns_after_a_round_of_warming() -> None:
    assert list(round_robin(["a", "b"], 2)) == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_clients_in_python_are_not_idle_together() -> None:
    assert groups(["h", "d", "p", "n"], ["h", "p"]) == [["d", "n", "h"], ["p"]]
    assert groups(["d"], ["h", "p"]) == [["d"]]
    assert groups(["p"], ["h", "p"]) == [["p"]]
    assert groups([], ["h"]) == []


def test_the_reply_that_is_timed_is_a_good_one() -> None:
    message = decode(parse_ipv4_udp(sample_reply()).payload)
    assert message.lease_time == 86400
    assert len(message.options) == 13
    took = measure_decode(rounds=1)
    assert took["holdfast"] < took["scapy"]


def test_imports_are_timed_beside_the_bare_interpreter() -> None:
    timer = ImportTimer()
    assert timer.medians() == {}
    timer.once()  # for real once; two samples on a busy machine may come out in any order
    assert timer.medians().keys() == {"interpreter", "holdfast"}

    took = iter([0.010, 0.030, 0.012, 0.034, 0.010, 0.031])
    timer = ImportTimer(lambda _code: next(took))
    for _ in range(3):
        timer.once()
    assert timer.medians() == pytest.approx({"interpreter": 0.010, "holdfast": 0.021})


def test_the_modules_whose_import_is_timed_exist() -> None:
    assert all(importlib.util.find_spec(name) for name in HOT_START)


def test_a_start_imports_nothing_that_the_first_packet_can_do_without() -> None:
    assert HEAVY & loaded_by(HOT_START) == set()


def test_an_idle_daemon_holds_nothing_that_it_can_do_without() -> None:
    """Bound, asked for its status, its lease and its history written."""
    assert HEAVY & loaded_by((*HOT_START, *IDLE)) == set()


def test_a_start_loads_few_modules() -> None:
    loaded = loaded_by(HOT_START)
    ours = {name for name in loaded if name.startswith("holdfast")}
    assert len(ours) <= 80
    assert len(loaded - ours) <= 30


def loaded_by(names: tuple[str, ...]) -> set[str]:
    """The modules that importing ``names`` adds to an empty interpreter, as a package's launcher starts it."""
    code = (f"import sys; sys.path[:0] = {list(SITE)!r}; before = set(sys.modules); import {', '.join(names)}\n"
            "print(*set(sys.modules) - before)")
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {
    "typing", "dataclasses", "logging", "asyncio", "json", "re", "enum", "socket", "selectors", "random", "signal",
    "ctypes", "click", "pyroute2", "subprocess", "inspect", "argparse", "jeepney", "tomllib", "tomli",
}
#: What a daemon imports after its first packet, until it is idle with a lease.
IDLE = (
    "holdfast.network.kernel", "holdfast.runtime.control_service", "holdfast.runtime.views", "holdfast.control.message",
    "holdfast.state.lease_file", "holdfast.publish.spool", "holdfast.eventloop.timers", "holdfast.eventloop.signals",
    "holdfast.runtime.host.systemd", "holdfast.runtime.host.vmgenid", "holdfast.observe.journal",
    "holdfast.observe.words", "holdfast.observe.metrics",
)


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = bench.parse(["--runs", "3", "--clients", "dhclient", "holdfast"])
    assert (options.runs, options.clients, options.parts) == (3, ["dhclient", "holdfast"], list(bench.PARTS))
    for wrong in (["--runs", "0"], ["--clients", "nobody"], ["--parts", "all"]):
        with pytest.raises(SystemExit) as end:
            bench.parse(wrong)
        assert end.value.code == 2
    capsys.readouterr()


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert bench.main([]) == bench.NOT_PERMITTED
    assert "needs root" in capsys.readouterr().err


def test_earlier_figures_are_shown_without_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text(json.dumps(full().as_json()))
    assert bench.main(["--read", "old.json", "--json", "new.json", "--write-docs"]) == 0
    said = capsys.readouterr().out
    assert "udhcpc is not installed" in said
    assert "pyroute2: starts without an address: 2" in said
    assert "wrote docs/benchmarks/README.md" in said
    assert Path("new.json").read_text() == (tmp_path / "docs/benchmarks/results.json").read_text()
