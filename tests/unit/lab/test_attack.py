"""./dev attack and ./dev soak: what is said of an attack, and the frames that are made."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.wire import arp
from holdfast_lab.attack import __main__ as program
from holdfast_lab.attack import many, scarcity
from holdfast_lab.attack.arena import Verdict, broken
from holdfast_lab.attack.neighbour import claim
from holdfast_lab.attack.soak import Sample, lowest, slope
from holdfast_lab.testbed.fair_time import run
from holdfast_lab.witness.verdict import Finding

MAC = bytes.fromhex("020000000001")


def test_every_attack_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [one.name for one in program.ATTACKS]
    assert len(set(names)) == len(names) >= 20
    for one in program.ATTACKS:
        assert one.title
        assert one.act.__doc__


def test_what_takes_minutes_is_left_out_of_a_run_of_so_many_minutes() -> None:
    whole, short = program.chosen_of((), None), program.chosen_of((), 2.0)
    assert whole == list(program.ATTACKS)
    assert {one.name for one in whole} - {one.name for one in short} == {"many", "many-overrun"}
    assert [one.name for one in program.chosen_of(("many", "naks"), 2.0)] == ["naks", "many"]


@pytest.mark.parametrize("name", ["holdfast.service", "holdfast@.service"])
def test_250_links_have_the_descriptors_of_the_unit(name: str) -> None:
    unit = Path(__file__).parents[3] / "packaging" / "systemd" / name
    assert f"LimitNOFILE={many.DESCRIPTORS}" in unit.read_text(encoding="utf-8").splitlines()


def test_a_row_says_what_was_lost() -> None:
    first, second = program.ATTACKS[:2]
    held = Verdict(first.name, "9 NAKs", (), restarts=0, grown=1 << 20, took=3.0)
    verdicts = [held, Verdict(second.name, "", ("its address",), restarts=2, grown=0, took=200.0)]
    rows = program.table([first, second], verdicts)
    assert rows[1][2:] == ["9 NAKs", "-", "+1.0 MiB", "3.0 s", "nothing"]
    assert rows[2][2:] == ["-", "2", "-", "3.3 min", "1, see above"]


def test_what_was_lost_many_times_is_told_once() -> None:
    removed = "192.0.2.50 was removed with {} s of its lease left"
    findings = [*(Finding(2, kept=False, text=removed.format(left)) for left in (23.9, 7, 0.5)),
                Finding(2, kept=False, text="192.0.2.51 was removed with 9 s of its lease left"),
                Finding(3, kept=True, text="no address was used beyond its lease")]
    assert broken(findings) == [
        "promise 2: 192.0.2.50 was removed with 23.9 s of its lease left (3 such)",
        "promise 2: 192.0.2.51 was removed with 9 s of its lease left",
    ]


def test_an_attack_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["no-such-attack"]) == 2
    assert "no attack no-such-attack" in capsys.readouterr().err
    assert program.main(["--list"]) == 0
    assert "naks-and-claims" in capsys.readouterr().out


def test_a_claim_is_arp_about_the_address() -> None:
    for answer in (False, True):
        read = arp.parse(claim(MAC, "192.0.2.50", answer=answer)[14:])
        assert (str(read.spa), read.sha) == ("192.0.2.50", MAC)


def test_the_slope_is_of_the_part_after_the_warm_up() -> None:
    warm = [Sample(number, number << 20, 10) for number in range(10)]
    flat = [Sample(10 + number, 20 << 20, 10) for number in range(30)]
    assert slope(warm + flat) == pytest.approx(0.0)
    steady = [Sample(60.0 * number, (1 << 20) + number * 1024, 10) for number in range(40)]  # a KiB a minute
    assert slope(steady) == pytest.approx(60.0)
    assert slope(steady[:1]) == 0.0
    assert lowest([*flat[:3], Sample(0.0, 0, 11)]) == 10


@pytest.mark.parametrize(("late", "waited", "told"), [(0.0, 0.0, 0.0), (5.0, 0.0, 5.0), (5.0, 4.5, 0.5)])
def test_a_renewal_is_late_by_what_it_had_a_processor_for(
    monkeypatch: pytest.MonkeyPatch, late: float, waited: float, told: float
) -> None:
    moments = [100.0, 106.0, 112.0 + late]
    wire = [SimpleNamespace(mac=mac, kind=kind, at=at) for at in moments for mac in ("02", "04")
            for kind in ("REQUEST", "ACK")]
    server: Any = SimpleNamespace(wire=SimpleNamespace(all=lambda: wire))
    arena: Any = SimpleNamespace(server=server, waited=lambda _start, end: waited if end == moments[-1] else 0.0)
    monkeypatch.setattr(scarcity, "boottime", lambda: moments[-1] + 1)
    assert scarcity.renewals_since(arena, "02", 101.0) == (2, pytest.approx(told))
    assert scarcity.renewals_since(arena, "06", 101.0)[0] == 0


@pytest.mark.parametrize("way", ["fails", "hangs"])
def test_a_disk_that_fails_is_one_for_files_only(tmp_path: Path, way: str) -> None:
    switch = tmp_path / "switch"
    code = f"""
import os, sys, threading
sys.argv[1:] = [{str(switch)!r}, {way!r}]
import holdfast.runtime.__main__ as agent
def write():
    open({str(switch)!r}, "w").close()
    file = os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY)
    if {way == "hangs"}:
        threading.Timer(0.3, os.unlink, [{str(switch)!r}]).start()
    print("told", flush=True)
    try:
        os.write(file, b"x")
        return 9 if os.path.exists({str(switch)!r}) else 0
    except OSError as error:
        return error.errno
agent.main = write
from holdfast_lab.attack.disk import main
sys.exit(main())
"""
    done = run([sys.executable, "-c", code], 30, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stdout == "told\n"
    assert done.returncode == (errno.EIO if way == "fails" else 0), done.stderr


@pytest.mark.long
@pytest.mark.root
def test_one_attack_of_each_kind_takes_nothing() -> None:
    words = [sys.executable, "-m", "holdfast_lab.attack", "--minutes", "0.3", "--kills", "5", "naks", "control",
             "no-descriptors", "kills"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done: subprocess.CompletedProcess[str] = run(words, 300, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("nothing") == 4
