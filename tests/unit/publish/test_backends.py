"""network.resolver and network.resolvconf: the ladder, resolvconf(8), and the file. Never the machine's own."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from holdfast.network import ResolverError
from holdfast.publish import resolvconf
from holdfast.publish.backends import Resolver, ladder
from holdfast.publish.publisher import replace
from holdfast.publish.resolvconf import HEADER, ResolvConf, Resolvconf, Target
from holdfast.publish.spool import Names
from holdfast.state import atomic
from holdfast_lab.testbed import fair_time

ETH0, ETH1 = Target("eth0", 2), Target("eth1", 3)


def names(*servers: str, search: tuple[str, ...] = ()) -> Names:
    return Names(tuple(map(IPv4Address, servers)), search, default_route=True)


# -- the ladder ----------------------------------------------------------------------------------


class Rung:
    """A backend that is there or not, and remembers what it was asked."""

    def __init__(self, name: str, log: list[str], there: bool = True) -> None:
        self.name, self.log, self.there = name, log, there
        self.error: ResolverError | None = None

    def publish(self, link: Target, names: Names) -> bool:
        return self._note("publish", link)

    def withdraw(self, link: Target) -> bool:
        return self._note("withdraw", link)

    def _note(self, what: str, link: Target) -> bool:
        if self.error is not None:
            raise self.error
        if self.there:
            self.log.append(f"{self.name} {what} {link.ifname}")
        return self.there


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def rungs(log: list[str]) -> list[Rung]:
    return [Rung("one", log, there=False), Rung("two", log), Rung("three", log)]


def test_the_first_that_is_there_is_used(rungs: list[Rung], log: list[str]) -> None:
    resolver = Resolver(rungs)
    assert resolver.publish("eth0", 2, names("10.0.0.2")) == "two"
    assert resolver.withdraw("eth0", 2) == "two"
    assert log == ["two publish eth0", "two withdraw eth0"]


def test_one_that_refuses_is_not_passed_by(rungs: list[Rung], log: list[str]) -> None:
    rungs[1].error = ResolverError("busy")
    with pytest.raises(ResolverError, match="busy"):
        Resolver(rungs).publish("eth0", 2, names("10.0.0.2"))
    assert log == []


def test_a_better_one_that_comes_up_later_takes_over(rungs: list[Rung], log: list[str]) -> None:
    """systemd-resolved and D-Bus start after us."""
    resolver = Resolver(rungs)
    resolver.publish("eth0", 2, names("10.0.0.2"))
    rungs[0].there = True
    assert resolver.publish("eth0", 2, names("10.0.0.2")) == "one"
    assert log == ["two publish eth0", "one publish eth0", "two withdraw eth0"]


def test_a_former_one_that_cannot_be_cleaned_is_no_obstacle(rungs: list[Rung]) -> None:
    resolver = Resolver(rungs)
    resolver.publish("eth0", 2, names("10.0.0.2"))
    rungs[0].there, rungs[1].error = True, ResolverError("cannot be cleaned")
    assert resolver.publish("eth0", 2, names("10.0.0.2")) == "one"


def test_a_renamed_interface_is_withdrawn_under_its_old_name(rungs: list[Rung], log: list[str]) -> None:
    resolver = Resolver(rungs)
    resolver.publish("eth0", 2, names("10.0.0.2"))
    resolver.publish("wan0", 2, names("10.0.0.2"))
    resolver.withdraw("wan0", 2)
    assert log == ["two publish eth0", "two publish wan0", "two withdraw eth0", "two withdraw wan0"]


def test_no_names_is_nothing_to_publish(rungs: list[Rung], log: list[str]) -> None:
    resolver = Resolver(rungs)
    resolver.publish("eth0", 2, names("10.0.0.2"))
    resolver.publish("eth0", 2, names())
    assert log == ["two publish eth0", "two withdraw eth0"]


def test_where_an_earlier_one_published_is_known(rungs: list[Rung], log: list[str]) -> None:
    earlier = Resolver(rungs)
    earlier.publish("eth0", 2, names("10.0.0.2"))
    assert earlier.used == {2: ("two", "eth0")}
    assert Resolver(rungs, {**earlier.used, 3: ("none of these", "eth1")}).withdraw("eth0", 2) == "two"
    assert log == ["two publish eth0", "two withdraw eth0"]


def test_after_a_restart_only_what_says_that_it_is_ours_is_cleaned(rungs: list[Rung], log: list[str]) -> None:
    assert Resolver(rungs).withdraw("eth0", 2) == "three"
    rungs[2].there = False
    assert Resolver(rungs).withdraw("eth0", 2) == ""
    with pytest.raises(ResolverError, match="nowhere"):
        Resolver(rungs[:1]).publish("eth0", 2, names("10.0.0.2"))


def test_the_machine_s_own_ladder() -> None:
    rungs = ladder("/nonexistent", atomic.write, print)
    assert [rung.name for rung in rungs] == [
        "systemd-resolved", "resolvconf", "NetworkManager", "dhcpcd", "resolv.conf"]


# -- resolvconf(8) -------------------------------------------------------------------------------


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_resolvconf_gets_a_record_on_stdin(tmp_path: Path) -> None:
    keep = f'echo "$@" > {tmp_path}/args; cat > {tmp_path}/stdin; env > {tmp_path}/env'
    program = script(tmp_path / "resolvconf", keep)
    told: list[str] = []
    backend = Resolvconf(told.append, (str(tmp_path / "nonesuch"), program))
    assert backend.publish(ETH0, names("10.0.0.2", "10.0.0.3", search=("a.example", "b.example")))
    assert (tmp_path / "args").read_text() == "-a eth0.holdfast\n"
    assert (tmp_path / "stdin").read_text() == (
        "search a.example b.example\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"
    )
    assert "HOME=" not in (tmp_path / "env").read_text()
    assert backend.withdraw(ETH0)
    assert (tmp_path / "args").read_text() == "-d eth0.holdfast\n"
    assert backend.publish(Target("eth0.7:1@a_b+c-d", 2), names("10.0.0.2"))
    assert told == []


@pytest.mark.parametrize("name", ["e;reboot", "a/b", "$(x)", "é", "*", "eth0\n"])
def test_a_name_that_a_shell_could_read_goes_to_the_next_rung(tmp_path: Path, name: str) -> None:  # rule 73
    program = script(tmp_path / "resolvconf", f'echo "$2" > {tmp_path}/args')
    told: list[str] = []
    backend = Resolvconf(told.append, (program,))
    assert not backend.publish(Target(name, 2), names("10.0.0.2"))
    assert told == [f"{name}: {program} takes no such name, so /etc/resolv.conf is used; rename the interface"]
    assert not backend.withdraw(Target(name, 2))
    assert not (tmp_path / "args").exists()
    assert not Resolvconf(told.append, ()).publish(Target(name, 2), names("10.0.0.2"))
    assert len(told) == 1, "there is no resolvconf to tell of"


def test_systemd_s_own_resolvconf_is_not_one(tmp_path: Path) -> None:
    script(tmp_path / "resolvectl", "exit 1")
    (tmp_path / "resolvconf").symlink_to(tmp_path / "resolvectl")
    assert not Resolvconf(print, (str(tmp_path / "resolvconf"),)).publish(ETH0, names("10.0.0.2"))


def test_a_failing_resolvconf_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {
        "echo one >&2; echo two >&2; exit 3": r"failed \(3\): two$", "exit 4": "no reason", "exec sleep 60": "longer",
    }
    for number, (body, expected) in enumerate(cases.items()):
        program = script(tmp_path / f"resolvconf{number}", body)
        monkeypatch.setattr(resolvconf, "TIMEOUT", 0.1 if "sleep" in body else fair_time.longest(10))
        with pytest.raises(ResolverError, match=expected) as caught:
            Resolvconf(print, (program,)).publish(ETH0, names("10.0.0.2"))
        assert caught.value.temporary is ("sleep" in body)
    broken = tmp_path / "broken"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(ResolverError, match="cannot be run"):
        Resolvconf(print, (str(broken),)).publish(ETH0, names("10.0.0.2"))


# -- the file ------------------------------------------------------------------------------------

Make = Callable[..., ResolvConf]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolv.conf"


@pytest.fixture
def make(tmp_path: Path, path: Path) -> Make:
    def made(interfaces: tuple[str, ...] = ("lo", "eth0", "eth1"), **more: object) -> ResolvConf:
        return ResolvConf(
            str(tmp_path / "saved"), atomic.write, path=str(path), interfaces=lambda: list(interfaces),
            **more,  # type: ignore[arg-type]
        )

    return made


def effective(path: Path) -> list[str]:
    """The lines that a resolver library reads."""
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


FORMER = "# kept by hand: gr\xfc\xdfe\nnameserver 192.0.2.53\noptions edns0\n"


def test_the_former_content_is_kept_and_put_back(make: Make, path: Path) -> None:
    path.write_bytes(FORMER.encode("latin-1"))
    backend = make()
    assert backend.publish(ETH0, names("10.0.0.2", search=("example.org",)))
    assert effective(path) == ["search example.org", "nameserver 10.0.0.2"]
    assert path.read_text().startswith(HEADER)
    assert path.stat().st_mode & 0o777 == 0o644
    assert backend.publish(ETH0, names("10.0.0.3"))
    assert effective(path) == ["nameserver 10.0.0.3"]
    assert make().withdraw(ETH0), "another life of the agent knows its file"
    assert path.read_bytes() == FORMER.encode("latin-1")
    assert not make().withdraw(ETH0)


def test_without_a_former_file_an_empty_one_is_left(make: Make, path: Path) -> None:
    make().publish(ETH0, names("10.0.0.2"))
    make().withdraw(ETH0)
    assert path.read_text() == ""


def test_a_lost_backup_is_no_reason_to_stay(make: Make, path: Path, tmp_path: Path) -> None:
    path.write_text(FORMER)
    make().publish(ETH0, names("10.0.0.2"))
    (tmp_path / "saved").unlink()
    assert make().withdraw(ETH0)
    assert path.read_text() == ""


def test_two_interfaces_share_the_file(make: Make, path: Path) -> None:
    path.write_text(FORMER)
    make().publish(ETH0, names("10.0.0.2", "10.0.0.3", search=("a.example", "b.example")))
    make().publish(ETH1, names("10.0.0.3", "10.1.0.2", search=("b.example", "c.example")))
    assert effective(path) == [
        "search a.example b.example c.example", "nameserver 10.0.0.2", "nameserver 10.0.0.3", "nameserver 10.1.0.2",
    ]
    make().withdraw(ETH0)
    assert effective(path) == ["search b.example c.example", "nameserver 10.0.0.3", "nameserver 10.1.0.2"]
    make().withdraw(ETH1)
    assert path.read_text() == FORMER


def test_records_of_interfaces_that_are_no_more_are_left_out(make: Make, path: Path) -> None:
    make().publish(ETH1, names("10.1.0.2"))
    make(("lo", "eth0")).publish(ETH0, names("10.0.0.2"))
    assert effective(path) == ["nameserver 10.0.0.2"]


def test_a_renewal_writes_nothing(make: Make, path: Path) -> None:
    make().publish(ETH0, names("10.0.0.2"))
    before = path.stat().st_ino
    make().publish(ETH0, names("10.0.0.2"))
    assert path.stat().st_ino == before


def test_a_file_that_somebody_replaced_is_theirs_again(make: Make, path: Path) -> None:
    path.write_text(FORMER)
    make().publish(ETH0, names("10.0.0.2"))
    path.write_text("# by hand\nnameserver 192.0.2.54\n")
    assert not make().withdraw(ETH0)
    assert path.read_text() == "# by hand\nnameserver 192.0.2.54\n"


def test_a_header_alone_does_not_make_it_another_s(make: Make, path: Path) -> None:
    """After a take-over NetworkManager's plain file stays, with its header, and nobody keeps it up."""
    path.write_text("# Generated by NetworkManager\nnameserver 192.0.2.53\n")
    make().publish(ETH0, names("10.0.0.2"))
    assert effective(path) == ["nameserver 10.0.0.2"]
    make().withdraw(ETH0)
    assert path.read_text().startswith("# Generated by NetworkManager")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("temporary", [True, False])
