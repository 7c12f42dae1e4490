"""wire.record: named tuples that are equal only to their own kind, and enumerations."""

from __future__ import annotations

import copy
import pickle

import pytest

from holdfast.wire.record import Enum, NamedTuple, record


@record
class Up(NamedTuple):
    at: int = 0


@record
class Down(NamedTuple):
    at: int = 0


class Point(NamedTuple):
    """A point."""

    x: int
    y: int = 2
    name: str = "p"

    @property
    def sum(self) -> int:
        return self.x + self.y


class Nothing(NamedTuple):
    """Without fields."""


class Plain(Enum):
    ONE = 1
    TWO = 2


class Text(str, Enum):
    """Text."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def first(self) -> str:
        return self.value[0]


def test_a_record_is_a_named_tuple() -> None:
    point = Point(1, name="q")
    assert (point, point.x, point.y, point.name, point.sum) == ((1, 2, "q"), 1, 2, "q", 3)
    assert point._replace(y=5) == (1, 5, "q")
    assert point._asdict() == {"x": 1, "y": 2, "name": "q"}
    assert Point._make([4, 5, "r"]) == Point(4, 5, "r")
    assert Point._fields == ("x", "y", "name")
    assert repr(point) == "Point(x=1, y=2, name='q')"
    assert Nothing() == ()
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


@pytest.mark.parametrize("wrong", [
    Point, lambda: Point(1, 2, "p", 4), lambda: Point(1, z=3), lambda: Point._make([1]),  # type: ignore[call-arg]
    lambda: Point(1)._replace(z=3),  # type: ignore[call-arg]
])
def test_a_record_has_its_fields_and_no_others(wrong: object) -> None:
    for _ in range(2):  # the first instances are made otherwise than those after a mistake
        with pytest.raises((TypeError, ValueError)):
            wrong()  # type: ignore[operator]


def test_the_first_instances_are_like_all_others() -> None:
    class Fresh(NamedTuple):
        x: int
        y: int = 2
        z: int = 3

    class Derived(Fresh):
        """A record's own kind."""

    for number in range(20):  # the constructor is compiled on the way
        assert (Fresh(number), Fresh(number, z=5), Fresh(x=number, y=1), Fresh(1, 2, number)) == (
            (number, 2, 3), (number, 2, 5), (number, 1, 3), (1, 2, number))
        assert (type(Derived(number)), Derived(number)) == (Derived, (number, 2, 3))
    for few in range(9):
        class Strict(NamedTuple):
            x: int
            y: int = 2

        for _ in range(few):
            Strict(1)
        for wrong in (lambda: Strict(1, x=1), lambda: Strict(y=1), lambda: Strict(1, 2, 3), lambda: Strict(1, q=1)):  # type: ignore[misc, call-arg]
            with pytest.raises(TypeError):
                wrong()


def test_records_and_members_survive_being_copied() -> None:
    for value in (Point(1), Nothing(), Plain.TWO, Text.LEFT, Up(3)):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(Plain.TWO) is Plain.TWO
    assert pickle.loads(pickle.dumps(Text.LEFT)) is Text.LEFT


def test_members_are_found_by_name_by_value_and_in_order() -> None:
    assert [*Plain] == [Plain.ONE, Plain.TWO]
    assert len(Text) == 2
    assert (Plain(2), Plain["ONE"], Text("left"), Text(Text.LEFT)) == (Plain.TWO, Plain.ONE, Text.LEFT, Text.LEFT)
    assert (Plain.ONE.name, Plain.ONE.value, Text.RIGHT.name, Text.RIGHT.value) == ("ONE", 1, "RIGHT", "right")
    assert isinstance(Text.LEFT, str)
    assert Text.LEFT == "left"
    assert Text.LEFT.first == "l"
    assert Plain.ONE != Plain.TWO
    assert {Plain.ONE: 1, Plain.TWO: 2}[Plain.TWO] == 2
    assert repr(Text.LEFT) == "<Text.LEFT: 'left'>"
    with pytest.raises(ValueError, match="'middle' is not a valid Text"):
        Text("middle")
    with pytest.raises(KeyError):
        Plain["THREE"]


def test_records_of_one_kind_are_equal_by_contents() -> None:
    assert Up(1) == Up(1)
    assert Up(1) != Up(2)
    assert not Up(1) != Up(1)  # noqa: SIM202 - the operator is what is tested
    assert hash(Up(1)) == hash(Up(1))


def test_records_of_two_kinds_are_not_equal() -> None:
    assert Up(1) != Down(1)
    assert Up(1) != (1,)
    assert {Up(1): "up", Down(1): "down"}[Down(1)] == "down"
