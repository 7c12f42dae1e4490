"""What every adapter does, whatever its client: ``model.Adapter``'s contract. What only one does is in its own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.adapters.machines import ADDRESS, MACHINES, Machine

from holdfast.takeover.detection import ADAPTERS, adapter_called, find_client
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.journal import codec
from holdfast.takeover.model import Adapter, Command, FileChange, ForeignLease, Found, ListEntry

#: Not UTF-8, a bracket that nobody closes, an escape sequence, numbers out of range, a line without an end.
HOSTILE = (b"", b"\xff\xfe\x00{[" * 100, b"\x1b[2J=\x1b]0;x\x07\n", b"ADDRESS=999.1.1.1\nNETMASK=x\nLIFETIME=-1\n",
           b'lease {\n  interface "eth0";\n  expire never', b"A" * 70_000)


#: What would take the address away, or say RELEASE.
RELEASING = ("ifdown", " -r ", " -x ", " -k ", "systemctl stop", "flush", "release", "networkctl re")


@pytest.fixture(params=[adapter.name for adapter in ADAPTERS])
def machine(request: pytest.FixtureRequest) -> Machine:
    name: str = request.param
    return MACHINES[name]


@pytest.fixture
def adapter(machine: Machine) -> Adapter:
    return adapter_called(machine.adapter)


@pytest.fixture
def host(machine: Machine, tmp_path: Path) -> FakeHost:
    return machine.make(tmp_path)


def find(adapter: Adapter, host: FakeHost) -> Found:
    found = adapter.find(host, "eth0")
    assert found is not None
    return found


def read(adapter: Adapter, host: FakeHost) -> tuple[Found, ForeignLease]:
    found = find(adapter, host)
    return found, adapter.read(host, found)


def own(adapter: Adapter, host: FakeHost) -> tuple[Found, ForeignLease]:
    """As a take-over does before it stops the client."""
    found, lease = read(adapter, host)
    for change in adapter.own(host, found, lease).volatile:
        if isinstance(change, FileChange):
            host.put(change.path, change.content or b"")
    return found, lease


def outside_proc(host: FakeHost) -> Mapping[str, bytes]:
    return {path: content for path, content in host.tree().items() if not path.startswith("proc/")}


def test_none(machine: Machine, adapter: Adapter, tmp_path: Path) -> None:
    """Its files are there, and nothing runs."""
    assert adapter.find(machine.make(tmp_path, running=False), "eth0") is None


def test_one(machine: Machine, adapter: Adapter, host: FakeHost) -> None:
    found = find(adapter, host)
    assert (found.client, found.manager, found.ifname, found.pids) == (machine.client, machine.adapter, "eth0", (64,))
    assert "eth0" in found.evidence
    if machine.manager_of_all:
        return
    host.links["eth1"] = host.links["eth0"]._replace(name="eth1", ifindex=3)
    assert adapter.find(host, "eth1") is None, "it serves another"


def test_it_is_the_one_of_all_adapters(machine: Machine, host: FakeHost) -> None:
    """Its own client's adapter finds the same process, and does not count."""
    adapter, found = find_client(host, "eth0")
    assert (adapter.name, found.manager) == (machine.adapter, machine.adapter)


def test_two(machine: Machine, adapter: Adapter, host: FakeHost) -> None:
    machine.start(host, 65)
    if not machine.alone:
        assert len(find(adapter, host).pids) == 1, "systemd runs one"
        return
    with pytest.raises(TakeoverError, match=f"two {machine.client}s serve eth0: .*64.*65"):
        adapter.find(host, "eth0")


def test_looking_changes_nothing(adapter: Adapter, host: FakeHost) -> None:
    before = host.tree()
    found, lease = read(adapter, host)
    adapter.own(host, found, lease)
    assert host.tree() == before
    assert (host.killed, host.started, host.performed) == ([], [], [])
    assert not any(word in command for command in host.ran for word in ("stop", "start", "restart", "set", "-w"))


def test_the_lease(adapter: Adapter, host: FakeHost) -> None:
    _, lease = read(adapter, host)
    assert lease.address == ADDRESS
    assert lease.started_at <= host.now <= lease.expires_at
    assert lease.started_at <= lease.t1_at <= lease.t2_at <= lease.expires_at
    assert lease.source
    table = codec.lease_to_json(lease)
    assert codec.lease_from_json(table) == lease, "it goes through a journal as it is"


def test_what_lasts_is_no_part_of_what_is_gone_after_a_boot(adapter: Adapter, host: FakeHost) -> None:
    found, lease = read(adapter, host)
    owned = adapter.own(host, found, lease)
    volatile = [change.path for change in owned.volatile if isinstance(change, FileChange)]
    assert all(path.startswith("/run/") for path in volatile)
    persistent = [change for change in owned.persistent if isinstance(change, FileChange)]
    assert not any(change.path.startswith("/run/") for change in persistent)
    for change in (*owned.volatile, *owned.persistent):
        if isinstance(change, FileChange):
            assert change.content, change.path
            assert change.mode & 0o022 == 0
        else:
            assert isinstance(change, (Command, ListEntry))


def test_a_stop_leaves_the_address(adapter: Adapter, host: FakeHost) -> None:
    """SIGKILL or the manager's own way: nothing that releases or flushes; and it may be done twice."""
    found, _ = own(adapter, host)
    for _ in range(2):
        adapter.stop(host, found)
        assert host.observed.find(ADDRESS) is not None
        assert host.performed == []
        assert {number for _, number in host.killed} <= {9}
        told = [" ".join(command) for command in host.ran]
        assert not [line for line in told if any(word in line for word in RELEASING)]


def test_it_is_handed_back(machine: Machine, adapter: Adapter, host: FakeHost) -> None:
    """With what the journal kept: started once, by its unit or as it was, and the address is there."""
    found, lease = own(adapter, host)
    adapter.stop(host, found)
    for change in adapter.own(host, found, lease).volatile:
        if isinstance(change, FileChange):
            host.remove(change.path)
    ran, already = len(host.ran), len(host.started)
    adapter.give_back(host, found, lease)
    by_unit = [command for command in host.ran[ran:] if command[1:2] in (("start",), ("restart",))]
    own_way = host.started[already:]
    assert len(by_unit) + len(own_way) == 1
    assert host.observed.find(ADDRESS) is not None
    for argv, environment in own_way:
        assert argv[argv.index("--") + 1].endswith(machine.client)
        assert environment["PATH"]


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_input(machine: Machine, adapter: Adapter, host: FakeHost, content: bytes) -> None:
    """Its lease file, what its programs say, its configuration: a lease, or a TakeoverError of one line."""
    found = find(adapter, host)
    for path in {machine.lease, *machine.configuration} - {""}:
        host.put(path, content)
    try:
        again = adapter.find(host, "eth0")
        if again is not None:
            lease = adapter.read(host, again)
            adapter.own(host, again, lease)
        adapter.read(host, found)
    except TakeoverError as error:
        told = str(error)
    else:
        told = ""
    assert "\n" not in told
    assert outside_proc(host)