def test_a_link_into_a_manager_s_folder_is_left_alone(
    make: Make, path: Path, tmp_path: Path, exists: bool, temporary: bool
) -> None:
    (tmp_path / "manager").mkdir()
    theirs = tmp_path / "manager" / "resolv.conf"
    if exists:
        theirs.write_text("nameserver 127.0.0.53\n")
    path.symlink_to(theirs)
    backend = make(managed=((f"{tmp_path}/manager/", "somebody", temporary),))
    with pytest.raises(ResolverError, match="belongs to somebody") as caught:
        backend.publish(ETH0, names("10.0.0.2"))
    assert caught.value.temporary is temporary
    assert theirs.exists() is exists
    assert not backend.withdraw(ETH0)


def test_until_systemd_resolved_can_be_told_its_file_has_our_servers(make: Make, path: Path, tmp_path: Path) -> None:
    """Early in a boot there is no D-Bus, and cloud-init wants names already. resolved writes the file anew when it
    is told anything."""
    (tmp_path / "resolve").mkdir()
    theirs = tmp_path / "resolve" / "stub-resolv.conf"
    path.symlink_to(theirs)
    managed = ((f"{tmp_path}/resolve/", "systemd-resolved", True),)
    backend = make(managed=managed, meanwhile=f"{tmp_path}/resolve/")
    with pytest.raises(ResolverError, match="belongs to systemd-resolved"):
        backend.publish(ETH0, names("10.0.0.2"))
    assert not theirs.exists()  # it does not run
    theirs.write_text("nameserver 127.0.0.53\n")
    for _ in range(2):
        with pytest.raises(ResolverError, match="belongs to systemd-resolved") as caught:
            backend.publish(ETH0, names("10.0.0.2"))
        assert caught.value.temporary
        assert effective(path) == ["nameserver 10.0.0.2"]
    assert path.is_symlink()
    assert backend.withdraw(ETH0)
    assert effective(path) == ["nameserver 127.0.0.53"]


