"""Holdfast in a guest: the files of the package, from the sources as they are, and what its scripts do with them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.guests.files import File
from tests.support.guests.guest import Guest
from tests.support.guests.place import IMAGES, ROOT
from tests.support.guests.tree import keep, remove_unused, tree

from holdfast_build.buildroot import locked

_PACKAGING = ROOT / "packaging"

#: The overlay's time at a boot, for tests that are not about whether five seconds do on a machine that runs others
#: beside them: after these the former client would boot. Not below /etc, where a removal must leave nothing.
UNHURRIED = {
    "/usr/local/lib/systemd/system/holdfast-overlay.service.d/50-unhurried.conf":
        File("[Service]\nTimeoutStartSec=60\n"),
}

#: $1: the guests' root, $2: the package's, which becomes / for the names in the byte-code.
_COMPILE = 'mount --bind "$2" "$1/mnt"; chroot "$1" python3 -m compileall -q -s /mnt -p / /mnt/usr/lib/holdfast/site'

#: As the package's postinst does; its names and times are those of the guest.
_BUNDLE = "python3 -ISB /usr/lib/holdfast/site/holdfast/bundle.py"


def payload() -> Path:
    """The package's root folder, made once for each state of the sources."""
    sources = _ask("import holdfast_build.sources as s; print(s.digest())")
    folder = IMAGES / f"payload-{sources}"
    keep(folder)
    if not folder.exists():
        with locked(IMAGES / "payload.lock"):
            if not folder.exists():
                remove_unused(path.name for path in IMAGES.glob("payload-*") if path.is_dir())
                _build(folder)
    return folder


def install(guest: Guest) -> None:
    """Put Holdfast into a booted guest; nothing is started or enabled."""
    guest.push_tree(payload(), "/")
    guest.shell(f"{_BUNDLE} && systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload", timeout=120)


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=IMAGES) as temporary:
        staged, draft = Path(temporary, "sources"), Path(temporary, "root")
        _ask(
            "import sys, pathlib, holdfast_build.sources as s; "
            "s.stage(pathlib.Path(sys.argv[1]), s.wheels(pathlib.Path(sys.argv[2])))",
            str(staged), str(IMAGES),
        )
        subprocess.run(
            [sys.executable, "-m", "holdfast_build.payload", str(staged), str(draft), "deb"],
            check=True, cwd=staged, env={**os.environ, "PYTHONPATH": str(staged / "packaging")},
        )
        # By the guests' own Python, but outside of them: in a virtual machine this takes ten seconds.
        subprocess.run(
            ["unshare", "--mount", "--", "sh", "-euc", _COMPILE, "sh", str(tree().root), str(draft)], check=True
        )
        draft.rename(folder)


def _ask(code: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(_PACKAGING)},
    )
    return done.stdout.strip()
