"""What only root can change (rule 93)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.takeover.trust import weakness

pytestmark = pytest.mark.root
USER = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of root's: /usr/sbin/program and /bin, a link."""
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/program").write_text("")
    (tmp_path / "usr/sbin/program").chmod(0o755)
    (tmp_path / "bin").symlink_to("usr/sbin")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/program").write_text("")
    os.chown(tmp_path / "home", USER, USER)
    return tmp_path


@pytest.mark.parametrize("path", [
    "/", "/usr/sbin/program", "/bin/program", "/bin", "/bin/../sbin/./program", "//usr/sbin//program",
    "/../bin/program",
])
def test_of_root(root: Path, path: str) -> None:
    assert weakness(path, str(root)) == ""


@pytest.mark.parametrize(("mode", "told"), [
    (0o775, "group 0 can write"), (0o757, "everybody can write"), (0o1777, "everybody can write"),
    (0o1775, "group 0 can write"),
])
@pytest.mark.parametrize("place", ["usr/sbin/program", "usr/sbin", "usr", "."])
def test_modes(root: Path, place: str, mode: int, told: str) -> None:  # rule 93
    """rule 93: the file and every folder above it; a sticky bit does not help."""
    (root / place).chmod(mode)
    assert weakness("/bin/program", str(root)) == f"{told} /{place.lstrip('.')}"


@pytest.mark.parametrize("place", ["usr/sbin/program", "usr/sbin", "usr", "."])
def test_owners(root: Path, place: str) -> None:  # rule 93
    """rule 93"""
    os.chown(root / place, USER, 0)
    assert weakness("/bin/program", str(root)) == f"/{place.lstrip('.')} belongs to uid {USER}"


@pytest.mark.parametrize("target", ["/home/program", "../../home/program", "../../usr/../home/program"])
def test_links_into_a_users_folder(root: Path, target: str) -> None:  # rule 93
    """rule 93: every component of what a link leads to."""
    (root / "usr/sbin/link").symlink_to(target)
    assert weakness("/usr/sbin/link", str(root)) == f"/home belongs to uid {USER}"
    (root / "bin2").symlink_to("usr/sbin/link")
    assert weakness("/bin2", str(root)) == f"/home belongs to uid {USER}"


def test_links_of_a_user(root: Path) -> None:  # rule 93
    """rule 93: the owner of a link may change its target at any moment."""
    (root / "link").symlink_to("/usr/sbin/program")
    os.chown(root / "link", USER, USER, follow_symlinks=False)
    assert weakness("/link", str(root)) == f"/link belongs to uid {USER}"


def test_through_a_users_folder_and_back(root: Path) -> None:  # rule 93
    """rule 93: the owner of a folder may replace it by a link."""
    assert weakness("/home/../usr/sbin/program", str(root)) == f"/home belongs to uid {USER}"


def test_a_circle(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    assert "leads in a circle" in weakness("/a", str(root))


def test_what_is_missing(root: Path) -> None:
    assert weakness("/usr/none/program", str(root)) == "/usr/none is not there"
    assert weakness("/usr/none/program", str(root), missing=True) == ""
    (root / "usr/sbin/dangling").symlink_to("/home/none")
    assert weakness("/usr/sbin/dangling", str(root), missing=True) == f"/home belongs to uid {USER}"
    assert weakness("/usr/sbin/program/none", str(root), missing=True) == "/usr/sbin/program/none: Not a directory"


@pytest.mark.parametrize("path", ["", "program", "./program"])
def test_relative(path: str) -> None:
    assert "does not begin at /" in weakness(path, missing=True)


def test_an_access_list(root: Path, make_acl: Callable[[Path], None]) -> None:  # rule 93
    """rule 93: a right that a POSIX ACL gives is in the group's bits (acl(5))."""
    make_acl(root / "usr/sbin")
    assert weakness("/bin/program", str(root)) == "group 0 can write /usr/sbin"


@pytest.fixture
def make_acl() -> Callable[[Path], None]:
    """Give the user the right to write, by the kernel's own format (linux/posix_acl_xattr.h)."""
    def make(path: Path) -> None:
        nobody = 0xffffffff
        entries = ((1, 7, nobody), (2, 7, USER), (4, 5, nobody), (0x10, 7, nobody), (0x20, 5, nobody))
        data = (2).to_bytes(4, "little") + b"".join(
            tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + uid.to_bytes(4, "little")
            for tag, rights, uid in entries
        )
        try:
            os.setxattr(path, "system.posix_acl_access", data)
        except OSError as error:
            pytest.skip(f"this file system has no ACLs: {error}")

    return make


def test_devices() -> None:
    """What others write to /dev/null changes nothing that is read from it."""
    assert weakness("/dev/null") == ""


def test_this_machine(tmp_path: Path) -> None:
    """The programs of a distribution pass; a folder like /tmp does not."""
    assert weakness("/bin/sh") == ""
    tmp_path.chmod(0o1777)
    assert weakness(f"{tmp_path}/program", missing=True).startswith("everybody can write /")