@pytest.mark.root
def test_the_folder_of_systemd_resolved_is_its_user_s(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "resolve"
    folder.mkdir()
    (folder / "stub-resolv.conf").write_text("nameserver 127.0.0.53\n")
    os.chown(folder, 65534, 65534)
    path.symlink_to(folder / "stub-resolv.conf")
    backend = ResolvConf(
        str(tmp_path / "saved"), replace, path=str(path), managed=((f"{folder}/", "systemd-resolved", True),),
        meanwhile=f"{folder}/", interfaces=lambda: ["eth0"])
    with pytest.raises(ResolverError, match="belongs to systemd-resolved"):
        backend.publish(ETH0, names("10.0.0.2"))
    assert effective(path) == ["nameserver 10.0.0.2"]


def test_a_file_of_systemd_resolved_that_cannot_be_written_changes_nothing(
    path: Path, tmp_path: Path
) -> None:
    path.symlink_to(tmp_path / "stub-resolv.conf")
    (tmp_path / "stub-resolv.conf").write_text("nameserver 127.0.0.53\n")

    def refuse(path: str, _data: bytes, _mode: int) -> None:
        raise OSError(30, "Read-only file system", path)

    backend = ResolvConf(
        str(tmp_path / "saved"), refuse, path=str(path), managed=((f"{tmp_path}/", "systemd-resolved", True),),
        meanwhile=f"{tmp_path}/", interfaces=lambda: ["eth0"])
    with pytest.raises(ResolverError, match="belongs to systemd-resolved") as caught:
        backend.publish(ETH0, names("10.0.0.2"))
    assert caught.value.temporary


def test_another_link_is_followed(make: Make, path: Path, tmp_path: Path) -> None:
    """A read-only /etc with resolv.conf linked to where it can be written."""
    (tmp_path / "elsewhere").write_text(FORMER)
    path.symlink_to(tmp_path / "elsewhere")
    make().publish(ETH0, names("10.0.0.2"))
    assert path.is_symlink()
    assert effective(tmp_path / "elsewhere") == ["nameserver 10.0.0.2"]
    make().withdraw(ETH0)
    assert (tmp_path / "elsewhere").read_text() == FORMER


def test_nothing_can_be_smuggled_into_another_line(make: Make, path: Path) -> None:  # rule 73
    odd = ["#: eth1 options rotate", "#: eth1", "#: ", "#: eth1 nameserver 10.1.0.2", "nameserver 6.6.6.6"]
    path.write_text("\n".join([HEADER, *odd, ""]))
    make().publish(ETH0, names("10.0.0.2"))
    assert effective(path) == ["nameserver 10.1.0.2", "nameserver 10.0.0.2"]


def test_a_file_that_cannot_be_written_is_told_in_one_line(path: Path, tmp_path: Path) -> None:
    path.write_text(FORMER)

    def full(target: str, data: bytes, mode: int) -> None:
        if target == str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), target)
        atomic.write(target, data, mode)

    backend = ResolvConf(str(tmp_path / "saved"), full, path=str(path), interfaces=lambda: ["eth0"])
    with pytest.raises(ResolverError, match=r"resolv\.conf cannot be replaced: Read-only file system"):
        backend.publish(ETH0, names("10.0.0.2"))
    assert path.read_text() == FORMER
    ResolvConf(str(tmp_path / "saved"), atomic.write, path=str(path)).publish(ETH0, names("10.0.0.2"))
    with pytest.raises(ResolverError, match="cannot be replaced"):
        backend.withdraw(ETH0)


