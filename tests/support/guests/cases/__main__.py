"""The command of ``./dev guests``."""

import sys

from tests.support.guests.cases.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
