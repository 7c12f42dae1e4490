"""Runs the agent with a disk that fails: ``python -m holdfast_lab.attack.disk FILE fails|hangs ARGUMENTS...``.

While FILE exists, every write and every fsync of a regular file or a folder ends with EIO, or does not end.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from typing import Any


def main() -> int:
    """Patch the calls, then be the agent."""
    switch, way = sys.argv[1:3]
    sys.argv[1:] = sys.argv[3:]

    def stored(fd: int) -> bool:
        return fd > 2 and stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFREG, stat.S_IFDIR)

    def wrapped(real: Any) -> Any:
        def call(fd: int, *rest: Any) -> Any:
            while os.path.exists(switch) and stored(fd):
                if way == "fails":
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                time.sleep(0.05)  # as in an uninterruptible wait for the device
            return real(fd, *rest)

        return call

    for name in ("write", "fsync", "pwrite"):
        setattr(os, name, wrapped(getattr(os, name)))
    from holdfast.runtime.__main__ import main as holdfast  # noqa: PLC0415 - after the patch

    return holdfast()


if __name__ == "__main__":
    sys.exit(main())
