"""What packages are made of."""

from __future__ import annotations

import hashlib
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from holdfast_build import changelog, payload, requirements_file, sources

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "packaging"

MARKDOWN = """\
# Changelog

## [Unreleased]

### Added
- One thing, which is 100% new and
  goes on.

## [0.2.0] - 2026-03-04

### Fixed
- Another.

## [0.1.0] - 2026-01-02
"""


def test_the_changelog_in_the_words_of_dpkg() -> None:
    text = changelog.for_dpkg(MARKDOWN, "0.3.0-1", 1_000_000_000)
    assert text == (
        "holdfast (0.3.0-1) unstable; urgency=medium\n\n  * One thing, which is 100% new and goes on.\n\n"
        f" -- {changelog.MAINTAINER}  Sun, 09 Sep 2001 01:46:40 +0000\n"
        "\nholdfast (0.2.0-1) unstable; urgency=medium\n\n  * Another.\n\n"
        f" -- {changelog.MAINTAINER}  Wed, 04 Mar 2026 12:00:00 +0000\n"
    )


def test_the_changelog_in_the_words_of_rpm() -> None:
    text = changelog.for_rpm(MARKDOWN, "0.3.0-1", 1_000_000_000)
    assert text == (
        f"* Sun Sep 09 2001 {changelog.MAINTAINER} - 0.3.0-1\n- One thing, which is 100%% new and goes on.\n"
        f"\n* Wed Mar 04 2026 {changelog.MAINTAINER} - 0.2.0-1\n- Another.\n"
    )


def test_a_version_has_one_entry() -> None:
    text = changelog.for_dpkg(MARKDOWN, "0.2.0-3", 1_000_000_000)
    assert text.count("holdfast (") == 1
    assert "(0.2.0-3) unstable; urgency=medium\n\n  * One thing, which is 100% new and goes on.\n  * Another.\n" in text


def test_the_projects_own_changelog_can_be_read() -> None:
    releases = changelog.read((ROOT / "CHANGELOG.md").read_text())
    assert releases
    assert all(release.changes for release in releases)


def test_the_time_of_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    assert sources.epoch() == 1234567890
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert sources.epoch() > 1_700_000_000


def test_the_version_is_the_agents() -> None:
    from holdfast import __version__

    assert sources.version() == __version__


def test_of_a_wheel_its_modules_and_its_metadata_are_carried(tmp_path: Path) -> None:
    wheel = tmp_path / "click-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("click/__init__.py", "click-1.0.dist-info/METADATA", "click-1.0.dist-info/RECORD",
                     "click-1.0.dist-info/licenses/LICENSE.txt"):
            archive.writestr(name, name)
    assert [name for name, _ in payload.wheel_files(wheel)] == ["click/__init__.py", "click-1.0.dist-info/METADATA"]
    (tmp_path / "wheels").mkdir()
    wheel.rename(tmp_path / "wheels" / wheel.name)
    assert [name for name, _ in payload.licences(tmp_path)] == ["click-1.0.LICENSE.txt"]


def test_the_copyright_file_names_every_package_that_is_carried() -> None:
    pinned = re.findall(r"^(\S+)==", (ROOT / "requirements" / "package.txt").read_text(), re.MULTILINE)
    stanzas = re.findall(r"^Files: wheels/(\S+)-\*$", (PACKAGING / "deb" / "copyright").read_text(), re.MULTILINE)
    assert stanzas == pinned
    assert "scapy" not in pinned  # GPL-2.0-only


@pytest.mark.parametrize("script", sorted(
    path for pattern in ("deb/holdfast.p*", "deb/*.rtupdate", "cloud/*", "holdfast_build/*.sh")
    for path in PACKAGING.glob(pattern)
), ids=lambda path: path.name)
def test_scripts_can_be_read_by_a_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.parametrize("script", [payload.CHOOSE_PYTHON, payload.BYTE_COMPILE])
def test_generated_scripts_can_be_read_by_a_shell(script: str) -> None:
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def scriptlet(name: str) -> str:
    """Of the spec file."""
    spec = (PACKAGING / "rpm" / "holdfast.spec.in").read_text()
    found = re.search(rf"^%{name}\n(.*?)(?=^%)", spec, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_both_families_hand_back_in_the_same_way() -> None:
    def loop(script: str, begins: str) -> str:
        found = re.search(rf"^    {begins}.*?^    done$", script, re.MULTILINE | re.DOTALL)
        assert found is not None
        return found[0]

    rpm, deb = scriptlet("preun"), (PACKAGING / "deb" / "holdfast.prerm").read_text()
    assert loop(rpm, "for journal in") == loop(deb, "for journal in")
    assert all("\n    /usr/lib/holdfast/fallback :removed || " in script for script in (rpm, deb))


@pytest.mark.parametrize("name", ["post", "preun", "postun"])
def test_scriptlets_can_be_read_by_a_shell(name: str) -> None:
    subprocess.run(["sh", "-n"], input=scriptlet(name), text=True, check=True)


def test_what_pip_may_install_is_named_by_hash(tmp_path: Path) -> None:
    wheel = tmp_path / "holdfast_dhcp-1.2-py3-none-any.whl"
    wheel.write_bytes(b"ours")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "Two_Words-3.4-py3-none-any.whl").write_bytes(b"theirs")
    lines = requirements_file.render(wheel, tmp_path / "wheels").splitlines()
    ours, theirs = (hashlib.sha256(content).hexdigest() for content in (b"ours", b"theirs"))
    assert lines[1:] == [f"holdfast-dhcp==1.2 --hash=sha256:{ours}", f"two-words==3.4 --hash=sha256:{theirs}"]
    text = requirements_file.user_data("# head\none --hash=sha256:1\ntwo --hash=sha256:2\n")
    assert "content: |\n      one --hash=sha256:1\n      two --hash=sha256:2\n  - path: /run/holdfast-setup\n" in text
    assert "0" * 64 not in text
    assert len([line for line in text.splitlines() if line.endswith("# edit: the package index")]) == 1


def test_the_distribution_has_a_name_of_its_own() -> None:
    """`holdfast` on PyPI is another project."""
    text = (PACKAGING.parent / "pyproject.toml").read_text()
    assert re.search(r'^\[project\]\nname = "(.*?)"', text, re.MULTILINE)[1] == "holdfast-dhcp"  # type: ignore[index]
    assert 'holdfast = "holdfast.start:main"' in text
