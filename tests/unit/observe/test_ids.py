"""MESSAGE_IDs: complete, unique, well-formed."""

from __future__ import annotations

import re

from holdfast.core.actions import NoticeCode
from holdfast.core.outcome import Result
from holdfast.observe import ids

ALL = [ids.LINE, ids.TRANSITION, ids.DROPPED, ids.MALFORMED, ids.NOT_RECORDED, *ids.RESULTS.values(),
       *ids.NOTICES.values()]


def test_every_result_and_notice_has_one() -> None:
    assert set(ids.RESULTS) == {result.value for result in Result}
    assert {code.value for code in NoticeCode} <= set(ids.NOTICES)


def test_they_are_unique_and_128_bits_of_hex() -> None:
    assert len({kind.message_id for kind in ALL}) == len(ALL)
    assert all(re.fullmatch("[0-9a-f]{32}", kind.message_id) and 3 <= kind.priority <= 7 for kind in ALL)
