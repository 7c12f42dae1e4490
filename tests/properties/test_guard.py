"""The guard's machine against any order of events: what it sends, and what it never sends."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.guarded import OTHER, OURS, SERVER, Scene

from holdfast.guard.actions import Rebroadcast
from holdfast.guard.events import Seen
from holdfast.guard.machine import IGNORE_FOREIGN_NAKS
from holdfast.wire import message as m

STEPS = st.tuples(
    st.sampled_from(["unicast", "copy", "broadcast", "discover", "release", "ack", "nak", "offer", "configured",
                     "forever", "stored", "removed", "sleep"]),
    st.sampled_from([1, 2]),
    st.sampled_from([0.0, 0.3, 1.0, 1.7, 26.0, 61.0]),
)


@given(st.sampled_from(["dhclient", "networkd", "udhcpc", "unknown"]), st.lists(STEPS, max_size=30))
def test_a_repeat_has_its_unanswered_unicast(client: str, steps: list[tuple[str, int, float]]) -> None:
    scene = Scene(client)
    scene.acquire()
    sent: list[tuple[float, int, bool]] = []  # of the client's REQUESTs: when, which, by unicast
    answered, released, last, ended = set[int](), False, 0, True
    for seconds, (what, xid, wait) in enumerate(steps):
        before = len(scene.repeats)
        if what in ("unicast", "broadcast"):
            to = SERVER if what == "unicast" else m.BROADCAST
            sent.append((scene.now, xid, what == "unicast"))
            answered.discard(xid)
            last, ended = seconds, False
            scene.send(xid=xid, to=to, secs=seconds, seen=Seen.OUTPUT)
        elif what == "copy" and sent and sent[-1][2] and scene.now - sent[-1][0] < 5 and not ended:
            scene.send(xid=sent[-1][1], secs=last, seen=Seen.WIRE)
        elif what == "discover":
            scene.send(m.DISCOVER, ciaddr=m.ANY, to=m.BROADCAST, xid=xid)
            sent.append((scene.now, 0, False))
        elif what == "release":
            scene.send(m.RELEASE)
            released = ended = True
        elif what in ("ack", "nak", "offer"):
            server: IPv4Address = SERVER if xid == 1 else OTHER
            scene.reply({"ack": m.ACK, "nak": m.NAK, "offer": m.OFFER}[what], xid=xid, server=server)
            if what == "ack" or (what == "nak" and (xid == 1 or client not in IGNORE_FOREIGN_NAKS)):
                answered.add(xid)
            released = released and what != "ack"
            ended = True  # the exchange may be; then a copy would begin another
        elif what in ("configured", "forever"):
            scene.configured(60 if what == "configured" else inf)
        elif what == "stored":
            scene.stored(ago=wait)
            ended = True
        elif what == "removed":
            scene.removed()
        scene.sleep(wait)
        for at, repeat in scene.repeats[before:]:
            _check(repeat, at, sent, answered)
            assert not released
    times = [at for at, _ in scene.repeats]
    assert all(b - a >= 1.0 for a, b in pairwise(times)), "at most one a second"
    assert len(times) <= sum(unicast for _, _, unicast in sent), "at most one for each message"
    assert len({repeat.payload for _, repeat in scene.repeats}) == len(times)


def _check(repeat: Rebroadcast, at: float, sent: list[tuple[float, int, bool]], answered: set[int]) -> None:
    message = m.decode(repeat.payload)
    when, xid, unicast = sent[-1]
    assert unicast, "the client's own broadcast is the last"
    assert (message.xid, message.ciaddr) == (xid, OURS)
    assert 1.0 <= at - when <= 25.0, "within 25 s of it"
    assert xid not in answered
    assert repeat.source in (OURS, m.ANY)
