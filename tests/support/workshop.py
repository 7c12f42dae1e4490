"""The tools that make images, as Debian packages them: on top of the guests' tree, in namespaces of their own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence

from tests.support.guests import File, Files, layer, tree
from tests.support.guests.files import write
from tests.support.guests.place import CGROUP, mount_cgroups, remove_cgroup
from tests.support.images import ImageRoot

from holdfast_lab.testbed.netns import MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, mount

#: sudo: disk-image-create calls it, root or not.
PACKAGES = ("mkosi", "python3-diskimage-builder", "sudo")
#: The first process of a PID namespace, with whose end the kernel ends the rest: a member of the cgroup $1, where
#: mkosi's containers make theirs, then in the root $2.
_WRAPPER = """
mkdir "/sys/fs/cgroup/$1" && echo 0 >"/sys/fs/cgroup/$1/cgroup.procs" || exit
mount -t proc proc "$2/proc" || exit
root=$2
shift 2
chroot "$root" "$@"
"""


class Workshop(ImageRoot):
    """A machine that makes images: a context manager. It sees ``work`` as /srv, and the guests' tree as /mnt, which it
    cannot change; no network leads out of it."""

    def __init__(self) -> None:
        hosts = File(f"127.0.0.1 localhost {socket.gethostname()}\n")  # sudo looks its machine up
        super().__init__("bare", layers=[layer(*PACKAGES)], files={"/etc/hosts": hosts})
        self.work = self.folder / "srv"
        self.work.mkdir()

        def prepare() -> None:
            mount_cgroups()
            mount("/sys", str(self.root / "sys"), None, MS_BIND | MS_REC)
            mount(str(self.work), str(self.root / "srv"), None, MS_BIND)
            mount(str(tree().root), str(self.root / "mnt"), None, MS_BIND)
            mount("none", str(self.root / "mnt"), None, MS_REMOUNT | MS_BIND | MS_RDONLY)

        self._space.run(prepare)

    def put(self, files: Files, place: str = "") -> None:
        """Write files below ``work``."""
        write(self.work / place, files)

    def build(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 240
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one of the tools, in /srv; standard output has everything it said."""
        cgroup = CGROUP + self.folder.name
        space = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--", "sh", "-c", _WRAPPER, "sh"]
        inside = [cgroup, str(self.root), "sh", "-c", 'cd /srv && exec "$@" 2>&1', "sh", *argv]
        try:
            return self.outside([*space, *inside], env={"USER": "root", **(env or {})}, timeout=timeout)
        finally:
            self._space.run(lambda: remove_cgroup(cgroup))
