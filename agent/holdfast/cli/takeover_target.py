"""What the commands of a take-over share: the check for root, the target, and errors as one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.cli.exits import FAILED, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import folders_of, interface_names, no_such_interface, read_settings
from holdfast.cli.output import complain
from holdfast.settings.checks import ifname_problem
from holdfast.settings.dirs import dns_dir, runtime_dir, state_dir, takeover_dir
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.plan import TakeoverTarget
from holdfast.wire.message import CLIENT_PORT


def target_of(interface: str, config: str | None, *, strict: bool) -> TakeoverTarget:
    """The interface, settings and folders of a take-over. ``strict``: a wrong configuration raises CliError; without it
    such a configuration is ignored, so that it never prevents a hand-back. CliError when there is no such interface,
    or when we are not root."""
    why = ifname_problem(interface)
    if why:
        raise CliError(NO_INTERFACE, f"{interface!r} cannot be an interface: {why}")
    if interface not in interface_names():
        raise CliError(NO_INTERFACE, no_such_interface(interface))
    if os.geteuid() != 0:
        raise CliError(NOT_PERMITTED, "only root can take an interface over and hand it back; use sudo")
    settings = read_settings(config) if strict else folders_of(config)
    folder = state_dir(settings.state_dir)
    return TakeoverTarget(
        interface, settings, folder, runtime_dir(settings.runtime_dir), dns_dir(folder), takeover_dir(folder),
        None if config is None else os.path.abspath(config),
    )


def say(text: str) -> None:
    """Print one step on stderr. An error of stderr, such as a closed terminal, is ignored."""
    try:
        complain(text)
    except OSError:
        return


def holder() -> str:
    """The name and pid of the process that has UDP port 68."""
    from holdfast.network.port_owner import holder_of  # noqa: PLC0415 - only when no client was found

    return holder_of(CLIENT_PORT)


@contextmanager
def cli_errors() -> Iterator[None]:
    """TakeoverError becomes CliError with status FAILED."""
    try:
        yield
    except TakeoverError as error:
        raise CliError(FAILED, str(error)) from None


