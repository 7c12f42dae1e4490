"""Build the guests' tree and its layers ahead of the tests: ``python -m tests.support.guests``."""

import sys

from tests.support import repositories, workshop
from tests.support.guests.place import why_not
from tests.support.guests.tree import layer

if __name__ == "__main__":
    reason = why_not()
    if reason is None:
        # And below them the tree.
        for packages in (repositories.PACKAGES, workshop.PACKAGES, ("resolvconf",), ("python3-apt",)):
            layer(*packages)
    else:
        print(f"guests: {reason}", file=sys.stderr)
