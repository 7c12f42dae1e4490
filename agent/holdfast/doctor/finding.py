"""The result of one check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from holdfast.escape import printable

OK = "ok"
#: Worth knowing; nothing has to be done.
NOTE = "note"
#: Something has to be done.
BAD = "BAD"
#: The name of the check for other programs that configure our links.
CHECK = "second-client"


class Finding(NamedTuple):
    """``check`` is its short name, which never changes; ``text`` what was found; ``todo`` what to do about it."""

    check: str
    status: str
    text: str
    todo: str = ""

    @property
    def line(self) -> str:
        """Text and advice as one line, escaped, because names come from an image."""
        whole = f"{self.text}; {self.todo}" if self.todo else self.text
        return printable(whole)


def verdict(
    name: str, links: Sequence[str], claim: Callable[[str], str | None], todo: str | Callable[[str], str]
) -> Iterator[Finding]:
    """A BAD finding for each of ``links`` that the manager called ``name`` would configure, or one OK finding for all.
    ``claim`` returns why it would configure a link, None when it would not; ``todo`` says what to do about it, for all
    links or for one."""
    wrong = [(link, why) for link in links if (why := claim(link))]
    for link, why in wrong:
        advice = todo if isinstance(todo, str) else todo(link)
        yield Finding(CHECK, BAD, f"{name} would configure {link} too: {why}", advice)
    if not wrong:
        yield Finding(CHECK, OK, f"{name} leaves {' '.join(links)} alone")
