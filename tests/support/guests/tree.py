"""The Debian root folder that every guest starts from, and the disk image made of it. Built once, then cached.

The name of the cache is a hash of the recipe: who changes it gets another tree. ``python -m tests.support.guests``
builds it ahead of the tests and says how far it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from tests.support.guests.place import IMAGES, new_folder

from holdfast_build import mirrors
from holdfast_build.buildroot import locked

_HERE = Path(__file__).parent
_CHANNEL = _HERE / "channel.py"
_RECIPE = _HERE / "recipe.sh"
_LAYER_RECIPE = _HERE / "layer.sh"
#: Debian's releases that there are trees of. The recipe is written for the first one, which guests run if not told.
RELEASES = ("bookworm", "trixie")
_SIZE = "3G"  # of a guest's disk; sparse


class Tree(NamedTuple):
    """Read-only: ``root`` is the lower layer of a container, ``disk`` the backing file of a virtual machine's.

    ``kernels``: the release's own, and a newer one where the mirror has it.
    """

    root: Path
    disk: Path
    kernels: tuple[Kernel, ...]


class Kernel(NamedTuple):
    """A kernel that QEMU loads directly."""

    image: Path
    initrd: Path


def tree(release: str = "bookworm") -> Tree:
    """The cached tree; built now if it is not there, while other processes that want it wait."""
    recipe = _recipe(release)
    folder = IMAGES / hashlib.sha256(recipe.encode() + _CHANNEL.read_bytes()).hexdigest()[:16]
    keep(folder)
    if not (folder / "done").exists():
        with locked(IMAGES / "build.lock"):
            if not (folder / "done").exists():
                _build(folder, release, recipe)
    root = folder / "root"
    releases = sorted((path.name for path in (root / "lib/modules").iterdir()), key=_version)
    boot = root / "boot"
    kernels = tuple(Kernel(boot / f"vmlinuz-{name}", boot / f"initrd.img-{name}") for name in releases)
    return Tree(root, folder / "disk.raw", kernels)


def _recipe(release: str) -> str:
    """Another release has the same packages, but for a newer kernel, which only the first one needs."""
    return _RECIPE.read_text().replace(RELEASES[0], release)


def layer(*packages: str) -> Path:
    """What an overlay has on top of ``tree().root`` when these Debian packages are to be there. Cached as the tree is;
    for what few guests need, so that the others stay what they are."""
    base = tree().root
    recipe = " ".join([base.parent.name, *packages]).encode() + _LAYER_RECIPE.read_bytes()
    folder = IMAGES / ("layer-" + hashlib.sha256(recipe).hexdigest()[:16])
    keep(folder)
    if not (folder / "done").exists():
        with locked(IMAGES / "build.lock"):
            if not (folder / "done").exists():
                _build_layer(folder, base, packages)
    return folder / "root"


def _version(release: str) -> tuple[int, ...]:
    """ "6.1.0-56-cloud-amd64" -> (6, 1)."""
    return tuple(int(number) for number in release.split(".")[:2])


_kept: dict[Path, TextIO] = {}


def keep(folder: Path) -> None:
    """Nobody may remove this folder of the cache while our process lives."""
    if folder not in _kept:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _kept[folder] = folder.with_suffix(".used").open("w")
        fcntl.flock(_kept[folder], fcntl.LOCK_SH)


def remove_unused(names: Iterable[str]) -> None:
    """Remove these folders of the cache that no process keeps: in other working trees they may share the cache."""
    for name in names:
        folder = IMAGES / name
        if folder not in _kept:
            with folder.with_suffix(".used").open("w") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_suffix(".used").unlink()


def _of_release(release: str) -> list[str]:
    """The trees and layers of all recipes for a release."""
    done = [path.parent for path in IMAGES.glob("*/done")]
    marks = {folder: folder / "release" for folder in done}  # those of the first release may have none
    return [folder.name for folder, mark in marks.items()
            if (mark.read_text() if mark.exists() else RELEASES[0]) == release]


def _build(folder: Path, release: str, recipe: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archives = IMAGES / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    size = "about 2 minutes, 350 MB to fetch the first time"
    _say(f"building a tree of Debian's {release} for guests ({size}); log: {log}")
    (folder / "release").write_text(release)
    script = folder / "recipe.sh"
    script.write_text(recipe)
    with _apt(release) as (sources, settings):
        keys = mirrors.keyring(IMAGES.parent / "peers")
        words = ["sh", str(script), str(folder / "root"), str(archives), str(keys), str(sources), str(settings)]
        _run(["unshare", "--mount", "--", *words], log)
    _install_channel(folder / "root")
    _say("making a disk image of it")
    disk = folder / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(_bytes(_SIZE))
    make = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-E", "lazy_itable_init=1,nodiscard"]
    _run([*make, "-L", "root", "-d", str(folder / "root"), str(disk)], log)
    (folder / "done").touch()
    remove_unused(_of_release(release))


def _build_layer(folder: Path, base: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "build.log"
    _say(f"adding {', '.join(packages)} to a view of the guests' tree (half a minute); log: {log}")
    work = new_folder("layer")
    try:
        with _apt() as (sources, settings):
            words = [str(_LAYER_RECIPE), *map(str, (base, work, IMAGES / "archives", sources, settings)), *packages]
            _run(["unshare", "--mount", "--", "sh", *words], log)
        _run(["cp", "--archive", str(work / "upper"), str(folder / "root")], log)
    finally:
        shutil.rmtree(work)
    (folder / "done").touch()


@contextmanager
def _apt(release: str = "bookworm") -> Iterator[tuple[Path, Path]]:
    """This machine's way to Debian's packages of a release, as a sources.list and an apt.conf."""
    with tempfile.TemporaryDirectory() as temporary:
        sources, settings = Path(temporary, "sources.list"), Path(temporary, "apt.conf")
        main, *_ = lines = mirrors.sources()
        # Nothing comes from the backports unless it is named.
        lines.append(main.replace(" bookworm ", " bookworm-backports "))
        sources.write_text("\n".join(lines).replace("bookworm", release) + "\n")
        settings.write_text(mirrors.apt_settings())
        yield sources, settings


def _bytes(text: str) -> int:
    return int(text[:-1]) << 30


def _install_channel(root: Path) -> None:
    """The reader of commands that a virtual machine has, started by systemd before anything else."""
    shutil.copy(_CHANNEL, root / "usr/lib/guest-channel.py")
    unit = root / "etc/systemd/system/guest-channel.service"
    unit.write_text(
        "[Unit]\nDescription=Commands from the test\nDefaultDependencies=no\nConditionVirtualization=vm\n"
        "After=systemd-udev-trigger.service\nBefore=sysinit.target\n"
        "[Service]\nExecStart=/usr/bin/python3 -I /usr/lib/guest-channel.py\nRestart=always\nRestartSec=100ms\n"
        "KillMode=process\nOOMScoreAdjust=-1000\n"
        "[Install]\nWantedBy=sysinit.target\n"
    )
    wants = root / "etc/systemd/system/sysinit.target.wants"
    wants.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (wants / unit.name).symlink_to(f"/etc/systemd/system/{unit.name}")


def _run(command: list[str], log: Path) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )
    if done.returncode != 0:
        tail = log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{command[0]} failed ({done.returncode}) while building the guests' tree:\n{tail}")


def _say(text: str) -> None:
    print(f"guests: {text}", file=sys.stderr, flush=True)
