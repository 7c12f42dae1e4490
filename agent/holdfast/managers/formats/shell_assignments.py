"""Files of assignments that shell scripts or systemd read: ifcfg files, /etc/default/..., EnvironmentFile=."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)$")


def assignments(text: str) -> Mapping[str, str]:
    """Name -> value of the plain assignments, the last one of a name; quotes are taken off, and nothing is expanded. A
    line with a quotation mark without its end is skipped."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _ASSIGNMENT.match(line)
        if match is None:
            continue
        try:
            words = shlex.split(match.group(2), comments=True)
        except ValueError:
            continue
        found[match.group(1)] = words[0].strip() if words else ""
    return found
