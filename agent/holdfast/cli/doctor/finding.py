"""One thing that was looked at."""

from __future__ import annotations

from typing import NamedTuple

OK = "ok"
#: Worth knowing; nothing has to be done.
NOTE = "note"
#: Something has to be done.
BAD = "BAD"


class Finding(NamedTuple):
    """``check`` is its short name, which never changes; ``text`` what was found; ``todo`` what to do about it."""

    check: str
    status: str
    text: str
    todo: str = ""

    @property
    def line(self) -> str:
        """Text and advice as one line, without anything that a terminal would obey: names come from an image."""
        whole = f"{self.text}; {self.todo}" if self.todo else self.text
        return "".join(char if char.isprintable() else "?" for char in whole)
