"""Images for tests: the guests' tree with a layer on top, worked on in a chroot, then booted as a container's disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.guests import ROOT, Disk, Files, Variant, tree
from tests.support.guests.files import write
from tests.support.guests.place import new_folder
from tests.support.guests.variants import seed_files, variant_files

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.netns import MS_BIND, MS_REC, Namespace, mount

_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class ImageRoot:
    """A root folder as an image builder has it before it packs it: a context manager. ``root`` can be seen only from
    within its mount namespace, ``run`` is in the chroot, ``outside`` beside it. ``layers``: see ``guests.layer``."""

    def __init__(
        self, variant: Variant, *, seed: Mapping[str, str] | None = None, files: Files | None = None,
        layers: Sequence[Path] = (),
    ) -> None:
        self.folder = new_folder("image")
        self.root = self.folder / "root"
        self._upper, self._work = self.folder / "upper", self.folder / "work"
        for path in (self.root, self._upper, self._work):
            path.mkdir()
        self._space = Namespace("image", private_files=False)
        lower = ":".join(map(str, [*layers, tree().root]))
        options = f"lowerdir={lower},upperdir={self._upper},workdir={self._work}"
        content = {**variant_files(variant, configured=False), **seed_files(seed), **(files or {})}

        def prepare() -> None:
            mount("overlay", str(self.root), "overlay", 0, options)
            write(self.root, content)
            mount("proc", str(self.root / "proc"), "proc", 0)
            mount("/dev", str(self.root / "dev"), None, MS_BIND | MS_REC)

        self._space.run(prepare)

    def outside(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: bytes = b"", timeout: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """A program of this machine that sees ``root``."""
        process = self._space.popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**_PATH, **(env or {})}
        )
        out, err = fair_time.communicate(process, timeout, stdin)
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: bytes = b"", timeout: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """A program of the image, in a chroot."""
        return self.outside(["chroot", str(self.root), *argv], env=env, stdin=stdin, timeout=timeout)

    def bring(self, source: Path, target: str) -> None:
        """Copy a file or folder of this machine into the image."""
        place = self.root / target.lstrip("/")

        def copy() -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True, symlinks=True)
            else:
                shutil.copy2(source, place)

        self._space.run(copy)

    def write(self, files: Files) -> None:
        """Files of the test's own; what was there is replaced."""
        self._space.run(lambda: write(self.root, files))

    def doctor(self, *options: str) -> tuple[int, str]:
        """``holdfast doctor --image`` of this working tree, run outside the image: exit status and text."""
        program = "import sys; from holdfast.cli import main; sys.exit(main(sys.argv[1:]))"
        argv = [sys.executable, "-c", program, "doctor", "--image", str(self.root), *options]
        done = self.outside(argv, env={"PYTHONPATH": str(ROOT / "agent")})
        return done.returncode, (done.stdout + done.stderr).decode()

    def disk(self) -> Disk:
        """What a container's disk is made of; nothing can be run in the image any more."""
        self._space.close()
        return Disk(self._upper)

    def __enter__(self) -> ImageRoot:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):
            self._space.close()
        shutil.rmtree(self.folder)
