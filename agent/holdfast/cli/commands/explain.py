"""``holdfast explain``: why the last renewal went as it did, in sentences; needs no agent."""

from __future__ import annotations

import click

from holdfast.cli.exits import FAILED, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import config_option, folders_of, interface_argument, interface_names, no_such_interface
from holdfast.cli.output import complain, echo, styled, wrapped
from holdfast.cli.times import local_time
from holdfast.observe.explanation import COMPARED, explain
from holdfast.observe.outcomes import history_path, interfaces_with_history, read_history
from holdfast.settings.dirs import search_state_dirs

#: Records that are read: renewals, and what else came between them.
_READ = 4 * COMPARED


@click.command("explain", short_help="Say why the last renewal went as it did.")
@interface_argument(required=False, nargs=-1)
@config_option
def command(interfaces: tuple[str, ...], config: str | None) -> None:
    """Say why the last renewal of IFACE, or of every interface, went as it did, from its record, and whether that is
    how it always goes."""
    folders = search_state_dirs(folders_of(config).state_dir)
    known = [(name, folder) for folder in folders for name in _names(folder) if not interfaces or name in interfaces]
    for name in interfaces:
        if name not in {one for one, _ in known} and name not in interface_names():
            raise CliError(NO_INTERFACE, no_such_interface(name))
    if not known:
        complain(f"no outcome is recorded in {' or '.join(folders)}")
    for number, (name, folder) in enumerate(known):
        _tell(name, folder, first=number == 0)


def _names(folder: str) -> list[str]:
    try:
        return interfaces_with_history(folder)
    except PermissionError:
        raise CliError(NOT_PERMITTED, f"not permitted to read {folder}; run as root") from None


def _tell(name: str, folder: str, *, first: bool) -> None:
    try:
        records = read_history(folder, name, limit=_READ)
    except OSError as error:
        status = NOT_PERMITTED if isinstance(error, PermissionError) else FAILED
        raise CliError(status, f"{history_path(folder, name)} cannot be read: {error.strerror}") from None
    if not records:
        return
    if not first:
        echo()
    result = str(records[-1]["result"])
    echo(f"{name}: {result}, {local_time(records[-1]['time'])}", style=styled(name, "cyan"))
    for sentence in explain(records):
        for number, line in enumerate(wrapped(sentence, 4)):
            echo(("  " if number == 0 else "    ") + line)
