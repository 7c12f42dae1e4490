"""The lists of links: what a line may be, and that one bad line makes all of them void."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.managers.formats.tree import Tree
from holdfast.settings import SettingsError, links


def test_a_list_has_names_and_patterns_and_comments() -> None:
    text = b"# written by an image\nens3\n\n  en*  # all cards\neth[0-3]\nens3\n"
    assert links.parse(text, "/etc/holdfast/links") == ("ens3", "en*", "eth[0-3]")


@pytest.mark.parametrize("line", [
    "a/b", "../x", "..", ".", "a b", "eth0\teth1", "sixteen-bytes-xx", "x" * 65 + "*", "eth0:1", "\x1b[31m", "ens\xe4",
    "\0",
])
def test_a_bad_line_is_an_error_that_names_file_and_line(line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        links.parse(f"ens3\n{line}\n".encode("latin-1"), "/etc/holdfast/links")
    assert str(caught.value).startswith("/etc/holdfast/links: line 2: ")


def test_a_list_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is larger than"):
        links.parse(b"#" * (links.SIZE_LIMIT + 1), "/etc/holdfast/links")
    text = "".join(f"e{number}\n" for number in range(links.LINK_LIMIT + 1)).encode()
    with pytest.raises(SettingsError, match="too many"):
        links.read(lambda path: text if path == links.LIST else None, lambda _path: [])


def test_all_lists_are_read_and_one_that_cannot_be_makes_all_void(tmp_path: Path) -> None:
    volatile = tmp_path / links.VOLATILE_DIR.lstrip("/")
    volatile.mkdir(parents=True)
    (tmp_path / "etc/holdfast").mkdir(parents=True)
    (tmp_path / links.LIST.lstrip("/")).write_text("ens3\n")
    (volatile / "ens4").write_text("ens4\n")
    (volatile / ".ens5.tmp").write_text("ens5\n")
    tree = Tree(str(tmp_path))
    assert links.read(tree.read, tree.names) == ("ens3", "ens4")

    def unreadable(path: str) -> bytes | None:
        if path == links.LIST:
            raise PermissionError(13, "Permission denied")
        return tree.read(path)

    with pytest.raises(SettingsError, match="/etc/holdfast/links: cannot be read: Permission denied"):
        links.read(unreadable, tree.names)
