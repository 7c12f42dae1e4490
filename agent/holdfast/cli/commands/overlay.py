"""``holdfast overlay``: what takes DHCPv4 out of the managers' hands, shown or made as at each boot."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import click

from holdfast.cli.exits import CONFIGURATION, FAILED, NOT_PERMITTED, CliError
from holdfast.cli.output import complain, echo
from holdfast.managers import overlay, served_links
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, Entry, Passage, Symlink
from holdfast.settings import SettingsError

#: Seconds for reading the managers' files: as long as a boot waits for the same (holdfast-overlay.service).
PATIENCE = 5
Row = tuple[str, str, str, str]
_HEAD: Row = ("LINK", "MANAGER", "WHAT", "")


@click.command("overlay", short_help="Show or make what keeps the managers from DHCPv4.")
@click.option("--dry-run", is_flag=True, help="Print what would be made, and make nothing.")
@click.option("--root", metavar="DIR", type=click.Path(),
              help="Print what would be made at the boot of the unpacked or mounted image at this folder; nothing is "
                   "made there.")
def command(dry_run: bool, root: str | None) -> None:
    """Make the overlay for the links that Holdfast serves (/etc/holdfast/links), as each boot makes it before the
    managers start: files and mounts below /run that keep a link's manager from DHCPv4, and from nothing else. What is
    there already is left as it is. A running manager reads it with its next reload.

    \b
    With --dry-run or --root a line for each:
      reads     the file that has the manager do DHCPv4 on the link
      refused   what cannot be kept: nothing is made, and the former client keeps the link
      setting   Holdfast's own for the link, as the manager's files mean it
      write, link, mount, remove    what would be done; "has": that is there already
      lost      what is not run for DHCPv4 events any more
    """
    if root is None and os.geteuid() != 0:
        raise CliError(NOT_PERMITTED, "what the managers read is root's: run `holdfast overlay` as root")
    place = "/" if root is None else root
    try:
        with _bounded():
            computed = _computed(place)
        if dry_run or root is not None:
            _show(computed, place)
        else:
            _make(computed)
    except SettingsError as error:
        raise CliError(CONFIGURATION, *error.problems) from None
    except (overlay.OverlayError, FormatError) as error:
        raise CliError(FAILED, str(error)) from None
    except OSError as error:
        raise CliError(FAILED, f"{error.filename or place} cannot be read: {error.strerror}") from None


def _computed(place: str) -> overlay.Overlay:
    tree = Tree(place)
    try:
        return overlay.compute(tree, served_links.read(tree))
    finally:
        tree.close()


@contextmanager
def _bounded() -> Iterator[None]:
    """OverlayError after ``PATIENCE``: a disk that hangs, or a folder without end."""

    def late(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal.signal(2)
        raise overlay.OverlayError(f"the managers' files were not read within {PATIENCE} s; nothing was made")

    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def _make(computed: overlay.Overlay) -> None:
    differed = overlay.write(computed)
    for one in computed.links:
        for line in one.refusals:
            complain(f"{one.link.name} stays with its former client: {line}")
    made = ", ".join(one.link.name for one in computed.links if one.takeouts and not one.refusals) or "no link"
    echo(f"the overlay of {made} is {'made' if differed else 'there already'}")


def _show(computed: overlay.Overlay, place: str) -> None:
    rows = [_HEAD, *_rows(computed, overlay.changes(computed, place))]
    if len(rows) == 1:
        echo("Holdfast serves no link here: /etc/holdfast/links names none")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        echo("  ".join([*cells, row[3]]).rstrip())


def _rows(computed: overlay.Overlay, changes: overlay.Changes) -> Iterator[Row]:
    for one in computed.links:
        name = one.link.name
        if not one.takeouts and not one.refusals:
            yield name, "-", "nothing", "no manager does DHCPv4 on it"
        for takeout in one.takeouts:
            yield name, takeout.manager, "reads", takeout.source
            if one.refusals:
                continue
            for key, value in takeout.settings.items():
                yield name, takeout.manager, "setting", f"{key} = {overlay.toml(value)}"
            yield from ((name, takeout.manager, "lost", line) for line in takeout.lost)
        yield from ((name, "-", "refused", line) for line in one.refusals)
        for entry in one.entries():
            yield name, "-", _verb(entry) if entry.path in changes.made else "has", _told(entry)
    yield from ((link, "-", "remove", path) for link, path in changes.removed)


_VERBS: Mapping[type, str] = {Symlink: "link", Bind: "mount", Passage: "open"}


def _verb(entry: Entry) -> str:
    return _VERBS.get(type(entry), "write")


def _told(entry: Entry) -> str:
    if isinstance(entry, Symlink):
        return f"{entry.path} -> {entry.target}"
    return f"{entry.source} over {entry.path}" if isinstance(entry, Bind) else entry.path
