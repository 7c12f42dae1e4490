"""The result of one check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from holdfast.escape import printable

OK = "ok"
#: Worth knowing; nothing has to be done.
NOTE = "note"
#: Something has to be done.
BAD = "BAD"
#: The name of the check for other programs that configure our links.
CHECK = "second-client"
#: Version of ``document``; members are only added within one.
SCHEMA_VERSION = 1
_ORDER = (BAD, NOTE, OK)


class Finding(NamedTuple):
    """``check`` is its short name, which never changes; ``text`` the cause in one line; ``todo`` what to do about it;
    ``evidence`` the facts that show it, a line each; ``interface`` the link that it is about, None for the machine."""

    check: str
    status: str
    text: str
    todo: str = ""
    evidence: tuple[str, ...] = ()
    interface: str | None = None

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


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; among equals the order of the checks, which goes from the cable to the server."""
    return sorted(findings, key=lambda finding: _ORDER.index(finding.status))


def worst(findings: Iterable[Finding]) -> str:
    """The worst verdict of all: OK, NOTE or BAD."""
    return min((finding.status for finding in findings), key=_ORDER.index, default=OK)


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """All findings for programs: ``{"schema": "io.holdfast.doctor", "version": 1, "verdict": ..., "findings": [...]}``.
    A verdict is "ok", "note" or "bad"; a finding has the members of Finding, with ``cause`` for ``text``."""
    return {
        "schema": "io.holdfast.doctor",
        "version": SCHEMA_VERSION,
        "verdict": worst(findings).lower(),
        "findings": [{
            "check": finding.check, "verdict": finding.status.lower(), "interface": finding.interface,
            "cause": finding.text, "evidence": list(finding.evidence), "todo": finding.todo,
        } for finding in findings],
    }
