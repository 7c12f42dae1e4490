"""The models of other clients against what their sources say, for a server that is silent from T1 on.

Each row: unicast and broadcast messages, first broadcast in seconds after T1 (None: never), last message in seconds
before the end of the lease. The numbers were derived from the sources by hand, once for all leases; models that draw
lots may differ by what their jitter allows.
"""

from __future__ import annotations

from random import Random
from statistics import mean

import pytest

from holdfast_lab.simulate.models import BY_NAME, MODELS, How, Wait, cycle, dhclient_discover, growing, wandering

LEASES = (120, 600, 3600, 86400)
Row = tuple[int, int, "float | None", float]
EXPECTED: dict[str, tuple[Row, Row, Row, Row]] = {
    "systemd": ((1, 1, 45, 15), (3, 2, 225, 15), (6, 4, 1350, 52), (11, 9, 32400, 24)),
    "mozim": ((1, 1, 45, 15), (3, 2, 225, 15), (6, 4, 1350, 52), (11, 9, 32400, 24)),
    "Apple": ((1, 0, None, 60), (3, 2, 232, 7), (6, 4, 1386, 44), (11, 9, 32457, 24)),
    "n-dhcp4": ((1, 1, 45, 15), (4, 2, 225, 14), (23, 8, 1350, 26), (536, 179, 32400, 31)),
    "dhcpleased": ((1, 0, None, 60), (3, 4, 232, 3), (6, 4, 1386, 21), (11, 8, 32457, 29)),
    "connman": ((1, 1, 45, 15), (2, 1, 225, 75), (5, 3, 1350, 112), (10, 8, 32400, 84)),
    "udhcpc": ((2, 3, 34, 20), (5, 3, 287, 7), (7, 3, 1777, 17), (12, 3, 43184, 10)),
    "dhclient": ((5, 1, 59, 1), (19, 5, 234, 11), (96, 31, 1357, 2), (2205, 732, 32411, 9)),
    "dhcpcd": ((4, 3, 45, 3), (7, 5, 225, 15), (25, 11, 1350, 6), (510, 172, 32400, 52)),
    "pyroute2": ((5, 3, 45, 5), (11, 7, 225, 5), (46, 17, 1350, 23), (1017, 341, 32400, 24)),
    "wicked": ((5, 3, 45, 3.5), (7, 6, 225, 0.7), (10, 8, 1350, 3), (14, 13, 32400, 1)),
    "Android": ((6, 4, 45, 8), (8, 7, 225, 12), (11, 9, 1350, 195), (72, 30, 32400, 49)),
    "monogon": ((7, 5, 42, 7), (11, 9, 210, 21), (16, 13, 1260, 180), (113, 55, 30240, 145)),
    "Talos": ((3, 0, None, 45), (3, 4, 185, 5), (3, 9, 935, 105), (3, 21, 21635, 77)),
}
#: Clients that draw lots, and by how many seconds their last message can be elsewhere.
DRAWN = {"n-dhcp4": 60, "dhclient": 22, "dhcpcd": 64, "pyroute2": 32, "wicked": 4, "Android": 512, "monogon": 300}


def play(name: str, lease: int, seed: int) -> tuple[int, int, float | None, float]:
    """The row of one renewal that nobody answers."""
    model = BY_NAME[name]
    t1 = lease * 0.5
    steps = [(at, how) for at, how in model.plan(t1, lease * model.t2, float(lease), Random(seed)) if at < lease]
    sent = [(at, how) for at, how in steps if how is not How.QUIT]
    wide = [at for at, how in sent if how is not How.UNICAST]
    return len(sent) - len(wide), len(wide), wide[0] - t1 if wide else None, lease - sent[-1][0]


@pytest.mark.parametrize("lease", LEASES)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_does_as_the_source_says(name: str, lease: int) -> None:
    unicasts, broadcasts, first, last = EXPECTED[name][LEASES.index(lease)]
    runs = [play(name, lease, seed) for seed in range(20 if lease < 86400 else 3)]
    assert mean(run[0] for run in runs) == pytest.approx(unicasts, rel=0.1 if name in DRAWN else 0.0, abs=1.0)
    assert mean(run[1] for run in runs) == pytest.approx(broadcasts, rel=0.1 if name in DRAWN else 0.0, abs=1.2)
    slack = DRAWN.get(name, 1.5)
    if first is None:
        assert all(run[2] is None for run in runs)
    else:
        after = [run[2] for run in runs if run[2] is not None]
        assert mean(after) == pytest.approx(first, abs=slack if BY_NAME[name].late_t2 else 1.0)
    assert any(abs(run[3] - last) <= slack for run in runs)
    assert all(run[3] <= max(2 * slack, last + 2.0) for run in runs)


def test_the_rfc_s_own_schedule_is_systemd_s() -> None:
    for lease in LEASES:
        assert play("RFC 2131", lease, 1) == play("systemd", lease, 1)


def test_udhcpc_gives_up_before_the_end() -> None:
    for lease, early in ((120, 17), (600, 4), (3600, 14), (86400, 7)):
        *_, (at, how) = BY_NAME["udhcpc"].plan(lease / 2, lease * 0.875, float(lease), Random(1))
        assert how is How.QUIT
        assert lease - at == pytest.approx(early, abs=1)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_schedule_goes_forward_in_time_and_repeats_under_its_seed(model: object) -> None:
    chosen = BY_NAME[model.name]  # type: ignore[attr-defined]
    first, again = (list(chosen.plan(60.0, 105.0, 120.0, Random(3))) for _ in range(2))
    times = [at for at, _ in first]
    assert first == again
    assert times == sorted(times)
    gaps = [chosen.discover(Wait(tries, 4.0, 1e9, 1e9), Random(tries)) for tries in range(1, 200)]
    assert all(0.5 <= gap <= 700 for gap in gaps)


def test_gaps() -> None:
    rng = Random(1)
    assert [growing(4, 64)(Wait(tries, 0.0, 0.0, 0.0), rng) for tries in (1, 2, 5, 9)] == [4, 8, 64, 64]
    assert [cycle(3, 3, 23)(Wait(tries, 0.0, 0.0, 0.0), rng) for tries in (1, 2, 3, 4)] == [3, 3, 23, 3]
    assert wandering(4, 32)(Wait(1, 0.0, 0.0, 0.0), rng) == 4
    assert wandering(4, 32)(Wait(9, 32.0, 0.0, 0.0), rng) == 32
    assert dhclient_discover(Wait(6, 10.0, 0.0, 0.0), rng) == 300
