"""What the command ``holdfast`` starts: the daemon itself where it is ``run`` for interfaces that are there, the bare
wait for what is to be online at boot, and else the command line.

Somebody who waits for an address need not wait for the command line's libraries, and for a second interpreter, too.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run what sys.argv says; the exit status."""
    command, words = sys.argv[1:2], sys.argv[2:]
    if command == ["run"] and words and can_serve(words) and isolated():
        from holdfast.runtime.__main__ import main as serve  # noqa: PLC0415

        return serve(words)
    if command == ["wait-online"] and words in ([], ["--publish"]):
        from holdfast.online import main as wait_online  # noqa: PLC0415

        return wait_online(publish=bool(words))
    from holdfast.cli import main as command_line  # noqa: PLC0415 - click

    return command_line()


def can_serve(words: list[str]) -> bool:
    """Whether ``words`` are interfaces that are there, and we may configure them: nothing that ``holdfast run`` has to
    explain."""
    from _socket import if_nameindex  # noqa: PLC0415

    from holdfast.capabilities import missing_capabilities  # noqa: PLC0415

    present = {name for _, name in if_nameindex()}
    return os.geteuid() == 0 and present.issuperset(words) and not missing_capabilities()


def isolated() -> bool:
    """Whether the installation alone says from where modules are imported, as with ``python -I``: neither the
    environment nor the user's own packages do. The script's folder, which a script of ``pip`` has there, is taken off.
    """
    if sys.flags.isolated:
        return True
    site = sys.modules.get("site")
    if any(name.startswith("PYTHON") for name in os.environ) or getattr(site, "USER_SITE", None) in sys.path:
        return False
    if sys.path[0] != os.path.dirname(os.path.realpath(sys.argv[0])):
        return False  # not a script: python -m
    del sys.path[0]
    return True
