"""The wanted state of an interface, and its configuration in the kernel.

``spec.py`` (lease -> NetworkSpec) and ``plan.py`` (the difference) are pure; ``kernel.py`` performs and reads
back; ``watch.py`` reports what other programs changed; ``rtnl.py`` has the messages of all three.
"""


class LinkError(OSError):
    """An interface cannot be used. One line: which, why, and what to do."""


class KernelError(Exception):
    """The kernel did not do, or does not hold, what was asked. One line that names the operation.

    ``errno`` is the kernel's code, None when there was none (read back and found missing, no answer).
    """

    def __init__(self, text: str, errno: int | None = None) -> None:
        super().__init__(text)
        self.errno = errno


class ResolverError(Exception):
    """Name servers could not be published or withdrawn. One line. ``temporary``: worth another try soon."""

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        super().__init__(text)
        self.temporary = temporary
