"""What we distribute, built from this working tree once for a run of the tests, and how it is handed out."""

from __future__ import annotations

import hashlib
import html
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.guests.place import ROOT

from holdfast_build.buildroot import locked

#: The last commit of 0.1.0.
FORMER = "c896bae0ea5204b9a64c86ce18396151996defbd"


class Distribution(NamedTuple):
    """The package, the same with a higher revision, the wheel, the wheels that this one depends on, and the others.
    ``requirements`` and ``pip_user_data`` name the wheels by their hashes."""

    deb: Path
    newer: Path
    wheel: Path
    dependencies: tuple[Path, ...]
    sdist: Path
    rpm: Path
    newer_rpm: Path
    requirements: Path
    pip_user_data: Path


def build(folder: Path) -> Distribution:
    """Build all of it below ``folder``, which the workers of a run share; the first that comes does it."""
    with locked(folder / "distribution.lock"):
        if not (folder / "distribution" / "done").exists():
            for kind, revision in (("deb", "1"), ("deb", "2"), ("wheel", "1"), ("rpm", "1"), ("rpm", "2")):
                _build(kind, revision, folder / "distribution" / (kind + revision))
            (folder / "distribution" / "done").touch()
    found = folder / "distribution"
    return Distribution(
        _only(found / "deb1", "*.deb"), _only(found / "deb2", "*.deb"), _only(found / "wheel1", "*.whl"), _wheels(),
        _only(found / "wheel1", "*.tar.gz"), _only(found / "rpm1", "*.rpm"),
        _only(found / "rpm2", "*.rpm"), found / "wheel1" / "requirements.txt", found / "wheel1" / "user-data-pip.yaml",
    )


def former(folder: Path) -> Path:
    """The .deb of 0.1.0, built below ``folder`` by its own sources from this repository's history; likewise shared."""
    with locked(folder / "former.lock"):
        if not (folder / "former" / "done").exists():
            (folder / "former" / "sources").mkdir(parents=True)
            command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "archive", FORMER]
            archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            sources = folder / "former" / "sources"
            subprocess.run(["tar", "-x", "-C", str(sources)], input=archive, check=True)
            (sources / ".venv").symlink_to(ROOT / ".venv")
            _build("deb", "1", folder / "former", sources)
            (folder / "former" / "done").touch()
    return _only(folder / "former", "*.deb")


def _build(kind: str, revision: str, out: Path, sources: Path = ROOT) -> None:
    command = [str(sources / "dev"), "build", kind, "--revision", revision, "--out", str(out)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COVERAGE", "PYTHON"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _wheels() -> tuple[Path, ...]:
    """As the build has fetched them, checked by their hashes."""
    program = "from holdfast_build import debian, sources; print(sources.wheels(debian.CACHE))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "packaging")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return tuple(sorted(Path(done.stdout.strip()).glob("*.whl")))


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def python_index(folder: Path, *wheels: Path) -> None:
    """A package index as pip reads it (PEP 503) in ``folder``/simple; every file with its SHA-256."""
    for wheel in wheels:
        project = folder / "simple" / wheel.name.split("-")[0].replace("_", "-").lower()
        project.mkdir(parents=True)
        shutil.copy(wheel, project)
        name = html.escape(wheel.name)
        (project / "index.html").write_text(f'<!DOCTYPE html>\n<a href="{name}#sha256={sha256(wheel)}">{name}</a>\n')
