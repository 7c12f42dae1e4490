"""dhclient.conf's expressions whose value is known beforehand (dhcp-eval(5))."""

from __future__ import annotations

import pytest

from holdfast.managers.formats.dhclient_expressions import Known, value

KNOWN = Known(hardware=b"\x01\x02\0\0\0\0\x09", hostname=b"Guest")


@pytest.mark.parametrize(("text", "wanted"), [
    ('"a,b(c"', b"a,b(c"), ("1:2:ff", b"\x01\x02\xff"), ("hardware", KNOWN.hardware), ("gethostname()", b"Guest"),
    ('concat("a", 1:2 , "b")', b"a\x01\x02b"), ('concat ("(", ")", "\\",")', b'()",'), ("concat()", b""),
    ("substring(hardware, 1, 2)", b"\x02\0"), ("substring(hardware, 9, 2)", b""), ('suffix("abc", 2)', b"bc"),
    ('suffix("abc", 9)', b"abc"), ("lcase(gethostname())", b"guest"), ('ucase(concat("a", "b"))', b"AB"),
    ('pick-first-value("a", option host-name)', b"a"), ('pick-first-value(option host-name, "a")', None),
    ("pick-first-value()", None), ('concat("a", option host-name)', None), ("gethostname(1)", None),
    ('substring("abc", 1)', None), ('substring("abc", x, 1)', None), ("substring()", None), ('suffix("a", 1, 1)', None),
    ('lcase("a", 1)', None), ('encode-int("a")', None), ("option host-name", None), ("config-option x", None),
    ("concat(" * 20 + '"a"' + ")" * 20, None), (f'concat("{"a" * 800}", "{"a" * 800}")', None),
])
def test_a_value(text: str, wanted: bytes | None) -> None:
    assert value(text, KNOWN) == wanted


def test_what_is_not_known_has_no_value() -> None:
    assert value("hardware", Known()) is None
    assert value('concat(gethostname(), ".example")', Known()) is None
