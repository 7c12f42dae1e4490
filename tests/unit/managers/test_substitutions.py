"""A copy of a configuration keeps the lines that it replaces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.managers.formats import substitutions
from holdfast.managers.formats.substitutions import Substitution

TEXT = "a\nb\nc\n"
PLACES = st.dictionaries(st.sampled_from([0, 2, 4, 6]), st.builds(
    Substitution, st.integers(0, 1), st.lists(st.sampled_from(["x", "", "\ty"]), min_size=1).map(tuple)))


@given(st.lists(st.sampled_from(["a", "", "#b", "c \\"]), min_size=8).map("\n".join), PLACES)
def test_a_copy_has_its_original(text: str, places: dict[int, Substitution]) -> None:
    copied = substitutions.copy(text, places)
    assert substitutions.original(copied) == text
    assert substitutions.merged(copied, copied) == copied
    assert substitutions.merged(copied, text) == substitutions.merged(text, copied) == copied


def test_two_copies_of_one_file_are_one() -> None:
    first = substitutions.copy(TEXT, {0: Substitution(1, ("A",)), 3: Substitution(0, ("end",))})
    second = substitutions.copy(TEXT, {2: Substitution(1, ("C",)), 3: Substitution(0, ("more",))})
    both = {0: Substitution(1, ("A",)), 2: Substitution(1, ("C",)), 3: Substitution(0, ("end", "more"))}
    assert substitutions.merged(first, second) == substitutions.copy(TEXT, both)
    assert substitutions.merged(first, substitutions.copy(TEXT, {0: Substitution(1, ("B",))})) is None
    assert substitutions.merged(first, "another text\n") is None


def test_a_text_that_only_looks_like_a_copy_is_its_own_original() -> None:
    assert substitutions.original("#holdfast{\n#holdfast: a\n") == "#holdfast{\n#holdfast: a\n"