def test_what_a_dhcpv6_client_wrote_last_stays(tmp_path: Path) -> None:
    path, leases = tmp_path / "resolv.conf", tmp_path / "eth0.leases"
    backend = ResolvConf(str(tmp_path / "saved"), atomic.write, path=str(path), interfaces=lambda: ["eth0"],
                         leases=str(tmp_path / "{}.leases"))
    path.write_text("nameserver 10.0.0.9\n")
    leases.write_text('lease6 {\n  option dhcp6.name-servers 2001:db8::1;\n}\n'
                      'lease6 {\n  option dhcp6.name-servers 2001:db8::53,fe80::1;\n}\n')
    assert backend.publish(ETH0, names("10.0.0.2"))
    assert lines(path) == ["nameserver 10.0.0.2"]
    path.write_text("search six.test\nnameserver 2001:db8::53\nnameserver fe80::1%eth0\n")
    assert backend.publish(ETH0, names("10.0.0.2"))
    assert lines(path) == ["search six.test", "nameserver 2001:db8::53", "nameserver fe80::1%eth0"]
    assert backend.publish(ETH1, names("10.0.0.2"))
    assert lines(path) == ["nameserver 10.0.0.2"]


# -- beside NetworkManager -----------------------------------------------------------------------


THEIRS = "# Generated by NetworkManager\nsearch own.test\nnameserver 2620:fe::fe\noptions edns0\n"


