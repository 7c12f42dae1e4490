"""Exit statuses, one for each kind of failure. They do not change: scripts rely on them."""

from __future__ import annotations

import click

from holdfast.escape import printable

OK = 0
FAILED = 1
USAGE = 2
NO_AGENT = 3
NO_INTERFACE = 4
NOT_PERMITTED = 5
CONFIGURATION = 6

EPILOG = """\
\b
Exit status:
  0  done
  1  the operation failed (a renewal that nobody answered, a file that cannot be read)
  2  wrong usage
  3  no agent is running for the interface
  4  no such interface, or one that cannot be used
  5  not permitted
  6  the configuration is wrong
  7  another agent serves the interface
"""


class CliError(click.ClickException):
    """Ends the command with each of ``lines`` on stderr and ``status``; a line break in one of them is escaped."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))
        self.status = status
