"""The wheel and the sdist, by hatchling."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from holdfast_build import sources


def build(out: Path, _revision: str) -> list[Path]:
    """Both in ``out``. CalledProcessError after hatchling's own message."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(sources.epoch())}
    with tempfile.TemporaryDirectory(prefix="holdfast-wheel-", dir=out) as temporary:
        words = [sys.executable, "-I", "-m", "hatchling", "build", "-d", temporary]
        subprocess.run(words, cwd=sources.ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        made = []
        for path in sorted(Path(temporary).iterdir()):
            made.append(path.replace(out / path.name))
    return made
