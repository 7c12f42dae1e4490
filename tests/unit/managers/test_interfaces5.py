"""interfaces(5), as ifquery 0.8.41 was seen to read it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.unit.managers.conftest import Put

from holdfast.managers.formats import interfaces5
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.interfaces5 import INTERFACES, Selection
from holdfast.managers.formats.tree import Tree


def names(tree: Tree) -> list[str]:
    return [stanza.name for stanza in interfaces5.read(tree).stanzas]


def test_no_file_is_an_empty_one(tree: Tree) -> None:
    assert interfaces5.read(tree) == interfaces5.Interfaces((), (), (), (), (), ())


def test_lines_go_on_and_comments_do_not(tree: Tree, put: Put) -> None:
    put(INTERFACES, "# of the image \\\nauto eth0\n\n  iface eth0 \\\n  inet dhcp  \n\tmtu\t14\\\n50\n# no\n"
                    "iface eth1 inet dhcp \\ \nhostname x \\")
    found = interfaces5.read(tree)
    first, second = found.stanzas
    assert (first.name, first.dhcp, first.options, first.line) == ("eth0", True, (("mtu", "1450"),), 4)
    assert (second.name, second.dhcp, second.options) == ("eth1", True, (("hostname", "x"),))
    assert found.selections == (Selection("auto", "eth0", "eth0"),)


@pytest.mark.parametrize(("words", "expected"), [
    ("eth0", ("eth0", "eth0")), ("eth0=office", ("eth0", "office")), ("/eth*", ("eth*", "")), ("/en*=x", ("en*", "x")),
    ("/eth*/1=x", ("eth*", "x")), ("mac/52:54:00:*=x", ("*", "x")), ("/mac/52:54:00:12:34:56=x", ("*", "x")),
    ("operstate/up/1", ("*", "")),
])
def test_patterns_of_links(tree: Tree, put: Put, words: str, expected: tuple[str, str]) -> None:
    put(INTERFACES, f"auto {words}\nallow-auto {words}\nallow-hotplug {words}\nno-auto-down eth7\n")
    found = interfaces5.read(tree)
    assert found.selections == (*[Selection("auto", *expected)] * 2, Selection("allow-hotplug", *expected))
    assert found.no_auto_down == ("eth7",)


@pytest.mark.parametrize(("line", "read"), [
    ("source /etc/network/more/*", ["a", "b.cfg"]), ("source more/*.cfg", ["b.cfg"]), ("source m*/a", ["a"]),
    ("source more/a more/b.cfg", ["a"]),  # only the first starts in the folder of the file
    ("source more/a /etc/network/more/b.cfg", ["a", "b.cfg"]), ('source "more/a"', ["a"]), ("source more/.h*", ["hid"]),
    ("source-directory more", ["a"]), ("source-directory /etc/network/m*", ["a"]), ("source-dir more/", ["a"]),
    ("source more", []), ("source more/none", []), ("source more/{a,b}", []), ('source "more/a', []), ("source", []),
    ("source more/[b]*", ["b.cfg"]), ("source more/a more/a /etc/network/more/a", ["a"]),
])
def test_what_is_sourced(tree: Tree, put: Put, line: str, read: list[str]) -> None:
    put(INTERFACES, f"{line}\niface last inet manual\n")
    for path, name in (("a", "a"), ("b.cfg", "b.cfg"), (".hidden", "hid")):
        put(f"/etc/network/more/{path}", f"iface {name} inet dhcp\n")
    put("/etc/network/unsourced/c", "iface c inet dhcp\n")
    assert names(tree) == [*read, "last"]


def test_relative_to_the_file_that_says_so(tree: Tree, put: Put) -> None:
    put(INTERFACES, "source more/a\n")
    put("/etc/network/more/a", "source deep/b\n")
    put("/etc/network/more/deep/b", "iface b inet dhcp\n")
    assert names(tree) == ["b"]
    assert interfaces5.read(tree).files == (INTERFACES, "/etc/network/more/a", "/etc/network/more/deep/b")


def test_what_depends_on_how_ifup_is_started_is_told(tree: Tree, put: Put) -> None:
    put(INTERFACES, "source $DIR/eth0\n")
    with pytest.raises(FormatError, match="depends on how ifup is started"):
        interfaces5.read(tree)


def test_inherited(tree: Tree, put: Put) -> None:
    put(INTERFACES, "iface base inet dhcp\n  mtu 1400\niface eth0 inherits base\n  hostname x\n"
                    "iface eth1 inet inherits base\niface eth2 inet static inherits base\niface eth3 inherits none\n")
    _, whole, family, static, lost = interfaces5.read(tree).stanzas
    assert (whole.dhcp, whole.options) == (True, (("mtu", "1400"), ("hostname", "x")))
    assert (family.dhcp, family.inherits) == (True, "base")
    assert (static.method, static.dhcp, static.options) == ("static", False, (("mtu", "1400"),))
    assert (lost.family, lost.method, lost.inherits) == ("", "", "none")


def test_the_stanzas_of_one(tree: Tree, put: Put) -> None:
    put(INTERFACES, "iface eth0 inet static\niface eth0 inet6 auto\niface eth* inet dhcp\niface ens3 inet dhcp\n")
    assert [(one.family, one.method) for one in interfaces5.read(tree).of("eth0")] == [
        ("inet", "static"), ("inet6", "auto"), ("inet", "dhcp")
    ]
    assert interfaces5.read(tree).of("wlan0") == []


def test_what_is_no_option(tree: Tree, put: Put) -> None:
    """Lists and other stanzas end an iface; a misplaced line is passed over, where ifup gives up."""
    put(INTERFACES, "mtu 1400\niface eth0 inet dhcp\nrename a=b\nmtu 1400\nmapping eth*\n  script /x\n  map a office\n"
                    "mtu 1400\n")
    found = interfaces5.read(tree)
    assert found.stanzas[0].options == ()
    assert found.mappings == (interfaces5.Mapping(("eth*",), ("a", "office")),)


def test_circles_end(tree: Tree, put: Put) -> None:
    put(INTERFACES, "source more/*\niface eth0 inet dhcp\n")
    put("/etc/network/more/a", "source /etc/network/interfaces\nsource *\niface a inet dhcp\n")
    assert names(tree) == ["a", "eth0"]


@pytest.mark.parametrize("bound", ["files", "depth", "size"])
def test_bounds(tree: Tree, put: Put, bound: str) -> None:
    put(INTERFACES, "source more/*\n")
    for number in range({"files": interfaces5.MAX_FILES + 1, "depth": 1, "size": 5}[bound]):
        put(f"/etc/network/more/{number}", "#" * (1 << 20) if bound == "size" else "")
    if bound == "depth":
        for number in range(interfaces5.MAX_DEPTH + 2):
            put(f"/etc/network/deep/{number}", f"source {number + 1}\n")
        put("/etc/network/more/0", "source /etc/network/deep/0\n")
    with pytest.raises(FormatError, match="reads more than"):
        interfaces5.read(tree)


def test_a_pattern_that_leads_everywhere(tree: Tree, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.managers.formats.tree.GLOB_LIMIT", 3)
    for number in range(4):
        put(f"/etc/network/more/{number}/x", "")
    put(INTERFACES, "source more/*/*\n")
    with pytest.raises(FormatError, match="leads into more than 3 folders"):
        interfaces5.read(tree)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="\\ \n\t#/*?[]{}=\"'$sourceiface-dy ethnhcp0", max_size=200))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "etc/network").mkdir(parents=True, exist_ok=True)
    (tmp_path / "etc/network/interfaces").write_text(text)
    tree = Tree(str(tmp_path))
    began = time.process_time()
    try:
        interfaces5.read(tree)
    except FormatError:
        pass
    finally:
        tree.close()
    assert time.process_time() - began < 5
