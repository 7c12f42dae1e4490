"""The metric of an interface for which nobody has set one."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.network.spec import DEFAULT_METRIC
from holdfast.runtime.factory import FIRST_METRIC
from holdfast.state.inventory import by_interface, rename
from holdfast.state.route_metrics import RouteMetrics


def test_two_interfaces_have_different_ones_in_the_order_of_their_appearance(tmp_path: Path) -> None:
    # rule 97
    metrics = RouteMetrics(str(tmp_path), FIRST_METRIC)
    metrics.appeared("eth0")
    metrics.appeared("eth1")
    assert (metrics.of("eth1"), metrics.of("eth0"), metrics.of("eth2")) == (101, 100, 102)


def test_they_are_kept_over_restarts_whatever_the_order(tmp_path: Path) -> None:
    # rule 97
    RouteMetrics(str(tmp_path), FIRST_METRIC).of("eth0")
    RouteMetrics(str(tmp_path), FIRST_METRIC).of("eth1")
    later = RouteMetrics(str(tmp_path), FIRST_METRIC)
    assert (later.of("eth2"), later.of("eth1"), later.of("eth0")) == (102, 101, 100)


def test_a_renamed_interface_takes_it_along(tmp_path: Path) -> None:
    # rule 97
    RouteMetrics(str(tmp_path), FIRST_METRIC).of("eth0")
    RouteMetrics(str(tmp_path), FIRST_METRIC).of("eth1")
    rename(str(tmp_path), "eth1", "ens4")
    assert RouteMetrics(str(tmp_path), FIRST_METRIC).of("ens4") == 101
    assert set(by_interface(str(tmp_path))) == {"eth0", "ens4"}


@pytest.mark.parametrize("content", [
    b"", b"-1\n", b"4294967296\n", "\u0663\n".encode(), b"x" * 100, b"10", b"101",  # cut
    b"99\n",  # none that we gave
])
def test_a_file_that_holds_no_metric_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "eth0.metric").write_bytes(content)
    assert RouteMetrics(str(tmp_path), FIRST_METRIC).of("eth0") == 100
    assert (tmp_path / "eth0.metric").read_bytes() == b"100\n"


def test_without_a_folder_they_differ_all_the_same() -> None:
    metrics = RouteMetrics("/proc/no-such-folder", FIRST_METRIC)
    assert (metrics.of("eth0"), metrics.of("eth1"), metrics.of("eth0")) == (100, 101, 100)


def test_the_first_is_the_one_that_a_lease_has_by_default() -> None:
    assert FIRST_METRIC == DEFAULT_METRIC
