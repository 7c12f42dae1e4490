"""Files in sections: systemd's (systemd.syntax(7)) and GLib's key files, which NetworkManager has."""

from __future__ import annotations

import re
from collections.abc import Iterator


def settings(text: str) -> Iterator[tuple[str, str, str]]:
    """(section, key, value) of each assignment in order; blanks around them and comments (# and ;) are left out. A line
    that ends with a backslash goes on in the next one, with a space between; comments may stand between them."""
    for section, assignments in sections(text):
        for key, value in assignments:
            yield section, key, value


def sections(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each section by itself, also of those with one name: its name, and the (key, value) of its assignments."""
    found: list[tuple[str, list[tuple[str, str]]]] = [("", [])]
    before = ""
    for line in (*text.splitlines(), ""):
        if line.lstrip()[:1] in ("#", ";"):
            continue
        if line.endswith("\\"):
            before += line[:-1] + " "
            continue
        whole, before = (before + line).strip(), ""
        if whole.startswith("[") and whole.endswith("]"):
            found.append((whole[1:-1], []))
        elif "=" in whole:
            key, _, value = whole.partition("=")
            found[-1][1].append((key.strip(), value.strip()))
    return found


def is_on(value: str | None) -> bool:
    """True if ``value`` is a yes of systemd.syntax(7); network-scripts have no other."""
    return (value or "").lower() in ("1", "yes", "y", "true", "t", "on")


def is_off(value: str | None) -> bool:
    """True if ``value`` is a no of systemd.syntax(7); network-scripts have no other."""
    return (value or "").lower() in ("0", "no", "n", "false", "f", "off")


def items(value: str) -> list[str]:
    """The items of a list of NetworkManager's, between semicolons or commas (NetworkManager.conf(5))."""
    return [item for item in re.split("[;,]", value) if item]
