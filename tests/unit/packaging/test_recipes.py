"""What image recipes and the pasted blocks of packaging.md do when something is missing: stop, and say so."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.support.userdata import blocks

ROOT = Path(__file__).parents[3]
AFTER = '\necho "status $? options $-"\n'
SECTION = "A repository of your own"
IMAGE = ROOT / "packaging" / "image"
#: In a view of the machine where /var/tmp holds what Packer has brought: nothing here is the machine's own.
PACKER = """
mount -t tmpfs none /var/tmp
cp "$1/bake.sh" /var/tmp/
shift
for name; do touch "/var/tmp/$name"; done
exec sh "$SCRIPT"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each program that was called that changes a machine."""
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "dnf", "yum", "systemctl", "apt-ftparchive", "gpg", "createrepo_c", "rpmsign"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\nexit 1\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "calls").touch()
    return tmp_path / "calls"


def test_an_empty_name_of_a_package_is_not_the_repositories_package(calls: Path) -> None:
    done = subprocess.run(["sh", IMAGE / "bake.sh", ""], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bake.sh: there is no file" in done.stderr
    assert calls.read_text() == ""


@pytest.mark.root
@pytest.mark.parametrize("brought", [(), ("holdfast_1_all.deb", "holdfast_2_all.deb")], ids=["none", "two"])
def test_packers_script_wants_exactly_one_package(calls: Path, brought: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", PACKER, "sh", IMAGE, *brought], capture_output=True, text=True, check=False,
        env={**os.environ, "SCRIPT": str(IMAGE / "packer" / "holdfast.sh")},
    )
    assert done.returncode == 1
    assert "holdfast.sh: not exactly one package" in done.stderr
    assert calls.read_text() == ""


@pytest.mark.parametrize("number", [0, 1], ids=["apt", "rpm"])
def test_a_repository_is_not_signed_after_a_failure(calls: Path, tmp_path: Path, number: int) -> None:
    printed = blocks(ROOT / "docs" / "packaging.md", SECTION)[number]
    block = re.sub(r"^cd \S+", f"cd {tmp_path}", printed, flags=re.MULTILINE) + AFTER
    done = subprocess.run(["sh", "-s"], input=block, capture_output=True, text=True, check=False,
                          env={**os.environ, "KEY": "holdfast@example.org"})
    status, _, options = done.stdout.removeprefix("status ").partition(" options ")
    assert status != "0"
    assert "e" not in options  # the shell that it was pasted into is as it was
    assert len(calls.read_text().splitlines()) == 1  # the first one failed
