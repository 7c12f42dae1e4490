"""Cases as they are read from their folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.guests.cases.case import CaseError, read, read_all
from tests.support.guests.files import Link
from tests.support.guests.place import ROOT


def put(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "case.toml").write_text(text)
    return folder


def test_a_case(tmp_path: Path) -> None:
    folder = put(tmp_path / "one", (
        'source = "a rack"\nmanager = "netplan"\ninterface = "br0"\nipv6 = "slaac"\nmachine = "qemu"\nbaked = true\n'
        'executable = ["/etc/run"]\nlinks = { "/etc/link" = "/etc/run" }\nnow = "accepted"\n'
    ))
    root = folder / "root" / "etc"
    root.mkdir(parents=True)
    for name in ("run", "a.nmconnection", "plain"):
        (root / name).write_text(name)
    (root / "own").symlink_to("plain")
    case = read(folder)
    assert (case.name, case.manager, case.interface, case.ipv6) == ("one", "netplan", "br0", "slaac")
    assert case.virtual_machine
    assert case.baked
    files = case.files()
    modes = {path: file.mode for path, file in files.items() if not isinstance(file, Link)}
    assert modes == {"/etc/run": 0o755, "/etc/a.nmconnection": 0o600, "/etc/plain": 0o644}
    assert files["/etc/link"] == Link("/etc/run")
    assert files["/etc/own"] == Link("plain")


@pytest.mark.parametrize(("text", "said"), [
    ("", "manager is one of"), ('manager = "wicked"\n', "not 'wicked'"), ('manager = "bare"\nipv6 = "6to4"\n', "6to4"),
    ('manager = "bare"\nmachine = "xen"\n', "xen"), ('manager = "bare"\ncolour = "blue"\n', "no key 'colour'"),
    ("manager = \n", "case.toml: "),
])
def test_a_case_that_cannot_be_read(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=said):
        read(put(tmp_path / "one", text))


def test_cases_are_chosen_by_their_names(tmp_path: Path) -> None:
    for name in "cab":
        put(tmp_path / name, 'manager = "bare"\n')
    assert [case.name for case in read_all(tmp_path)] == ["a", "b", "c"]
    assert [case.name for case in read_all(tmp_path, ["c", "a"])] == ["a", "c"]
    with pytest.raises(CaseError, match="no case 'd'"):
        read_all(tmp_path, ["d"])
    with pytest.raises(CaseError, match="has no cases"):
        read_all(tmp_path / "a")


def test_the_projects_own_cases_can_be_read() -> None:
    cases = read_all(ROOT / "tests" / "guests")
    assert len(cases) >= 60
    assert all(case.source for case in cases)
    assert {case.manager for case in cases} == {"netplan", "networkd", "networkmanager", "ifupdown", "bare"}
