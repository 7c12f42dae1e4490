"""runtime.statefiles: whose the files of a state folder are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.core.lease import Binding
from holdfast.state import inventory
from holdfast.state.identity import Identity
from holdfast.state.lease_store import LeaseStore
from holdfast_lab.testbed.virtual_host import VirtualClock, lease_of

ME = Identity("a" * 32, "uuid-1", "02:00:00:00:00:01")
OTHER = ME._replace(machine_id="b" * 32)
NOW, BEFORE = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def save(folder: Path, ifname: str, identity: Identity) -> None:
    clock = VirtualClock()
    LeaseStore(str(folder), ifname, identity, clock, lambda *_: None).save(Binding(lease_of(clock)))


def history(folder: Path, ifname: str, boot_id: str) -> None:
    plain = boot_id.replace("-", "")
    (folder / f"{ifname}.outcomes.jsonl").write_text(f'{{"boot_id":"x"}}\n{{"boot_id":"{plain}"}}\n')


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_our_files_by_interface(tmp_path: Path) -> None:
    ours = ["eth0.lease.json", "eth0.lease.json.bad", "eth0.outcomes.jsonl", "eth0.outcomes.jsonl.1", "eth0.yield",
            ".eth0.lease.json.tmp", "eth0.client-id", ".eth0.client-id.tmp", "a.b.lease.json"]
    for name in [*ours, "README", ".lease.json", ".hidden.outcomes.jsonl", "takeover"]:
        (tmp_path / name).touch()
    found = inventory.by_interface(str(tmp_path))
    assert {name: len(paths) for name, paths in found.items()} == {"eth0": 8, "a.b": 1}
    inventory.remove([path for paths in found.values() for path in [*paths, *paths]])
    assert names(tmp_path) == [".hidden.outcomes.jsonl", ".lease.json", "README", "takeover"]


def test_a_new_name_takes_the_files_along_and_keeps_its_own_history(tmp_path: Path) -> None:
    save(tmp_path, "eth0", ME)
    save(tmp_path, "wan0", OTHER)
    lease = (tmp_path / "eth0.lease.json").read_bytes()
    history(tmp_path, "eth0", NOW)
    inventory.rename(str(tmp_path), "eth0", "ens3")
    assert names(tmp_path) == [
        "ens3.client-id", "ens3.lease.json", "ens3.outcomes.jsonl", "wan0.client-id", "wan0.lease.json",
    ]
    history(tmp_path, "wan0", BEFORE)
    inventory.rename(str(tmp_path), "ens3", "wan0")
    assert (tmp_path / "wan0.lease.json").read_bytes() == lease
    assert BEFORE.replace("-", "") in (tmp_path / "wan0.outcomes.jsonl").read_text()


def test_what_a_former_machine_left_goes(tmp_path: Path) -> None:
    save(tmp_path, "eth0", OTHER)
    history(tmp_path, "eth0", BEFORE)
    (tmp_path / "eth0.yield").touch()
    history(tmp_path, "eth1", BEFORE)  # its lease was released
    (tmp_path / "eth2.lease.json").write_text("{")
    save(tmp_path, "eth3", ME)  # another agent of this machine was quicker
    history(tmp_path, "eth3", BEFORE)
    history(tmp_path, "eth4", NOW)
    (tmp_path / "other").touch()
    gone = inventory.forget_former_machine(str(tmp_path), ME, NOW)
    assert gone == ["eth0", "eth1", "eth2"]
    assert names(tmp_path) == [
        "eth3.client-id", "eth3.lease.json", "eth3.outcomes.jsonl", "eth4.outcomes.jsonl", "other",
    ]
    assert "eth0, eth1" in inventory.removal_text(gone)


def test_on_the_same_machine_nothing_goes(tmp_path: Path) -> None:
    save(tmp_path, "eth0", ME._replace(mac="02:00:00:00:00:02"))
    history(tmp_path, "eth1", BEFORE)
    before = names(tmp_path)
    assert inventory.forget_former_machine(str(tmp_path), ME, NOW) == []
    assert inventory.forget_former_machine(str(tmp_path / "none"), ME, NOW) == []
    assert names(tmp_path) == before


def test_a_lease_of_another_link_of_this_machine_goes_alone(tmp_path: Path) -> None:  # rule 49
    save(tmp_path, "eth0", ME._replace(mac="02:00:00:00:00:02"))
    save(tmp_path, "eth1", ME)
    history(tmp_path, "eth0", BEFORE)
    said: list[str] = []
    store = LeaseStore(str(tmp_path), "eth0", ME, VirtualClock(), lambda priority, text: said.append(text))
    assert store.load() is None
    assert len(said) == 1
    assert names(tmp_path) == ["eth0.outcomes.jsonl", "eth1.client-id", "eth1.lease.json"]


@pytest.mark.parametrize("stored", [OTHER, OTHER._replace(mac="02:00:00:00:00:02"), ME._replace(product_uuid="uuid-2")])
def test_a_copied_disk_is_cleaned_where_it_is_noticed(tmp_path: Path, stored: Identity) -> None:  # rule 49
    save(tmp_path, "eth0", stored)
    save(tmp_path, "eth1", stored)
    history(tmp_path, "eth0", BEFORE)
    said: list[str] = []
    store = LeaseStore(str(tmp_path), "eth0", ME, VirtualClock(), lambda priority, text: said.append(text))
    assert store.load() is None
    assert names(tmp_path) == []
    assert "is not used" in said[0]
    assert "another machine's" in said[1]


def test_pipes_keep_nobody_waiting(tmp_path: Path) -> None:
    """They are no leases; and no histories of this boot either, so they go with what a former machine left."""
    save(tmp_path, "eth0", OTHER)
    for name in ("eth1.lease.json", "eth1.outcomes.jsonl"):
        os.mkfifo(tmp_path / name)
    writer = os.open(tmp_path / "eth1.lease.json", os.O_RDWR)
    assert inventory.forget_former_machine(str(tmp_path), ME, NOW) == ["eth0", "eth1"]
    os.close(writer)
