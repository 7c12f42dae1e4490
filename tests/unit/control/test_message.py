"""Messages: strict JSON and a NUL."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.control.message import MessageError, decode, encode
from holdfast.strict_json import DEPTH_LIMIT

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2**63, 2**63 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)


@given(st.dictionaries(st.text(), _VALUES, max_size=3))
def test_what_is_sent_is_what_arrives(message: dict[str, object]) -> None:
    data = encode(message)
    assert data.endswith(b"\0")
    assert b"\0" not in data[:-1]
    assert decode(data[:-1]) == message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_have_are_not_sent(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"x": value})


def _nested(depth: int) -> bytes:
    return b'{"x":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(("data", "problem"), [
    (b"", "no value at character 0"),
    (b"\xff", "not UTF-8"),
    (b"[]", "not a Varlink message"),
    (b"7", "not a Varlink message"),
    (b'{"x":NaN}', "NaN is no JSON"),
    (b'{"x":-Infinity}', "-Infinity is no JSON"),
    (b'{"x":1e999}', "a number that is too large"),
    (b'{"x":9223372036854775808}', "a number that is too large"),
    (b'{"x":-9223372036854775809}', "a number that is too large"),
    (b'{"x":1' + b"0" * 100_000 + b"}", "a number that is too large"),
    (b'{"x":"\\ud800"}', "a text that is not Unicode"),
    (b'{"\\udfff":1}', "a text that is not Unicode"),
    (_nested(DEPTH_LIMIT + 1), "nested too deeply"),
    (b"[" * 1_000_000, "nested too deeply"),
])
def test_what_is_no_message(data: bytes, problem: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode(data)
    assert str(caught.value) == problem


def test_the_deepest_and_the_largest_that_are_taken() -> None:
    assert decode(_nested(DEPTH_LIMIT))
    assert decode(b'{"x":9223372036854775807,"y":"\\ud83d\\ude00"}') == {"x": 2**63 - 1, "y": "\U0001f600"}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    with suppress(MessageError):
        assert isinstance(decode(data), dict)
