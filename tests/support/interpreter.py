"""A fresh interpreter as a user has it."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """The environment without coverage's variables: what it loads would show in sys.modules."""
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
