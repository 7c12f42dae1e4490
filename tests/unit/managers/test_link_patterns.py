"""Patterns of link names compared with each other."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.managers.formats.link_patterns import covers, overlaps

PATTERNS = st.text("ab0*?", max_size=6)
NAMES = st.text("ab0", max_size=6)


@pytest.mark.parametrize(("pattern", "links", "expected"), [
    ("en*", "en*", True), ("*", "eth0", True), ("e*", "en*", True), ("en*", "e*", False), ("ens3", "en*", False),
    ("eth0", "eth0", True), ("eth[0-9]", "eth*", False), ("eth?", "eth0", True), ("*" * 100, "eth0", False),
])
def test_covers(pattern: str, links: str, expected: bool) -> None:
    assert covers(pattern, links) is expected


@pytest.mark.parametrize(("one", "other", "expected"), [
    ("en*", "ens3", True), ("en*", "eth*", False), ("e*0", "eth*", True), ("?th0", "eth*", True), ("wl*", "en*", False),
    ("eth[01]", "eth0", True), ("eth[01]", "eth00", False), ("*" * 100, "eth0", True),
])
def test_overlaps(one: str, other: str, expected: bool) -> None:
    assert overlaps(one, other) is expected
    assert overlaps(other, one) is expected


@given(PATTERNS, PATTERNS, NAMES)
def test_they_never_contradict_a_name(one: str, other: str, name: str) -> None:
    if fnmatchcase(name, one) and fnmatchcase(name, other):
        assert overlaps(one, other)
    if covers(one, other) and fnmatchcase(name, other):
        assert fnmatchcase(name, one)
