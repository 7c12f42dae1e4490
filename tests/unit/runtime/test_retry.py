"""runtime.retry."""

from __future__ import annotations

from holdfast.runtime.retry import Backoff


def test_pauses_double_up_to_the_longest_and_start_over_after_a_success() -> None:
    backoff = Backoff(1.0, 5.0)
    assert not backoff.succeeded()
    assert [backoff.failed() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.failures == 5
    assert backoff.succeeded()
    assert backoff.failed() == 1.0
