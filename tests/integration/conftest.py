"""Real servers, real namespaces: these tests need root."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.bench import Bench
from tests.support.servers import SERVERS, Service, missing

MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    """Make the test's bench; it is taken down after the test, and its logs are shown if the test failed."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    benches: list[Bench] = []

    def make(server: str = "dhcpd", service: Service | None = None) -> Bench:
        reason = missing(SERVERS[server])
        if reason is not None:
            pytest.skip(reason)
        benches.append(Bench(server, tmp_path / str(len(benches)), service))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()
        print(f"--- the daemon said:\n{bench.agent.said()}")
        if bench.server.log.exists():
            print(f"--- {bench.server.name} said:\n{bench.server.log.read_text(errors='replace')[-6000:]}")


@pytest.fixture(params=sorted(SERVERS))
def any_bench(request: pytest.FixtureRequest, make_bench: MakeBench) -> Bench:
    """The same test once with each server."""
    return make_bench(request.param)
