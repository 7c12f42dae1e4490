"""wire.record: named tuples that are equal only to their own kind."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.wire.record import record


@record
class Up(NamedTuple):
    at: int = 0


@record
class Down(NamedTuple):
    at: int = 0


def test_records_of_one_kind_are_equal_by_contents() -> None:
    assert Up(1) == Up(1)
    assert Up(1) != Up(2)
    assert not Up(1) != Up(1)  # noqa: SIM202 - the operator is what is tested
    assert hash(Up(1)) == hash(Up(1))


def test_records_of_two_kinds_are_not_equal() -> None:
    assert Up(1) != Down(1)
    assert Up(1) != (1,)
    assert {Up(1): "up", Down(1): "down"}[Down(1)] == "down"
