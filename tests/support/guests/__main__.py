"""Build the guests' tree ahead of the tests: ``python -m tests.support.guests``."""

from tests.support.guests.tree import tree

if __name__ == "__main__":
    tree()
