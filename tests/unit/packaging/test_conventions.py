"""What PyPI, Debian, Fedora and readers of changelogs expect of a project, beside what their own tools check."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import __version__
from holdfast_build import sources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
URLS = PROJECT["project"]["urls"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", CHANGELOG, re.MULTILINE)


def test_pypi_is_told_what_it_shows() -> None:
    project = PROJECT["project"]
    assert project["authors"]
    assert project["keywords"]
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= set(URLS)
    assert "Typing :: Typed" in project["classifiers"]
    assert (ROOT / "agent/holdfast/py.typed").read_text() == ""


def readme_on_pypi() -> str:
    """The README after the substitutions that hatch-fancy-pypi-readme makes."""
    text = (ROOT / "README.md").read_text()
    for one in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"].replace("$HFPR_VERSION", __version__), text)
    return text


def test_links_of_the_readme_work_on_pypi() -> None:
    targets = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", readme_on_pypi())
    assert len(targets) > 20
    base = URLS["Source"]
    for picture, target in targets:
        assert target.startswith((f"{base}/raw/v{__version__}/" if picture else f"{base}/blob/v{__version__}/", "#"))
        path = target.partition("#")[0].removeprefix(base).split("/", 3)[-1]
        assert not path or (ROOT / path).exists(), target


def test_both_packages_name_the_addresses_of_pyproject() -> None:
    control = sources.placed((ROOT / "packaging/deb/control").read_text())
    fields = dict(re.findall(r"^(\S+): (.*)$", control, re.MULTILINE))
    assert fields["Homepage"] == URLS["Homepage"]
    assert fields["Vcs-Browser"] == URLS["Source"]
    assert fields["Vcs-Git"] == URLS["Source"] + ".git"
    spec = sources.placed((ROOT / "packaging/rpm/holdfast.spec.in").read_text())
    assert re.findall(r"^URL: +(.+)$", spec, re.MULTILINE) == [URLS["Homepage"]]


def test_no_package_says_that_it_is_a_dhcp_client_of_ifupdown() -> None:
    """ifupdown calls dhclient, udhcpc or dhcpcd by name, and would not find one."""
    assert not re.search(r"^Provides:.*dhcp-client", (ROOT / "packaging/deb/control").read_text(), re.MULTILINE)


def test_the_changelog_keeps_the_form_of_keep_a_changelog() -> None:
    assert RELEASES[0] == ("Unreleased", "")
    assert RELEASES[1][0] == __version__
    versions = [tuple(map(int, name.split("."))) for name, _ in RELEASES[1:]]
    assert versions == sorted(versions, reverse=True)
    dates = [date for _, date in RELEASES[1:]]
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) for date in dates)
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("name", [name for name, _ in RELEASES])
def test_a_release_has_each_kind_of_change_once_and_a_link(name: str) -> None:
    section = CHANGELOG.split(f"## [{name}]")[1].split("\n## ")[0]
    kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
    assert len(kinds) == len(set(kinds))
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    (link,) = re.findall(rf"^\[{re.escape(name)}\]: (\S+)$", CHANGELOG, re.MULTILINE)
    assert link.startswith(URLS["Source"])


@pytest.mark.parametrize("path", [
    "README.md", "docs/images.md", "packaging/image/dib/holdfast/README.rst", "packaging/ansible/playbook.yml",
    *(f"cloud-init/{name}" for name in ("user-data-merge.yaml", "user-data-package-url.yaml", "user-data-pip.yaml",
                                        "vendor-data.sh", "vendor-data.yaml")),
])
def test_what_is_to_be_pasted_names_this_version(path: str) -> None:
    named = re.findall(r"holdfast(?:-dhcp)?(?:_|-|==)(\d+\.\d+\.\d+)", (ROOT / path).read_text())
    assert set(named) == {__version__}


def test_the_example_for_ansible_is_a_playbook(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run([program, "--syntax-check", ROOT / "packaging/ansible/playbook.yml"], capture_output=True,
                          text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
