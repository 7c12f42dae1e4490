"""runtime.listeners: whoever leaves while it is told is no trouble."""

from __future__ import annotations

from holdfast.runtime.listeners import Listeners


def test_everybody_is_told_until_he_leaves() -> None:
    listeners, heard = Listeners(), []
    leave = listeners.add(lambda what: (heard.append(("first", what)), leave()))  # type: ignore[func-returns-value]
    stay = listeners.add(lambda what: heard.append(("second", what)))
    listeners.tell(1)
    listeners.tell(2)
    leave()
    stay()
    listeners.tell(3)
    assert heard == [("first", 1), ("second", 1), ("second", 2)]
