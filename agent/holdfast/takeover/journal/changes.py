"""Applies the changes of an ownership, and undoes those that are still as we left them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.journal.record import FileDone, Journal, checksum
from holdfast.takeover.model import Change, Command, FileChange, ListEntry

#: The first line of a list that a take-over makes, and removes when nothing else is left in it.
LIST_HEAD = "# Links whose DHCPv4 is Holdfast's: a name or a pattern a line (man holdfast.service).\n"


def record(host: Host, changes: Sequence[Change]) -> tuple[FileDone, ...]:
    """The files as they are now, for the journal."""
    done = []
    for change in changes:
        if isinstance(change, FileChange):
            status = host.stat(change.path)
            done.append(FileDone(
                change.path, host.read(change.path), status.st_mode & 0o7777 if status else 0o644,
                None if change.content is None else checksum(change.content),
            ))
    return tuple(done)


def apply(host: Host, journal: Journal, changes: Sequence[Change]) -> None:
    """Apply in order; may be repeated. TakeoverError for a file that has changed since the take-over began."""
    files = {done.path: done for done in journal.files}
    for change in changes:
        if isinstance(change, Command):
            host.must(change.argv)
            continue
        if isinstance(change, ListEntry):
            _add(host, change)
            continue
        now, done = host.read(change.path), files[change.path]
        if now != done.before and (None if now is None else checksum(now)) != done.after:
            raise TakeoverError(f"{change.path} was changed by somebody else meanwhile; try again")
        if now == change.content:
            continue
        if change.content is None:
            host.remove(change.path)
        else:
            host.write(change.path, change.content, change.mode)


def undo(host: Host, journal: Journal, changes: Sequence[Change], say: Callable[[str], None]) -> None:
    """Undo in reverse order; may be repeated, and after a partial application. A failure is reported by ``say``, and
    the rest is done."""
    files = {done.path: done for done in journal.files}
    for change in reversed(changes):
        try:
            if isinstance(change, FileChange):
                _restore(host, files[change.path], say)
            elif isinstance(change, ListEntry):
                _take_out(host, change)
            elif change.undo is not None:
                host.must(change.undo)
        except (TakeoverError, KeyError) as error:
            say(f"not undone: {error}")


def _add(host: Host, change: ListEntry) -> None:
    text = host.text(change.path)
    if change.entry not in map(_entry, text.splitlines()):
        text += "\n" if text and not text.endswith("\n") else ""
        host.write(change.path, f"{text or LIST_HEAD}{change.entry}\n".encode("utf-8", "replace"), _mode(host, change))


def _take_out(host: Host, change: ListEntry) -> None:
    text = host.text(change.path)
    left = "".join(line for line in text.splitlines(keepends=True) if _entry(line) != change.entry)
    if left in ("", LIST_HEAD):
        host.remove(change.path)
    elif left != text:
        host.write(change.path, left.encode("utf-8", "replace"), _mode(host, change))


def _entry(line: str) -> str:
    return line.partition("#")[0].strip()


def _mode(host: Host, change: ListEntry) -> int:
    status = host.stat(change.path)
    return status.st_mode & 0o7777 if status else 0o644


def _restore(host: Host, done: FileDone, say: Callable[[str], None]) -> None:
    now = host.read(done.path)
    if now == done.before:
        return
    if (None if now is None else checksum(now)) != done.after:
        say(f"{done.path} was changed by somebody else since: it is left as it is")
    elif done.before is None:
        host.remove(done.path)
    else:
        host.write(done.path, done.before, done.before_mode)
