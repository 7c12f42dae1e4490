"""CHANGELOG.md in the words of dpkg and rpm. It stays the one place where changes are written down."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import NamedTuple

MAINTAINER = "The Holdfast authors <holdfast@holdfast.invalid>"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Release(NamedTuple):
    """One release; ``released`` is None for what is not released yet."""

    version: str | None
    released: datetime | None
    changes: list[str]


def read(markdown: str) -> list[Release]:
    """The releases of a changelog in the format of Keep a Changelog, newest first."""
    releases: list[Release] = []
    for line in markdown.splitlines():
        heading = re.match(r"## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?", line)
        if heading:
            date, version = heading["date"], heading["version"]
            released = datetime.fromisoformat(date).replace(hour=12, tzinfo=timezone.utc) if date else None
            releases.append(Release(None if version == "Unreleased" else version, released, []))
        elif releases and line.startswith("- "):
            releases[-1].changes.append(line[2:])
        elif releases and line.startswith("  ") and releases[-1].changes:
            releases[-1].changes[-1] += " " + line.strip()
    return [release for release in releases if release.changes]


def for_dpkg(markdown: str, version: str, when: int) -> str:
    """debian/changelog (deb-changelog(5)). Unreleased changes belong to ``version``, of Unix time ``when``."""
    return "\n".join(
        f"holdfast ({name}) unstable; urgency=medium\n\n{_items(changes, '  * ')}\n\n -- {MAINTAINER}  {_rfc2822(at)}\n"
        for name, at, changes in _entries(markdown, version, when)
    )


def for_rpm(markdown: str, version: str, when: int) -> str:
    """The %changelog of a spec file; "%" is doubled, because rpm would expand macros here."""
    return "\n".join(
        f"* {_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at.day:02d} {at.year} {MAINTAINER} - {name}\n"
        f"{_items([change.replace('%', '%%') for change in changes], '- ')}\n"
        for name, at, changes in _entries(markdown, version, when)
    )


def _entries(markdown: str, version: str, when: int) -> Iterator[tuple[str, datetime, list[str]]]:
    """The package's version, its time and its changes; the newest are those of ``version``, of Unix time ``when``.

    A release with the version of the package is part of the newest entry: dpkg and rpm want each version once.
    """
    newest, *others = read(markdown)
    same = [release for release in others if release.version == version.rpartition("-")[0]]
    changes = [change for release in (newest, *same) for change in release.changes]
    yield version, datetime.fromtimestamp(when, timezone.utc), changes
    for release in others:
        if release.released is not None and release not in same:
            yield f"{release.version}-1", release.released, release.changes


def _items(changes: list[str], bullet: str) -> str:
    """A paragraph for each."""
    return "\n".join(
        textwrap.fill(change, 78, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False,
                      break_on_hyphens=False)
        for change in changes
    )


def _rfc2822(at: datetime) -> str:
    # Not strftime: its names follow the locale.
    return f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} +0000"
