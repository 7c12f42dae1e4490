"""All checks of a tree of files: for an image, and as far as they apply for a running guest."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.doctor import installed, leftovers
from holdfast.doctor.finding import Finding
from holdfast.doctor.rivals import check_rivals
from holdfast.managers.formats.tree import Tree


def check(root: str) -> Iterator[Finding]:
    """Check whether the image at ``root`` is ready to be used. Raises OSError when it cannot be read."""
    tree = Tree(root)
    try:
        yield from next_boot(tree, booted=False)
        yield from leftovers.check_state(tree)
        yield from leftovers.check_machine_id(tree)
    finally:
        tree.close()


def next_boot(tree: Tree, *, booted: bool) -> Iterator[Finding]:
    """Check what is installed, and which client would serve which link after the next boot."""
    yield from installed.check_package(tree, live=booted)
    yield from installed.check_user(tree)
    yield from installed.check_configuration(tree)
    yield from installed.check_units(tree, live=booted)
    links = installed.served(tree)
    if links:
        yield from check_rivals(tree, links, booted=booted)
        yield from installed.check_wait(tree)
    yield from installed.check_former(tree)
    yield from installed.check_cloud_init(tree)
