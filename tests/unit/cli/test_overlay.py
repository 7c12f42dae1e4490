"""``holdfast overlay``: the table, and the same result as the unit's program."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.commands import overlay as command
from holdfast.managers import __main__ as oneshot
from holdfast.managers import overlay
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Link, Takeout

NETWORK = "/etc/systemd/network/10-lan.network"
DROP_IN = "/run/systemd/network/05-holdfast-ens3.network"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image where networkd does DHCPv4 on ens3 and on ens4, and in a way that is refused on ens5."""
    unit = "/usr/lib/systemd/system/systemd-networkd.service"
    for path, text in {
        NETWORK: "[Match]\nName=ens3 ens4\n[Network]\nDHCP=yes\n",
        "/etc/systemd/network/20-odd.network": "[Match]\nName=ens5\n[Network]\nDHCP=yes\n[DHCPv4]\nSendOption=9:x\n",
        unit: "[Unit]\n", "/etc/hostname": "guest\n", "/run/systemd/notify": "",
        "/etc/holdfast/links": "ens3\nens5\nens9\n",
    }.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text(text)
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "systemd-networkd.service").symlink_to(unit)
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_table_says_what_would_be_made_of_which_file_and_what_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(root)
    assert main(["overlay", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert files(root) == before
    assert lines == [
        "LINK  MANAGER           WHAT",
        f"ens3  systemd-networkd  reads    {NETWORK}",
        "ens3  systemd-networkd  setting  routes_to_dns = true",
        "ens3  systemd-networkd  setting  routes_to_ntp = true",
        "ens3  systemd-networkd  setting  use_domains = false",
        "ens3  systemd-networkd  setting  use_mtu = false",
        "ens3  systemd-networkd  setting  metric = 1024",
        'ens3  systemd-networkd  setting  hostname = "@system"',
        'ens3  systemd-networkd  setting  client_id = "networkd"',
        "ens3  -                 write    /run/holdfast-overlay/settings/50-ens3.toml",
        f"ens3  -                 write    {DROP_IN}.d/zz-holdfast.conf",
        f"ens3  -                 link     {DROP_IN} -> {NETWORK}",
        "ens5  systemd-networkd  reads    /etc/systemd/network/20-odd.network",
        "ens5  -                 refused  /etc/systemd/network/20-odd.network: [DHCPv4] SendOption=9:x cannot be "
        "honoured: it is not NUMBER:TYPE:DATA",
        "ens5  -                 write    /run/holdfast-overlay/refused/ens5",
        "ens9  -                 nothing  no manager does DHCPv4 on it",
    ]


def test_what_is_there_already_and_what_would_be_removed_is_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert oneshot.main([], str(root)) == 0
    (root / "etc/holdfast/links").write_text("ens3\n")
    assert main(["overlay", "--dry-run", "--root", str(root)]) == 0
    out = capsys.readouterr().out
    assert f"has      {DROP_IN}.d/zz-holdfast.conf" in out
    assert "ens5  -                 remove   /run/holdfast-overlay/refused/ens5" in out
    assert "write" not in out


def test_mounts_and_hooks_that_are_lost_are_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, text in {
        "etc/network/interfaces": "auto ens9\niface ens9 inet dhcp\n", "usr/sbin/ifup": "", "usr/sbin/dhclient": "",
        "etc/dhcp/dhclient-exit-hooks.d/own": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "etc/systemd/system/multi-user.target.wants/networking.service").symlink_to("/lib/networking.service")
    assert main(["overlay", "--root", str(root)]) == 0
    out = capsys.readouterr().out
    assert "ens9  -                 mount    /run/holdfast-overlay/ifupdown/etc/network/interfaces over " \
           "/etc/network/interfaces" in out
    assert "ens9  ifupdown          lost     /etc/dhcp/dhclient-exit-hooks.d/own is not run" in out


def test_without_a_dry_run_it_makes_what_the_unit_makes(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[overlay.Overlay] = []

    def write(computed: overlay.Overlay, _root: str = "/", *, binds: bool = True) -> bool:
        assert binds
        written.append(computed)
        return overlay.changes(computed, str(root)).made != frozenset()

    monkeypatch.setattr(command, "Tree", lambda _: Tree(str(root)))
    monkeypatch.setattr(overlay, "write", write)
    assert main(["overlay"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "the overlay of ens3 is made\n"
    assert captured.err.startswith("holdfast: ens5 stays with its former client: /etc/systemd/network/20-odd.network")
    monkeypatch.undo()
    assert oneshot.main([], str(root)) == 0
    monkeypatch.setattr(command, "Tree", lambda _: Tree(str(root)))
    monkeypatch.setattr(overlay, "write", write)
    capsys.readouterr()
    assert main(["overlay"]) == 0
    assert capsys.readouterr().out == "the overlay of ens3 is there already\n"
    assert written[0].entries() == written[1].entries()


def test_without_a_list_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlay", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "Holdfast serves no link here: /etc/holdfast/links names none\n"


def test_every_error_is_one_line_with_its_status(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["overlay", "--root", f"{root}/none"]) == 1
    assert capsys.readouterr().err == f"holdfast: {root}/none cannot be read: No such file or directory\n"
    (root / "etc/holdfast/links").write_text("ens3 ens4\n")
    assert main(["overlay", "--root", str(root)]) == 6
    assert "/etc/holdfast/links" in capsys.readouterr().err
    (root / "etc/holdfast/links").write_text("ens3\n")

    def outside(_tree: Tree, link: Link) -> Takeout:
        return Takeout("networkd", "x", (overlay.Symlink("/etc/x", f"/{link.name}"),))

    monkeypatch.setattr(overlay, "MANAGERS", {"networkd": outside})
    assert main(["overlay", "--root", str(root)]) == 1
    assert capsys.readouterr().err.startswith("holdfast: '/etc/x' is not below /run")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["overlay"]) == 5
    assert capsys.readouterr().err == "holdfast: what the managers read is root's: run `holdfast overlay` as root\n"


def test_files_that_cannot_be_read_in_time_end_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hangs(_tree: Tree, _link: Link) -> None:
        time.sleep(60)

    monkeypatch.setattr(overlay, "MANAGERS", {"networkd": hangs})
    monkeypatch.setattr(command, "PATIENCE", 1)
    assert main(["overlay", "--root", str(root)]) == 1
    assert capsys.readouterr().err == "holdfast: the managers' files were not read within 1 s; nothing was made\n"
