"""What the command ``holdfast`` starts: the daemon itself where it is ``run`` for interfaces that are there, and else
the command line.

Somebody who waits for an address need not wait for the command line's libraries, and for a second interpreter, too.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run what sys.argv says; the exit status."""
    command, words = sys.argv[1:2], sys.argv[2:]
    if command == ["run"] and words and sys.flags.isolated and can_serve(words):
        from holdfast.runtime.__main__ import main as serve  # noqa: PLC0415

        return serve(words)
    from holdfast.cli import main as command_line  # noqa: PLC0415 - click

    return command_line()


def can_serve(words: list[str]) -> bool:
    """Whether ``words`` are interfaces that are there, and we may configure them: nothing that ``holdfast run`` has to
    explain."""
    from _socket import if_nameindex  # noqa: PLC0415

    from holdfast.capabilities import missing_capabilities  # noqa: PLC0415

    present = {name for _, name in if_nameindex()}
    return os.geteuid() == 0 and present.issuperset(words) and not missing_capabilities()