class BesideNetworkManager:
    """A machine whose NetworkManager has eth0, and writes ``etc``."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.names, self.state = folder / "resolv.conf", folder / "no-stub", folder / "2"
        self.say(THEIRS)
        self.state.write_text("[device]\nmanaged=true\n")
        self.backend = resolvconf.NetworkManagerFile(
            atomic.write, path=str(self.etc), names=str(self.names), devices=str(folder))

    def say(self, text: str) -> None:
        """As NetworkManager writes both."""
        self.names.write_text(text)
        self.etc.write_text(text)


@pytest.fixture
def beside(tmp_path: Path) -> BesideNetworkManager:
    return BesideNetworkManager(tmp_path)


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_a_lease_s_servers_come_before_networkmanager_s(beside: BesideNetworkManager) -> None:
    assert beside.backend.publish(ETH0, names("10.0.0.2", search=("example.org",)))
    assert lines(beside.etc) == [
        "search example.org own.test", "nameserver 10.0.0.2", "nameserver 2620:fe::fe", "options edns0",
    ]
    assert beside.backend.withdraw(ETH0)
    assert beside.etc.read_text() == THEIRS
    assert not beside.backend.withdraw(ETH0)


def test_networkmanager_s_changes_are_followed(beside: BesideNetworkManager) -> None:
    beside.backend.publish(ETH0, names("10.0.0.2"))
    beside.say("# Generated by NetworkManager\nnameserver 2620:fe::9\n")
    beside.backend.publish(ETH0, names("10.0.0.2"))
    assert lines(beside.etc) == ["nameserver 10.0.0.2", "nameserver 2620:fe::9"]


def test_where_networkmanager_writes_nothing_neither_do_we(beside: BesideNetworkManager) -> None:
    beside.etc.write_text("# by hand\n")
    assert beside.backend.publish(ETH0, names("10.0.0.2"))
    assert beside.etc.read_text() == "# by hand\n"


def test_a_file_has_no_domains_to_route_by(beside: BesideNetworkManager) -> None:
    assert beside.backend.publish(ETH0, names("10.0.0.2", search=("example.org",))._replace(search_routes=True))
    assert lines(beside.etc) == ["search own.test", "nameserver 10.0.0.2", "nameserver 2620:fe::fe", "options edns0"]


def test_networkmanager_may_have_no_names_yet(beside: BesideNetworkManager) -> None:
    beside.names.unlink()
    assert beside.backend.publish(ETH0, names("10.0.0.2"))
    assert lines(beside.etc) == ["nameserver 10.0.0.2"]


def test_a_link_that_networkmanager_has_not_is_the_next_rung_s(beside: BesideNetworkManager) -> None:
    beside.state.write_text("[device]\nmanaged=false\n")
    assert not beside.backend.publish(ETH0, names("10.0.0.2"))
    assert not beside.backend.publish(ETH1, names("10.0.0.2"))
    assert beside.etc.read_text() == THEIRS


def test_a_file_that_is_a_mount_point_is_written_in_place(tmp_path: Path) -> None:
    # rule 94
    path = tmp_path / "resolv.conf"
    path.write_text("domain example.org\nsearch example.org\nnameserver 10.0.0.9\n")
    inode = path.stat().st_ino

    def busy(target: str, data: bytes, mode: int) -> None:
        if target == str(path):
            raise OSError(errno.EBUSY, "Device or resource busy", target)
        atomic.write(target, data, mode)

    backend = ResolvConf(str(tmp_path / "saved"), busy, path=str(path), interfaces=lambda: ["eth0"])
    former = path.read_text()
    assert backend.publish(ETH0, Names((IPv4Address("10.0.0.2"),), ("example.org",), True))
    assert path.read_text().endswith("\ndomain example.org\nsearch example.org\nnameserver 10.0.0.2\n")
    assert backend.withdraw(ETH0)
    assert (path.read_text(), path.stat().st_ino) == (former, inode)
