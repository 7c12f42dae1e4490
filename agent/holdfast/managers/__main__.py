"""``python -I -m holdfast.managers [--without-binds]``: make the overlay of this machine, before the managers start.

The unit holdfast-overlay.service runs it at each boot, and again when a manager's files change; so do drop-ins of
managers that need it before each start. It imports little, because a boot waits for it. In a sandbox
mounts would be the program's own; then they are only recorded, and another program makes them.

Exit statuses: 0 done, also when links are refused; 1 a system error, and the overlay is as it was; 2 arguments; 6 a
wrong list or configuration, and the overlay is as it was.
"""

from __future__ import annotations

import sys

from holdfast.escape import printable
from holdfast.managers import overlay, served_links
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.tree import Tree
from holdfast.settings import SettingsError

WITHOUT_BINDS = "--without-binds"
FAILED, WRONG_USAGE, WRONG_CONFIGURATION = 1, 2, 6


def main(argv: list[str] | None = None, root: str = "/") -> int:
    """Make the overlay; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv not in ([], [WITHOUT_BINDS]):
        return _end(WRONG_USAGE, f"usage: python -m holdfast.managers [{WITHOUT_BINDS}]")
    try:
        tree = Tree(root)
        computed = overlay.compute(tree, served_links.read(tree))
        overlay.write(computed, root, binds=not argv)
    except SettingsError as error:
        return _end(WRONG_CONFIGURATION, *error.problems)
    except (overlay.OverlayError, FormatError, OSError) as error:
        return _end(FAILED, str(error))
    for one in computed.links:
        for line in one.refusals:
            _end(0, f"{one.link.name} stays with its former client: {line}")
    return 0


def _end(status: int, *lines: str) -> int:
    """Write ``lines`` to stderr; returns ``status``."""
    for line in lines:
        sys.stderr.write(f"holdfast: {printable(line)}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
