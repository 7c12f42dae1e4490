"""The wheel and the sdist, by hatchling, and the files for pip that name the wheel by its hash."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from holdfast_build import requirements_file, sources
from holdfast_build.attempts import BuildError


def build(out: Path, _revision: str) -> list[Path]:
    """All of them in ``out``. BuildError, or CalledProcessError after hatchling's own message."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(sources.epoch())}
    with tempfile.TemporaryDirectory(prefix="holdfast-wheel-", dir=out) as temporary:
        words = [sys.executable, "-I", "-m", "hatchling", "build", "-d", temporary]
        subprocess.run(words, cwd=sources.ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        judge(sorted(Path(temporary).iterdir()))
        made = []
        for path in sorted(Path(temporary).iterdir()):
            made.append(path.replace(out / path.name))
    wheel = next(path for path in made if path.suffix == ".whl")
    requirements = requirements_file.render(wheel, sources.wheels(sources.CACHE))
    for name, text in ((requirements_file.NAME, requirements),
                       (requirements_file.USER_DATA, requirements_file.user_data(requirements))):
        made.append(out / name)
        made[-1].write_text(text)
    return made


def judge(distributions: list[Path]) -> None:
    """Have twine check what PyPI would: BuildError with what it finds, warnings included."""
    words = [sys.executable, "-I", "-m", "twine", "check", "--strict", *map(str, distributions)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"twine check: {done.stdout}{done.stderr}")
