"""Build the guests' tree ahead of the tests: ``python -m tests.support.guests``."""

import sys

from tests.support.guests.place import why_not
from tests.support.guests.tree import tree

if __name__ == "__main__":
    reason = why_not()
    if reason is None:
        tree()
    else:
        print(f"guests: {reason}", file=sys.stderr)
