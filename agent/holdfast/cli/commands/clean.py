"""``holdfast clean``: before a disk is copied, or an image made of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from holdfast.cli.asking import agents, call
from holdfast.cli.exits import FAILED, NOT_PERMITTED, CliError
from holdfast.cli.guarded import silenced
from holdfast.cli.options import config_option, folders_of
from holdfast.cli.output import echo
from holdfast.settings.dirs import runtime_dir, search_guard_dirs, search_state_dirs, takeover_dir
from holdfast.settings.model import Settings
from holdfast.state import folder as folders
from holdfast.state import inventory, locks
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.journal.file import JournalFile
from holdfast.takeover.journal.record import Phase, anonymous


@click.command("clean", short_help="Forget leases, identity and histories, before a disk is copied.")
@click.option("--state-dir", metavar="DIR", type=click.Path(),
              help="Clean only this folder, such as an image's var/lib/holdfast, and the folders of take-overs and "
                   "of guard beside it; no agent is called.")
@click.option("--force", is_flag=True, help="Go on when a running agent does not answer.")
@config_option
def command(state_dir: str | None, force: bool, config: str | None) -> None:
    """Remove what belongs to this machine alone: leases with their client-ids, histories, also guard's, and
    both from the journals of take-overs. What `holdfast handback` needs stays.

    The network is not touched. A running agent keeps its lease in use, and writes nothing until it
    is started again. The command may be repeated.
    """
    if state_dir is None:
        settings = folders_of(config)
        _silence(settings, force=force)
        state_dirs = search_state_dirs(settings.state_dir)
        guard_dirs = search_guard_dirs(settings.state_dir)
    else:
        if not os.path.isdir(state_dir):
            raise CliError(FAILED, f"there is no folder {state_dir}; nothing was removed")
        state_dirs, guard_dirs = (state_dir,), search_guard_dirs(state_dir)
    removed = [path for one in state_dirs for path in (*_clean(one, anyones=state_dir is not None),
                                                       *_clean_journals(takeover_dir(one)))]
    removed += [path for one in guard_dirs for path in _clean(one, anyones=state_dir is not None)]
    for path in removed:
        echo(f"removed {path}")
    if not removed:
        echo("there is nothing to remove")


def _silence(settings: Settings, *, force: bool) -> None:
    """Make running agents write nothing more. CliError when one does not answer, unless ``force``."""
    answered = {
        name for name, path in agents(settings).items()
        if call(path, "KeepNothing", {"interface": name}) is not None
    }
    if not silenced(settings) and not force:
        raise CliError(FAILED, "a guard runs that does not answer, and would write its history again: stop it, or use "
                               "--force")
    for name, pid in locks.served(runtime_dir(settings.runtime_dir)).items():
        if name not in answered and not force:
            raise CliError(FAILED, f"{name} is served by an agent (pid {pid}) that does not answer, and would write "
                                   "its lease again: stop it, or use --force")


def _clean(folder: str, *, anyones: bool) -> list[str]:
    """Remove our files in ``folder``, and return their paths. ``anyones``: the owner is not checked, because the
    daemon's user has another uid in an image."""
    with _cli_errors():
        paths = [path for paths in inventory.by_interface(folder, anyones=anyones).values() for path in paths]
        inventory.remove(paths, anyones=anyones)
        return paths
    return []


def _clean_journals(folder: str) -> list[str]:
    """Remove the journals of take-overs, and return their paths; a confirmed one is made anonymous instead. Other files
    stay: a client that was handed back may use them. No link is followed, because the folder above may belong to
    another user."""
    with _cli_errors():
        above, last = os.path.split(folder)
        with folders.opened(above, anyones=True) as there:
            fd = os.open(last, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there)
        try:
            names = [name for name in sorted(os.listdir(fd)) if name.endswith((".json", ".lock", ".json.tmp"))]
            gone = [name for name in names if not _anonymous(name, folder)]
            for name in gone:
                _unlink(name, fd, folder)
        finally:
            os.close(fd)
        return [os.path.join(folder, name) for name in gone]
    return []


def _anonymous(name: str, folder: str) -> bool:
    """Reduce the journal of a confirmed take-over to what a hand-back needs: without it a copy of the disk could not
    give its interface back, and no client would serve it after the package is removed. False for any other file."""
    if not name.endswith(".json"):
        return False
    file = JournalFile(folder, name.removesuffix(".json"))
    try:
        journal = file.load()
    except TakeoverError:  # a hand-back would not use it
        return False
    if journal is None or journal.phase is not Phase.CONFIRMED:
        return False
    try:
        file.save(anonymous(journal))
    except TakeoverError as error:  # a full disk: the journal stays, and the command fails
        raise CliError(FAILED, str(error)) from None
    return True


def _unlink(name: str, fd: int, folder: str) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except OSError as error:
        error.filename = os.path.join(folder, name)  # the message needs it
        raise


@contextmanager
def _cli_errors() -> Iterator[None]:
    """A missing folder is no error; any other error becomes a CliError."""
    try:
        yield
    except FileNotFoundError:
        return
    except folders.RefusedError as error:
        raise CliError(FAILED, f"{error.filename} {error.strerror}") from None
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to clean {error.filename}; run as root") from None
    except OSError as error:
        raise CliError(FAILED, f"{error.filename} cannot be removed: {error.strerror}") from None
