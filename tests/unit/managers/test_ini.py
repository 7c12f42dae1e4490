"""Files in sections, and files of assignments."""

from __future__ import annotations

from holdfast.managers.formats import ini
from holdfast.managers.formats.shell_assignments import assignments


def test_sections_comments_and_lines_that_go_on() -> None:
    text = "a=0\n [One] \n# [Two]\n; b=1\nc = 2 = 3\nd=\ne=x\\\n# between\n  y\nnothing\n[Two]\nf=1\\"
    assert list(ini.settings(text)) == [
        ("", "a", "0"), ("One", "c", "2 = 3"), ("One", "d", ""), ("One", "e", "x   y"), ("Two", "f", "1")
    ]


def test_yes_no_and_neither() -> None:
    assert all(ini.is_on(value) and not ini.is_off(value) for value in ("1", "yes", "TRUE", "on", "y", "t"))
    assert all(ini.is_off(value) and not ini.is_on(value) for value in ("0", "No", "false", "off", "n", "f"))
    assert not any(ini.is_on(value) or ini.is_off(value) for value in (None, "", "2", "ipv4"))


def test_lists() -> None:
    assert ini.items("mac:02:00:00:00:00:01;interface-name:e*,x;") == [
        "mac:02:00:00:00:00:01", "interface-name:e*", "x"
    ]


def test_assignments() -> None:
    text = "A=1\n export B='two words' # why\nC=\"open\n#D=4\nA=5\nE=\n1F=6\n"
    assert assignments(text) == {"A": "5", "B": "two words", "E": ""}
