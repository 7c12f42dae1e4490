"""The picture and the table of ./dev boot-time; the boots themselves are in tests/vm."""

from __future__ import annotations

from math import inf

from tests.support.guests.boot_time import CLIENTS, Boot, budget, chart, table
from tests.support.pictures import complaints_about, texts_of

RESULTS = {
    client.name: (Boot(0.1, 0.2, 0.3, 0.4 + place, 0.5 + place, 9.0), Boot(0.1, 0.2, inf, 0.4, 0.5, 0.6, 1.3))
    for place, client in enumerate(CLIENTS)
}


def test_the_picture_shows_the_first_boots_of_all_clients() -> None:
    svg = chart(RESULTS, 10)
    assert complaints_about(svg) == []
    words = texts_of(svg)
    assert {"holdfast", "with patterns", "with ifupdown", "with networkd", "dhclient", "NetworkManager"} <= set(words)
    assert {"0.4 s", "6.5 s"} <= set(words)


def test_the_table_has_both_boots_and_what_never_happened() -> None:
    lines = table(RESULTS).splitlines()
    assert len(lines) == 2 + 2 * len(CLIENTS)
    assert "| first | holdfast | 0.10 | 0.20 | 0.30 | 0.40 | 0.50 | 9.00 | - |" in lines
    assert "| with a remembered lease | dhclient | 0.10 | 0.20 | - | 0.40 | 0.50 | 0.60 | 1.30 |" in lines


def test_the_budget_is_judged_beside_dhclient_and_networkd() -> None:
    assert budget(RESULTS).endswith(
        "First boots: the address dhclient's -4.00 s: met and networkd's -5.00 s: met; "
        "network-online.target dhclient's -4.00 s: met and networkd's -5.00 s: met.")
    late = {**RESULTS, "holdfast": RESULTS["networkd"]}
    assert "the address dhclient's +1.00 s: MISSED and networkd's +0.00 s: met" in budget(late)
