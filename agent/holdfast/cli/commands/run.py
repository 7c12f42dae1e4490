"""``holdfast run``: check what can be checked, then become the daemon."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

import holdfast
from holdfast.capabilities import missing_capabilities, root_lacks
from holdfast.cli.exits import NO_INTERFACE, NOT_PERMITTED, USAGE, CliError
from holdfast.cli.options import (
    config_option,
    confirm_within_option,
    interface_argument,
    interface_names,
    no_such_interface,
    read_settings,
)
from holdfast.settings.checks import ifname_problem
from holdfast.settings.dirs import CONFIG_DIR, CONFIG_NAME

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from holdfast.runtime.__main__ import main; sys.exit(main())"


@click.command("run", short_help="Get a lease and keep it, in the foreground.")
@interface_argument(required=False, nargs=-1)
@config_option
@click.option("--wait", is_flag=True, help="Wait for interfaces that do not exist yet.")
@click.option(
    "--takeover", is_flag=True, help="Take IFACE over from the DHCP client that serves it, then keep its lease."
)
@confirm_within_option
def command(
    interfaces: tuple[str, ...], config: str | None, wait: bool, takeover: bool, confirm_within: int | None
) -> None:
    """Get a lease for each IFACE and keep it, in the foreground.

    Without IFACE: for each interface that the configuration names, or that fits its `serve`
    patterns. Interfaces that do not exist yet are waited for. Ctrl-C or SIGTERM ends the command;
    the addresses stay.
    """
    settings = read_settings(config)
    given = list(dict.fromkeys(interfaces))
    if confirm_within is not None and not takeover:
        raise CliError(USAGE, "--confirm-within needs --takeover")
    if not given and not settings.interfaces and not settings.serve:
        raise CliError(USAGE, "no interface is named: run `holdfast run eth0`, or name it in "
                              f"{config or os.path.join(CONFIG_DIR, CONFIG_NAME)} as [interfaces.eth0]")
    for name in given:
        why = ifname_problem(name)
        if why:
            raise CliError(NO_INTERFACE, f"{name!r} cannot be an interface: {why}")
        if not wait and name not in interface_names():
            raise CliError(NO_INTERFACE, f"{no_such_interface(name)}; with --wait it is served when it appears")
    missing = missing_capabilities()
    if missing and os.geteuid() == 0:
        raise CliError(NOT_PERMITTED, root_lacks(missing))
    if missing:
        raise CliError(NOT_PERMITTED, "not permitted to open packet sockets and configure interfaces; run as root "
                                      f"({' '.join(['sudo holdfast run', *given])}), or with {' and '.join(missing)}")
    options = [] if config is None else ["--config", os.path.abspath(config)]

    def become_agent() -> None:
        os.execv(sys.executable, [*daemon(), *options, *given])  # noqa: S606

    if takeover:
        _take_over(given, config, become_agent, confirm_within)
    become_agent()


def _take_over(
    names: list[str], config: str | None, become_agent: Callable[[], None], confirm_within: int | None
) -> None:
    from holdfast.cli.takeover_target import cli_errors, holder, say, target_of  # noqa: PLC0415 - netlink's classes
    from holdfast.takeover.host import Host  # noqa: PLC0415
    from holdfast.takeover.procedure import Takeover  # noqa: PLC0415

    if len(names) != 1:
        raise CliError(USAGE, "--takeover needs exactly one IFACE")
    target = target_of(names[0], config, strict=True)
    with cli_errors():
        Takeover(Host(), target, say).foreground(become_agent, confirm_within, holder)


def daemon() -> list[str]:
    """The command line of the daemon in the package that this module is part of (a .deb has it in a private folder).

    -I: neither the current folder nor the environment changes what root imports. -S and -B are passed on when the
    package's launcher used them.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(holdfast.__file__)))
    return [sys.executable, "-ISB" if sys.flags.no_site else "-I", "-c", _BOOT, root]
