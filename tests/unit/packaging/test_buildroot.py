"""The folder that packages are made in: what is said when it cannot be made, and where its packages come from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from holdfast_build import buildroot, mirrors
from holdfast_build import sources as sources_of


def test_without_root_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(buildroot.BuildError, match=r"needs root: sudo \./dev build"):
        buildroot.buildroot(tmp_path)


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(folder: Path, _cache: Path) -> None:
        made.append(folder)
        folder.mkdir()
        (folder / "done").touch()

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert buildroot.buildroot(tmp_path, make) == buildroot.buildroot(tmp_path, make) == made[0] / "root"
    assert len(made) == 1


def test_packages_come_from_where_this_machine_gets_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, lines in {
        "apt-config": ['Acquire::http::Proxy "http://proxy:3128";', 'APT::Install-Recommends "1";'],
        "apt-get": ["bookworm http://mirror.example/debian/", "jammy http://else.where/ubuntu",
                    "bookworm-updates cdrom:x"],
    }.items():
        program = tmp_path / name
        program.write_text("#!/bin/sh\ncat <<'EOF'\n" + "\n".join(lines) + "\nEOF\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert mirrors.sources() == [
        "deb http://mirror.example/debian bookworm main", "deb http://mirror.example/debian bookworm-updates main",
        "deb http://deb.debian.org/debian-security bookworm-security main",
    ]
    assert mirrors.apt_settings() == 'Acquire::http::Proxy "http://proxy:3128";\n'


def test_a_machine_without_apt_uses_debians_own_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("apt-get")

    monkeypatch.setattr(subprocess, "run", missing)
    assert mirrors.sources()[0] == "deb http://deb.debian.org/debian bookworm main"
    assert mirrors.apt_settings() == ""


def test_what_goes_into_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("agent/holdfast/__init__.py", "agent/holdfast/__pycache__/x.pyc", "agent/.cache/x", "packaging/run.sh",
                 "tests/test_x.py", "CHANGELOG.md", "LICENSE", "README.md", "requirements/package.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "packaging/run.sh").chmod(0o700)
    monkeypatch.setattr(sources_of, "ROOT", tmp_path)
    monkeypatch.setattr(sources_of, "REQUIREMENTS", tmp_path / "requirements/package.txt")
    monkeypatch.setattr(sources_of, "PARTS", ("agent", "packaging", "LICENSE"))
    before = sources_of.digest()
    (tmp_path / "wheels").mkdir()
    sources_of.stage(tmp_path / "staged", tmp_path / "wheels")
    staged = {str(path.relative_to(tmp_path / "staged")): path.stat().st_mode & 0o777
              for path in (tmp_path / "staged").rglob("*") if path.is_file()}
    assert staged == {"agent/holdfast/__init__.py": 0o644, "packaging/run.sh": 0o755, "LICENSE": 0o644}
    (tmp_path / "tests/test_x.py").write_text("other")
    assert sources_of.digest() == before
    (tmp_path / "packaging/run.sh").write_text("other")
    assert sources_of.digest() != before
