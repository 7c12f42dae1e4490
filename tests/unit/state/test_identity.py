"""runtime.identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.state.identity import Identity, read_identity, read_line

ME = Identity("a" * 32, "uuid-1", "02:00:00:00:00:01")


def test_the_same_machine_and_link() -> None:
    assert ME.differs_from(ME) is None


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        (ME._replace(mac="02:00:00:00:00:02"), "the hardware address was 02:00:00:00:00:02"),
        (ME._replace(mac=""), "the hardware address was unknown"),
        (ME._replace(machine_id="b" * 32), "the machine-id is another"),
        (ME._replace(product_uuid="uuid-2"), "the product UUID is another"),
    ],
)
def test_a_copied_disk_is_noticed(stored: Identity, what: str) -> None:
    assert ME.differs_from(stored) == what


def test_what_either_side_does_not_know_is_not_compared() -> None:
    # Without root the product UUID cannot be read; in an image's first boot there is no machine-id yet.
    assert ME.differs_from(ME._replace(product_uuid="")) is None
    assert ME._replace(machine_id="").differs_from(ME) is None


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("c" * 32 + "\n")
    (tmp_path / "uuid").write_text("ABCD-EF\n")
    found = read_identity(b"\x02\0\0\0\0\x01", machine_id=str(tmp_path / "machine-id"),
                          product_uuid=str(tmp_path / "uuid"))
    assert found == Identity("c" * 32, "abcd-ef", "02:00:00:00:00:01")


def test_an_image_before_its_first_boot_has_no_machine_id(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("uninitialized\n")
    assert read_identity(b"", machine_id=str(tmp_path / "machine-id")).machine_id == ""


def test_another_link_is_not_another_machine() -> None:
    assert ME.differs_as_machine(ME._replace(mac="02:00:00:00:00:02")) is None
    assert ME.differs_as_machine(ME._replace(machine_id="b" * 32)) == "the machine-id is another"


def test_what_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert read_line(str(tmp_path / "none")) == ""
    assert read_line(str(tmp_path)) == ""  # a folder
    os.mkfifo(tmp_path / "pipe")
    assert read_line(str(tmp_path / "pipe")) == ""  # nobody writes, and nobody waits
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + b"x" * 1000)
    assert len(read_line(str(tmp_path / "binary"))) == 128


def test_a_daemon_that_is_not_root_is_handed_the_uuid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "missing")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_identity(b"\x02" * 6, machine_id=missing, product_uuid=missing).product_uuid == ""
    (tmp_path / "product_uuid").write_text("6A1B3AB6-1D5C-4D8F-9A5B-2F2F0C7D9E11\n")
    assert read_identity(b"\x02" * 6, machine_id=missing, product_uuid=missing).product_uuid.startswith("6a1b3ab6-")
    (tmp_path / "sys").write_text("00000000-0000-0000-0000-000000000001\n")
    seen = read_identity(b"\x02" * 6, machine_id=missing, product_uuid=str(tmp_path / "sys"))
    assert seen.product_uuid.endswith("1")  # what it can read itself goes before
