"""json_text: what `json` reads and writes, by the same C functions; `json` is the witness."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_what_json_writes(value: object) -> None:
    assert json_text.dumps(value) == json.dumps(value)
    assert json_text.dumps(value, spaces=False) == json.dumps(value, separators=(",", ":"))


@given(VALUES)
def test_what_json_writes_is_read(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False), f"\r\n\t {json.dumps(value)} \n"):
        data = text.encode(errors="surrogatepass")
        try:
            wanted = json.loads(data.decode())
        except UnicodeDecodeError:
            with pytest.raises(ValueError, match="decode"):
                json_text.loads(data)
        else:
            assert json_text.loads(data) == wanted


@given(st.binary(max_size=40) | st.text(alphabet='[]{}",:0123456789.eE+-truefalsn\\u \n', max_size=40).map(str.encode))
def test_what_json_does_not_read_is_a_value_error(data: bytes) -> None:
    try:
        wanted = json.loads(data.decode())
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            json_text.loads(data)
    else:
        assert json_text.loads(data) == wanted


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity"])
def test_a_number_that_is_none_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSON"):
        json_text.loads(text.encode())


@pytest.mark.parametrize(("value", "error"), [
    (math.nan, ValueError), ([math.inf], ValueError), (object(), TypeError), ({"a": b"x"}, TypeError),
])
def test_what_is_no_json_is_not_written(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        json_text.dumps(value)


def test_two_values_are_none_and_depth_is_bounded() -> None:
    with pytest.raises(ValueError, match="more than one value, at character 1"):
        json_text.loads(b"1 2")
    with pytest.raises(RecursionError):
        json_text.loads(b"[" * 100_000)
