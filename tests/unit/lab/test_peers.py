"""peers/: the descriptions, the versions, and one client in its cage."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from holdfast_lab.bench.room import Room, lease_of
from holdfast_lab.peers import ALL, FLOOR, HOLDFAST, Peer, by_python, cage, find, installed, version_in, version_of
from holdfast_lab.peers.running import Usage, Work, size_in, used, wakeups_of


def test_every_description_names_its_interface_once() -> None:
    for name, peer in ALL.items():
        assert peer.name == name
        text = " ".join([*peer.command, *peer.files.values()])
        assert text.count("{iface}") == 1


def test_holdfast_starts_as_its_unit_starts_it() -> None:
    words, roots = HOLDFAST.argv("eth0")
    assert (words[:3], words[4:], roots) == ([sys.executable, "-IS", "-c"], ["eth0"], [])
    assert words[3].endswith("; from holdfast.runtime.__main__ import main; sys.exit(main())")
    assert set(HOLDFAST.environment) == {"STATE_DIRECTORY", "RUNTIME_DIRECTORY"}


def test_a_program_that_is_not_there() -> None:
    assert find("no-such-client") is None
    peer = Peer("x", ("no-such-client",), ("no-such-client", "--version"))
    assert version_of(peer) is None
    with pytest.raises(FileNotFoundError):
        peer.argv("eth0")


def test_an_unpacked_program_is_started_from_its_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    script = tmp_path / "bin" / "some-client"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nexec true\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    peer = Peer("x", ("some-client", "{iface}"), ("some-client",))
    assert peer.argv("eth0") == (["some-client", "eth0"], [str(tmp_path / "root")])
    script.write_bytes(b"\x7fELF")  # a copy of the installed program runs as it is
    assert peer.argv("eth0") == ([str(script), "eth0"], [])


def test_an_unpacked_program_is_asked_for_its_version_without_the_script_s_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    program, script = tmp_path / "root" / "client", tmp_path / "bin" / "client"
    program.write_text('#!/bin/sh\n[ "$*" = --version ] && echo "client $NUMBER" || echo "usage: client"\n')
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nNUMBER=9.4.1\nexport NUMBER\nexec {program} --script /x "$@"\n')
    for path in (program, script):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    assert version_of(Peer("x", ("client", "{iface}"), ("client", "--version"))) == "9.4.1"
    script.write_text(f'#!/bin/sh\nNUMBER=2\nexport NUMBER\nexec {program} "$@"\n')
    assert version_of(Peer("x", ("client", "{iface}"), ("client", "--version"))) == "2"


@pytest.mark.root
def test_the_floor_sends_a_discover_and_nothing_else() -> None:
    with Room("floor", lease_of(3600), peer=FLOOR) as room:
        started = room.start().started
        assert room.first_discover(30) > started
        assert [seen.kind for seen in room.server.wire.all() if seen.direction == "in"] == ["DISCOVER"]
    assert not FLOOR.binds
    assert version_of(FLOOR) == sys.version.split()[0]


def test_holdfast_by_another_python() -> None:
    ours, least = by_python(sys.executable)
    version = ".".join(map(str, sys.version_info[:2]))
    assert (ours.name, least.name, least.binds) == (f"holdfast, Python {version}", f"floor, Python {version}", False)
    assert ours.command == HOLDFAST.command
    with pytest.raises(RuntimeError, match="/bin/false is no Python"):
        by_python("/bin/false")


def test_layers_go_under_the_machines_folders(tmp_path: Path) -> None:
    (tmp_path / "a:b" / "etc").mkdir(parents=True)
    assert cage.below("/etc", "/etc", [str(tmp_path / "a:b"), "/none"]) == rf"lowerdir=/etc:'{tmp_path}/a\:b/etc'"
    assert cage.below("/etc", "/etc", []) == "lowerdir=/etc"


def test_a_python_package_that_is_not_there() -> None:
    assert version_of(Peer("x", (sys.executable,), (sys.executable, "-I", "-c", "import no_such_package"))) is None
    assert version_of(Peer("x", (sys.executable,), (sys.executable, "-I", "-c", "print('4.2')"))) == "4.2"


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("isc-dhclient-4.4.3-P1", "4.4.3-P1"),
        ("dhcpcd 9.4.1\nCopyright (c) 2006-2021 Roy Marples", "9.4.1"),
        ("BusyBox v1.35.0 (Debian 1:1.35.0-4+b1) multi-call binary.", "1.35.0"),
        ("systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT", "252"),
        ("1.42.4", "1.42.4"),
        ("usage: nothing", "unknown"),
        ("usage: dhcpcd [-146ABbDdEGgHJKLMNPpqTV] [-C, --nohook hook] [-4|6]]", "unknown"),
        ("dhcpcd 10.1.0\nCompiled in features: INET", "10.1.0"),
        ("1.2-rc1+dfsg~x", "1.2-rc1+dfsg~x"),
    ],
)
def test_versions_are_found_in_banners(banner: str, version: str) -> None:
    assert version_in(banner) == version


def test_what_is_not_installed_is_named_and_left_out() -> None:
    found, missing = installed(["dhclient", "udhcpc"], lambda peer: "1" if peer.name == "udhcpc" else None)
    assert (found, missing) == ({"udhcpc": "1"}, ["dhclient"])
    with pytest.raises(KeyError):
        installed(["nobody"])


def test_numbers_from_proc() -> None:
    rollup = "5581-7ffd ---p 0 00:00 0    [rollup]\nRss:       3720 kB\nPss:       1507 kB\nPss_Dirty: 9 kB\n"
    assert size_in(rollup, "Pss") == 1507 * 1024
    assert size_in(rollup, "Rss") == 3720 * 1024
    assert size_in("", "Pss") == 0
    assert wakeups_of("Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t9\n") == 12
    assert wakeups_of("") == 0


def test_use_between_two_readings_counts_new_processes_and_forgets_ended_ones() -> None:
    before = Usage(0, 0, {10: Work(1.0, 5), 11: Work(9.0, 90)})
    after = Usage(0, 0, {10: Work(1.5, 7), 12: Work(0.25, 1)})
    assert used(before, after) == Work(0.75, 3)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make namespaces")
def test_a_client_in_its_cage_changes_nothing_outside() -> None:
    resolver = Path("/etc/resolv.conf").read_bytes()
    with Room("holdfast", lease_of(3600)) as room:
        running = room.start()
        assert room.first_address(20) > room.first_discover(1) > running.started
        room.server.wire.wait_for(lambda seen: seen.kind == "ACK", 5)
        pids = running.pids()
        usage = running.usage()
        assert usage.pss > 0
        assert usage.work
        assert not room.address_removed()
    assert not [pid for pid in pids if Path(f"/proc/{pid}/comm").exists()]
    assert Path("/etc/resolv.conf").read_bytes() == resolver
