"""The one error of the formats."""

from __future__ import annotations


class FormatError(Exception):
    """A file of another program that cannot be understood, or is larger than is read: one line that names it and says
    what to do, without a full stop. The doctor reports it; a take-over is refused.
    """
