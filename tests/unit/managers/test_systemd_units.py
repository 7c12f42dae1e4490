"""What is enabled and masked in a tree of units."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.managers import overlay, served_links
from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.tree import Tree

UNITS = "usr/lib/systemd/system"


def put(root: Path, path: str, text: str = "[Unit]\n") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def enable(root: Path, unit: str, target: str = "multi-user.target") -> None:
    put(root, f"{UNITS}/{unit.partition('@')[0]}@.service" if "@" in unit else f"{UNITS}/{unit}")
    folder = root / "etc/systemd/system" / f"{target}.wants"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / unit).symlink_to(f"/{UNITS}/{unit}")


def test_those_that_are_asked_for_are_enabled_where_any_target_wants_them(tmp_path: Path) -> None:
    for unit, target in (("a.service", "multi-user.target"), ("b@one.service", "sockets.target"),
                         ("c.service", "network-online.target")):
        enable(tmp_path, unit, target)
    put(tmp_path, f"{UNITS}/d.service")
    tree = Tree(str(tmp_path))
    assert systemd_units.enabled(tree, "a.service", "b@*", "d.service") == {"a.service", "b@one.service"}
    assert systemd_units.enabled(tree, "none.service") == set()


@pytest.mark.parametrize("mask", ["a.service", "b@.service"])
def test_a_mask_of_the_unit_or_of_its_template_counts(tmp_path: Path, mask: str) -> None:
    enable(tmp_path, "a.service")
    enable(tmp_path, "b@one.service")
    (tmp_path / "etc/systemd/system" / mask).symlink_to("/dev/null")
    left = {"a.service", "b@one.service"} - {mask.replace("@.", "@one.")}
    assert systemd_units.enabled(Tree(str(tmp_path)), "*") == left


def test_what_a_boot_reads_does_not_grow_with_what_is_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "etc/holdfast/links", "ens3\n")
    put(tmp_path, "etc/network/interfaces", "auto ens3\niface ens3 inet dhcp\n")
    enable(tmp_path, "networking.service")
    real, opened = os.open, []

    def count(*arguments: object, **options: object) -> int:
        opened.append(arguments[0])
        return real(*arguments, **options)  # type: ignore[arg-type]

    def opens() -> int:
        opened.clear()
        tree = Tree(str(tmp_path))
        overlay.compute(tree, served_links.read(tree))
        return len(opened)

    monkeypatch.setattr(os, "open", count)
    few = opens()
    for number in range(200):
        enable(tmp_path, f"other{number}.service")
    assert opens() == few
