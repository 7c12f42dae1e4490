"""holdfast_lab.call_path: the way of an event through the daemon's files is counted, and stays short."""

from __future__ import annotations

import pytest

from holdfast_lab import call_path
from holdfast_lab.call_path import CallPath


def test_files_count_once_and_steps_into_a_known_file_are_returns() -> None:
    path = CallPath((("a.py", "f"), ("b.py", "g"), ("a.py", "h"), ("c.py", "i"), ("b.py", "g")))
    assert path.files == ["a.py", "b.py", "c.py"]
    assert path.returns == 2


def test_only_the_daemon_s_own_files_count() -> None:
    from holdfast.core import schedule

    path = call_path.record(lambda: ([str(number) for number in range(3)], schedule.restore_wait(1)))
    assert path.steps == (("core/schedule.py", "restore_wait"),)


@pytest.mark.parametrize("trace", [call_path.renewal, call_path.removed_address])
def test_two_runs_take_the_same_way(trace: object) -> None:
    trace()  # type: ignore[operator]  # what is imported at the first use is no step
    assert trace() == trace()  # type: ignore[operator]


def test_a_renewal_s_ack_takes_the_short_way() -> None:
    path = call_path.renewal()
    assert "network/spec.py" in path.files, "the ACK was taken, and the interface configured"
    assert len(path.files) <= 15  # with the one that keeps a disk from holding up the rest
    assert path.returns <= 40


def test_a_removed_address_takes_the_short_way() -> None:
    path = call_path.removed_address()
    assert "core/host.py" in path.files, "the loss was told to the core"
    assert len(path.files) <= 7
    assert path.returns <= 4


def test_the_command_says_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert call_path.main([]) == 0
    said = capsys.readouterr().out
    assert f"a renewal's ACK: {len(call_path.renewal().files)} files" in said
    assert "a removed address: " in said
