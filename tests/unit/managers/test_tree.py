"""A tree that somebody else made: nothing in it leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.tree import LINK_LIMIT, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("outside")
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "plain").write_text("inside")
    return folder


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    tree = Tree(str(root))
    yield tree
    tree.close()


def test_files_folders_and_what_is_not_there(tree: Tree) -> None:
    assert tree.read("/etc/plain") == b"inside"
    assert tree.text("etc/plain") == "inside"
    assert tree.read("/etc/plain", 2) == b"in"
    assert tree.names("/etc") == ["plain"]
    assert tree.names("/") == ["etc"]
    assert tree.is_file("/etc/plain")
    assert not tree.is_file("/etc")
    for path in ("/none", "/etc/none", "/etc/plain/below", "/etc/" + "n" * 300):
        assert tree.read(path) is None
        assert tree.names(path) == []
        assert tree.mode(path) is None


@pytest.mark.parametrize("target", [
    "/secret", "../../secret", "../../../../../../../../secret", "{out}/secret", "/../secret", "/etc/../../secret",
])
def test_a_link_stays_inside(root: Path, tree: Tree, target: str) -> None:
    (root / "etc" / "link").symlink_to(target.format(out=root.parent))
    assert tree.read("/etc/link") is None
    (root / "secret").write_text("the image's own")
    assert tree.read("/etc/link") in (b"the image's own", None)


def test_a_linked_folder_stays_inside(root: Path, tree: Tree) -> None:
    (root / "up").symlink_to(str(root.parent))
    (root / "dots").symlink_to("../..")
    assert tree.read("/up/secret") is None
    assert tree.read("/dots/secret") is None
    assert tree.names("/up") == []
    assert tree.names("/dots") == tree.names("/")  # as in a chroot, .. of / is /


def test_an_absolute_link_starts_at_the_root(root: Path, tree: Tree) -> None:
    (root / "etc" / "link").symlink_to("/etc/plain")
    (root / "etc" / "chain").symlink_to("link")
    assert tree.read("/etc/chain") == b"inside"
    assert tree.link("/etc/link") == "/etc/plain"
    assert tree.link("/etc/plain") is None


def test_endless_links_end(root: Path, tree: Tree) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    (root / "long").symlink_to("/".join(["etc/.."] * 500) + "/etc/plain")
    assert tree.read("/one") is None
    assert tree.read("/long") is None
    for number in range(LINK_LIMIT + 2):
        (root / f"l{number}").symlink_to(f"l{number + 1}")
    assert tree.read("/l0") is None


def test_only_regular_files_are_opened(root: Path, tree: Tree) -> None:
    os.mkfifo(root / "etc" / "pipe")
    assert tree.read("/etc/pipe") is None  # and does not wait for a writer


def test_no_descriptor_is_left(root: Path, tree: Tree) -> None:
    (root / "etc" / "link").symlink_to("/etc/plain")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/etc/link", "/none", "/etc/plain/x", "/etc", "/", "/.."):
        tree.read(path)
        tree.names(path)
        tree.link(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_root_itself_must_be_a_folder(root: Path) -> None:
    with pytest.raises(NotADirectoryError):
        Tree(str(root / "etc" / "plain"))


def test_patterns_over_folders(root: Path, tree: Tree) -> None:
    for path in ("etc/a/x.cfg", "etc/b/x.cfg", "etc/b/.x.cfg", "etc/b/y"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("")
    (root / "etc" / "out").symlink_to(str(root.parent))
    assert tree.glob("/etc/*/*.cfg") == ["/etc/a/x.cfg", "/etc/b/x.cfg"]
    assert tree.glob("/etc/b/.*") == ["/etc/b/.x.cfg"]
    assert tree.glob("/etc/out/secret") == tree.glob("/etc/*/secret") == tree.glob("/none/*") == []


def test_drop_ins_of_several_folders(root: Path, tree: Tree) -> None:
    for path in ("etc/d/20.conf", "usr/d/10.conf", "usr/d/20.conf", "usr/d/30.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    assert list(tree.merged(["/etc/d", "/none", "/usr/d"], ".conf").values()) == ["/usr/d/10.conf", "/etc/d/20.conf"]


def test_what_was_cut_off_is_not_believed(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.managers.formats.tree.READ_LIMIT", 3)
    with pytest.raises(FormatError, match="/etc/plain is larger than 3 bytes"):
        tree.text("/etc/plain")
    monkeypatch.setattr("holdfast.managers.formats.tree.NAME_LIMIT", 0)
    with pytest.raises(FormatError, match="/etc holds more than 0 files"):
        tree.names("/etc")
