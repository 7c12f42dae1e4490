"""What a package is made of: a copy of the working tree, the wheels of the dependencies, one point in time."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from holdfast_build.attempts import repeated

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, no-redef, unused-ignore]

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "package.txt"
#: Root folders to build in, and what was fetched.
CACHE = ROOT / ".venv" / "images"

#: Of the working tree, what a package needs.
PARTS = ("agent", "cloud-init", "docs", "packaging", "CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md")


def version() -> str:
    """As the agent says it."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "agent/holdfast/__init__.py").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def placed(template: str) -> str:
    """``template`` with the project's addresses, which pyproject.toml has, in the places of @HOMEPAGE@ and @SOURCE@."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    return template.replace("@HOMEPAGE@", urls["Homepage"]).replace("@SOURCE@", urls["Source"])


def epoch() -> int:
    """Unix time of the sources: SOURCE_DATE_EPOCH, else the last commit, else (an sdist) the newest file's. The same
    sources with the same time make the same packages, byte for byte (reproducible-builds.org/specs)."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        return int(given)
    words = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        commit_time = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        commit_time = ""
    if commit_time and (ROOT / ".git").exists():
        return int(commit_time)
    return int(max(path.stat().st_mtime for path in files()))


def files() -> Iterator[Path]:
    """Every file that goes into a package, sorted."""
    for part in PARTS:
        top = ROOT / part
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inside = path.relative_to(ROOT).parts
            # Caches and editors' files, which are ignored by git too.
            if path.is_file() and "__pycache__" not in inside and not any(name.startswith(".") for name in inside):
                yield path


def digest() -> str:
    """Changes when a package would."""
    total = hashlib.sha256(REQUIREMENTS.read_bytes())
    for path in files():
        total.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode & 0o100}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def stage(folder: Path, wheels: Path) -> None:
    """Copy the sources to ``folder``, and the wheels to ``folder``/wheels."""
    for path in files():
        file = folder / path.relative_to(ROOT)
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, file)
        file.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    shutil.copytree(wheels, folder / "wheels")


def wheels(cache: Path) -> Path:
    """The folder with the pinned dependencies, pure Python for any version from 3.10 on; fetched once by pip, which
    compares their hashes. OSError, or BuildError with what pip said, when that fails three times."""
    folder = cache / ("wheels-" + hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16])
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = folder.with_suffix(f".{os.getpid()}")
        sys.stderr.write("build: fetching the pinned dependencies from PyPI\n")
        pip = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        pip += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--platform", "any"]
        pip += ["--implementation", "py", "--abi", "none", "--python-version", "3.10"]
        repeated("fetching the dependencies", [*pip, "--requirement", str(REQUIREMENTS), "--dest", str(draft)])
        try:
            draft.rename(folder)
        except OSError:  # another process was as quick
            shutil.rmtree(draft)
    return folder
