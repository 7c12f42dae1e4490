"""Build the guests' tree and its layer ahead of the tests: ``python -m tests.support.guests``."""

import sys

from tests.support.guests.place import why_not
from tests.support.guests.tree import layer
from tests.support.repositories import PACKAGES

if __name__ == "__main__":
    reason = why_not()
    if reason is None:
        layer(*PACKAGES)  # and below it the tree
    else:
        print(f"guests: {reason}", file=sys.stderr)
