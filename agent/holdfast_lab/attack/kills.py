"""SIGKILL at any moment of any life."""

from __future__ import annotations

import random
import time

from holdfast_lab.attack.arena import Arena, Attack, Scale
from holdfast_lab.attack.scarcity import filled

#: Seconds that a life lasts at the most: the interpreter's start, the stored lease, INIT-REBOOT or a renewal.
LONGEST = 0.8


def kills(arena: Arena, scale: Scale) -> str:
    """Start, and kill at a moment that nobody chose."""
    rng = random.Random(13)
    for _ in range(scale.kills):
        arena.kill()
        arena.start()
        time.sleep(rng.uniform(0.0, LONGEST))  # the moment of the next kill
    return f"{scale.kills:,} kills"


def kills_on_a_full_disk(arena: Arena, scale: Scale) -> str:
    """The same, and nothing can be stored meanwhile."""
    with filled(arena):
        return kills(arena, scale)


ATTACKS = (
    Attack("kills", "kill -9", kills, mortal=True, records=False),
    Attack("kills-full-disk", "kill -9 with a full disk", kills_on_a_full_disk, mortal=True, records=False),
)
