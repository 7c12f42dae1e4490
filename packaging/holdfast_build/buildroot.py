"""The Debian 12 folder in which packages are made: the same tools on every machine, none of them installed.

Built once (needs root, the network and debootstrap) and cached by its recipe; after that without network.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from holdfast_build import mirrors
from holdfast_build.attempts import BuildError, repeated

_RECIPE = Path(__file__).with_name("buildroot.sh")

#: In a mount and process namespace of its own: nothing of it is left, whatever happens. No network either: a build
#: that fetches something is not reproducible.
_ENTER = """
set -e
tree=$1 work=$2; shift 2
mount --bind "$work" "$tree/build"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/tmp"
exec chroot "$tree" /usr/bin/env --chdir=/build "$@"
"""


def buildroot(cache: Path, make: Callable[[Path, Path], None] | None = None) -> Path:
    """The folder, made now if it is not below ``cache``, by ``make(folder, cache)``, ``debootstrap`` unless another is
    given; other processes wait meanwhile. BuildError."""
    if os.geteuid() != 0:
        raise BuildError("a .deb or .rpm is built in a root folder of its own, which needs root: sudo ./dev build")
    recipe = _RECIPE.read_bytes()
    folder = cache / ("build-" + hashlib.sha256(recipe).hexdigest()[:16])
    with locked(cache / "build.lock"):
        if not (folder / "done").exists():
            (make or debootstrap)(folder, cache)
    return folder / "root"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time on this machine; the kernel lets go when it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def enter(root: Path, work: Path, command: list[str], environment: Mapping[str, str]) -> str:
    """Run ``command`` in ``root`` with ``work`` as /build; what it printed. BuildError with that when it failed."""
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/build", **environment}
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "sh", "-c", _ENTER, "enter"]
    done = subprocess.run(
        [*words, str(root), str(work), *command], env=clean, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


def debootstrap(folder: Path, cache: Path) -> None:
    """Make ``folder``: a Debian 12 below its ``root``, and the file ``done`` when all went well. BuildError."""
    if shutil.which("debootstrap") is None:
        raise BuildError("no debootstrap here; install it, or run ./dev build, which fetches it")
    archives = cache / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    sys.stderr.write("build: making a Debian 12 folder for the packaging tools, about 2 minutes\n")

    def clean() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    with tempfile.TemporaryDirectory() as temporary:
        sources, settings = Path(temporary, "sources.list"), Path(temporary, "apt.conf")
        sources.write_text("\n".join(mirrors.sources()) + "\n")
        settings.write_text(mirrors.apt_settings())
        recipe = [_RECIPE, folder / "root", archives, mirrors.keyring(cache.parent / "peers"), sources, settings]
        repeated(
            "making the folder for the packaging tools", ["unshare", "--mount", "sh", *map(str, recipe)], before=clean,
            environment={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
        )
    (folder / "done").touch()
    for other in cache.glob("build-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
