"""As many links as patterns take, with the descriptors that the units give the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.runtime.host.hotplug import MAX_SERVED
from holdfast_lab.attack import many
from holdfast_lab.attack.arena import Attack, Scale, fight

pytestmark = pytest.mark.root

#: Links of the test. Each takes as many descriptors as one of ``MAX_SERVED``, so the limit is in proportion.
LINKS = 128
#: All probe their addresses at the same time: one ARP socket more for each link, whatever the machine's pace.
CONFIG = many.CONFIG + '[defaults]\nacd = "strict"\n'
#: What a unit without LimitNOFILE= has (systemd.exec(5)).
USUAL = 1024


def limit_of(unit: str) -> int:
    """LimitNOFILE= of a unit."""
    text = (Path(__file__).parents[2] / "packaging" / "systemd" / unit).read_text(encoding="utf-8")
    told = [line.partition("=")[2] for line in text.splitlines() if line.startswith("LimitNOFILE=")]
    return int(told[0]) if told else USUAL


def test_links_that_bind_at_the_same_moment_have_descriptors_enough() -> None:
    limit = limit_of("holdfast.service") * LINKS // MAX_SERVED
    bound = Attack("many", "links of one agent", lambda arena, _scale: many.held(arena, LINKS, limit, renewals=0),
                   config=CONFIG)
    verdict = fight(bound, Scale(0.0, 0))
    assert verdict.lost == (), verdict.did
