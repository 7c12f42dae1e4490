"""The overlay: computed from the managers' files, written below /run and nowhere else, and removed without a trace."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.managers import overlay, served_links
from holdfast.managers.__main__ import main
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Entry, File, Link, Passage, Symlink, Takeout
from holdfast.settings.load import load
from holdfast.state import atomic

LINK = Link("ens3")
FILES: tuple[Entry, ...] = (
    Symlink("/run/systemd/network/05-x.network", "/etc/systemd/network/10-x.network"),
    File("/run/systemd/network/05-x.network.d/99.conf", b"[Network]\nDHCP=no\n"),
)


def takeout(**changes: Any) -> Takeout:
    return Takeout("networkd", "/etc/systemd/network/10-x.network", FILES)._replace(**changes)


def overlay_of(*takeouts: Takeout, link: Link = LINK) -> overlay.Overlay:
    return overlay.Overlay((overlay.LinkOverlay(link, takeouts, ()),))


def everything(root: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """Path -> (inode, mode, content) of all that is below ``root`` and no folder."""
    return {
        str(path.relative_to(root)): (path.lstat().st_ino, path.lstat().st_mode,
                                      os.readlink(path) if path.is_symlink() else path.read_bytes())
        for path in root.rglob("*") if path.is_symlink() or not path.is_dir()
    }


def test_it_is_written_recorded_and_a_second_run_writes_nothing(tmp_path: Path) -> None:
    wanted = overlay_of(takeout(settings={"metric": 1024, "use_domains": False}))
    assert overlay.write(wanted, str(tmp_path))
    assert (tmp_path / "run/systemd/network/05-x.network").readlink() == Path("/etc/systemd/network/10-x.network")
    assert (tmp_path / "run/systemd/network/05-x.network.d/99.conf").read_bytes() == b"[Network]\nDHCP=no\n"
    assert (tmp_path / "run/holdfast-overlay/entries").read_text().splitlines() == [
        "file\tens3\t/run/holdfast-overlay/settings/50-ens3.toml",
        "link\tens3\t/run/systemd/network/05-x.network",
        "file\tens3\t/run/systemd/network/05-x.network.d/99.conf",
    ]
    before = everything(tmp_path)
    assert not overlay.write(wanted, str(tmp_path))
    assert everything(tmp_path) == before


def test_a_folder_that_root_has_for_itself_is_opened_for_those_who_know_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "run/NetworkManager"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    wanted = overlay_of(takeout(entries=(Passage("/run/NetworkManager"),)))
    assert overlay.write(wanted, str(tmp_path))
    assert folder.stat().st_mode & 0o7777 == 0o711
    assert not overlay.write(wanted, str(tmp_path))
    folder.chmod(0o700)  # by netplan, once more
    assert overlay.write(wanted, str(tmp_path))
    assert overlay.write(overlay.Overlay(()), str(tmp_path))
    assert folder.stat().st_mode & 0o7777 == 0o711


def test_what_is_wanted_no_more_is_removed_with_its_drop_in_folder(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/network").mkdir(parents=True)
    (tmp_path / "run/systemd/network/10-netplan-ens3.network").write_text("[Match]\n")
    overlay.write(overlay_of(takeout()), str(tmp_path))
    assert overlay.write(overlay.Overlay(()), str(tmp_path))
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*")) if not path.is_dir()] == [
        "run/holdfast-overlay/entries", "run/systemd/network/10-netplan-ens3.network"]
    assert not (tmp_path / "run/systemd/network/05-x.network.d").exists()


def test_remove_takes_one_links_entries_alone(tmp_path: Path) -> None:
    other = Takeout("NetworkManager", "x", (File("/run/NetworkManager/system-connections/x", b"", 0o600),))
    pattern = overlay.LinkOverlay(Link("en*"), (other,), ())
    both = overlay.Overlay((overlay.LinkOverlay(LINK, (takeout(),), ()), pattern))
    overlay.write(both, str(tmp_path))
    assert overlay.remove("ens3", str(tmp_path))
    assert not overlay.remove("ens3", str(tmp_path))
    record = (tmp_path / "run/holdfast-overlay/entries").read_text()
    assert record == "file\ten*\t/run/NetworkManager/system-connections/x\n"
    assert (tmp_path / "run/NetworkManager/system-connections/x").stat().st_mode & 0o777 == 0o600
    assert overlay.remove(None, str(tmp_path))
    assert list(everything(tmp_path)) == ["run/holdfast-overlay/entries"]


@pytest.mark.parametrize("path", [
    "/etc/systemd/network/x", "/run/../etc/x", "/run", "run/x", "/run/a\tb", "/run/a\nfile\tx\t/run/b", "//run/x",
])
def test_nothing_outside_of_run_is_made(tmp_path: Path, path: str) -> None:
    for entry in (File(path, b""), Symlink(path, "/dev/null")):
        with pytest.raises(overlay.OverlayError):
            overlay.write(overlay_of(takeout(entries=(entry,))), str(tmp_path))
    assert everything(tmp_path) == {}


def test_a_record_of_others_removes_nothing_outside_of_run(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root")
    (tmp_path / "run/holdfast-overlay").mkdir(parents=True)
    (tmp_path / "run/holdfast-overlay/entries").write_text("file\tx\t/etc/passwd\nnonsense\n")
    overlay.write(overlay.Overlay(()), str(tmp_path))
    assert (tmp_path / "etc/passwd").read_text() == "root"


def test_what_has_an_entrys_name_is_replaced_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/network/05-x.network.d").mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (tmp_path / "run/systemd/network/05-x.network.d/99.conf").symlink_to(victim)
    (tmp_path / "run/systemd/network/05-x.network.d/.99.conf.tmp").symlink_to(victim)
    overlay.write(overlay_of(takeout()), str(tmp_path))
    assert victim.read_text() == "as it was"
    assert not (tmp_path / "run/systemd/network/05-x.network.d/99.conf").is_symlink()


def test_a_full_disk_leaves_what_was_there_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay.write(overlay_of(takeout()), str(tmp_path))
    before = {name: content for name, (_, _, content) in everything(tmp_path).items()}
    write_at = atomic.write_at

    def full(folder: int, name: str, data: bytes, mode: int, **options: Any) -> None:
        if name == "b.conf":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_at(folder, name, data, mode, **options)

    monkeypatch.setattr(atomic, "write_at", full)
    more = (*FILES, File("/run/n/a.conf", b"a"), File("/run/n/b.conf", b"b"))
    with pytest.raises(overlay.OverlayError, match=r"/run/n/b\.conf: No space left on device"):
        overlay.write(overlay_of(takeout(entries=more)), str(tmp_path))
    assert {name: content for name, (_, _, content) in everything(tmp_path).items()} == before


def test_two_links_that_want_one_file_in_two_ways_make_nothing(tmp_path: Path) -> None:
    one = overlay.LinkOverlay(LINK, (takeout(),), ())
    other = overlay.LinkOverlay(Link("ens4"), (takeout(entries=(File(FILES[1].path, b"else"),)),), ())
    with pytest.raises(overlay.OverlayError, match="in two ways, for ens3 and for ens4"):
        overlay.write(overlay.Overlay((one, other)), str(tmp_path))
    assert everything(tmp_path) == {}


def test_a_refused_link_has_its_reason_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def networkd(_tree: Tree, link: Link) -> Takeout | None:
        refusals = ("10-x.network: SendOption= cannot be kept",) if link.name == "ens3" else ()
        return takeout(refusals=refusals, settings={"metric": 1}) if link.name == "ens3" else None

    def ifcfg(_tree: Tree, link: Link) -> Takeout | None:
        if link.name == "ens4":
            raise FormatError("/etc/sysconfig/network-scripts/ifcfg-ens4 is larger than 1 bytes")
        if link.name == "ens5":
            raise PermissionError(13, "Permission denied")
        return None

    monkeypatch.setattr(overlay, "MANAGERS", {"networkd": networkd, "ifcfg": ifcfg})
    computed = overlay.compute(Tree(str(tmp_path)), [LINK, Link("ens4"), Link("ens5"), Link("ens6")])
    overlay.write(computed, str(tmp_path))
    written = {name: content for name, (_, _, content) in everything(tmp_path).items() if not name.endswith("entries")}
    assert written == {
        "run/holdfast-overlay/refused/ens3": b"10-x.network: SendOption= cannot be kept\n",
        "run/holdfast-overlay/refused/ens4": b"/etc/sysconfig/network-scripts/ifcfg-ens4 is larger than 1 bytes\n",
        "run/holdfast-overlay/refused/ens5": b"what ifcfg does on ens5 cannot be read: Permission denied\n",
    }


def test_the_settings_are_toml_that_the_agent_reads(tmp_path: Path) -> None:
    settings = {"client_id": "ff0011", "user_class": ('a"b\\', "\x07"), "request": (42, 121), "use_dns": False,
                "metric": 1024, "hostname": "@system"}
    overlay.write(overlay_of(takeout(settings=settings), link=Link("en*")), str(tmp_path))
    path = str(tmp_path / "run/holdfast-overlay/settings/50-en*.toml")
    read = load([], overlay=[path])
    assert read.warnings == ()
    assert {key: getattr(read.interface("ens3"), key) for key in settings} == settings
    assert read.interface("wlan0") == load([]).defaults
    assert read.interfaces == {}, "what is overlaid is not yet served"


def test_the_program_makes_nothing_of_a_wrong_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etc/holdfast").mkdir(parents=True)
    (tmp_path / "etc/holdfast/links").write_text("ens3\nno such link\n")
    before = everything(tmp_path)
    assert main([], str(tmp_path)) == 6
    assert capsys.readouterr().err.startswith("holdfast: /etc/holdfast/links: line 2: ")
    assert everything(tmp_path) == before


def test_links_of_the_configuration_count_where_their_agent_starts(tmp_path: Path) -> None:
    def links() -> list[str]:
        return [link.name for link in served_links.read(Tree(str(tmp_path)))]

    (tmp_path / "etc/holdfast").mkdir(parents=True)
    (tmp_path / "etc/holdfast/holdfast.toml").write_text(
        '[agent]\nserve = ["en*"]\n[interfaces.eth7]\n[interfaces."a*"]\n')
    (tmp_path / "etc/holdfast/links").write_text("ens3\n")
    assert links() == ["ens3"]
    (tmp_path / "etc/holdfast/links").write_text("ens3\nwl*\n")
    assert links() == ["ens3", "wl*", "eth7", "en*"]
    (tmp_path / "etc/holdfast/links").unlink()
    assert links() == []
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "holdfast.service").symlink_to("/lib/systemd/system/holdfast.service")
    assert links() == ["eth7", "en*"]


def test_a_link_is_described_by_sys_and_udev(tmp_path: Path) -> None:
    card = tmp_path / "sys/class/net/ens3"
    (card / "device").mkdir(parents=True)
    (card / "device/driver").symlink_to("../../../../bus/virtio/drivers/virtio_net")
    for name, text in {"ifindex": "2", "address": "52:54:00:00:00:01", "addr_assign_type": "0", "type": "1",
                       "uevent": "INTERFACE=ens3\nIFINDEX=2\n"}.items():
        (card / name).write_text(text + "\n")
    udev = tmp_path / "run/udev/data/n2"
    udev.parent.mkdir(parents=True)
    udev.write_text("I:1\nE:ID_PATH=pci-0000:00:03.0\n")
    tree = Tree(str(tmp_path))
    mac = "52:54:00:00:00:01"
    assert served_links.describe(tree, "ens3") == Link(
        "ens3", mac, mac, "virtio_net", "pci-0000:00:03.0", "ether", 2)
    assert served_links.describe(tree, "en*") == Link("en*")
    assert served_links.describe(tree, "ens9") == Link("ens9")
