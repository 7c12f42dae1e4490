"""The table of ./dev guard-matrix."""

from __future__ import annotations

from pathlib import Path

from tests.support.guard_matrix import BEGIN, END, SERVERS, Cell, table, write

DEAF, KEA = "deaf to unicast", "Kea, unicast is dropped"


def cell(client: str = "dhclient", *, leave: bool, seconds: float | None = 1.0, result: str = "renewed",
         server: str = DEAF, removed: int = 0) -> Cell:
    return Cell(server, client, leave, seconds, result, True, int(leave), removed)


def test_a_row_for_each_server_and_a_column_for_each_client() -> None:
    cells = [cell(leave=False, seconds=seconds) for seconds in (30.0, 31.0, 90.0)]
    cells += [cell(leave=True), cell("udhcpc", server=KEA, leave=True, result="answered")]
    assert list(table(cells)) == [
        "| server | dhclient | udhcpc |", "|---|---|---|", f"| {DEAF} | 31.0 / 1.0 | - / - |",
        f"| {KEA} | - / - | - / 1.0 |",
    ]


def test_what_went_otherwise_is_said() -> None:
    cells = [cell(leave=False, seconds=None, result="expired", removed=1), cell(leave=True, result="ignored")]
    assert list(table(cells))[2] == f"| {DEAF} | none expired †1 / 1.0 ignored |"


def test_the_table_replaces_the_former_one_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    write(page, ["new", "lines"])
    assert page.read_text() == f"before\n{BEGIN}new\nlines\n{END}after\n"


def test_the_page_has_a_row_for_each_server() -> None:
    text = (Path(__file__).parents[3] / "docs" / "guard.md").read_text(encoding="utf-8")
    shown = text.partition(BEGIN)[2].partition(END)[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in shown.splitlines()[2:]] == list(SERVERS)
