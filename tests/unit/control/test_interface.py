"""The interfaces as data: the files are definitions for an independent parser too, and belong to the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import varlink
import varlink.scanner
from tests.support.varlink_oracle import told, told_by_oracle

from holdfast.control import interface
from holdfast.control.interface import GUARD, NAME, SERVICE, definition

FOLDER = Path(interface.__file__).parent


@pytest.mark.parametrize("name", [NAME, SERVICE])
def test_an_independent_parser_understands_the_same(name: str) -> None:
    described = definition(name)
    assert described.name == name == varlink.scanner.Interface(described.text).name
    assert told(described.text) == told_by_oracle(described.text)


def test_every_definition_in_the_package_is_served() -> None:
    assert {file.read_text() for file in FOLDER.glob("*.varlink")} == {
        definition(name).text for name in (NAME, GUARD, SERVICE)
    }


def test_the_service_is_the_one_that_every_varlink_service_has() -> None:
    theirs = Path(varlink.__file__).with_name("org.varlink.service.varlink").read_text()
    assert told(definition(SERVICE).text) == told_by_oracle(theirs)


def test_every_type_is_used() -> None:
    text = definition(NAME).text
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for name in definition(NAME).types:
        assert lines.count(name) > 1, name


def test_every_member_is_explained_in_lines_of_a_readable_length() -> None:
    lines = definition(NAME).text.splitlines()
    assert max(map(len, lines)) <= 120
    assert all(line == line.rstrip() for line in lines)
