"""``holdfast takeover``."""

from __future__ import annotations

import click

from holdfast.capabilities import missing_capabilities, root_lacks
from holdfast.cli.exits import NOT_PERMITTED, CliError
from holdfast.cli.options import config_option, confirm_within_option, interface_argument
from holdfast.cli.output import echo
from holdfast.cli.takeover_target import cli_errors, holder, say, target_of


@click.command("takeover", short_help="Take an interface over from another DHCP client, without a gap.")
@interface_argument()
@click.option("--dry-run", is_flag=True, help="Print each step and each file, and change nothing.")
@confirm_within_option
@config_option
def command(interface: str, dry_run: bool, confirm_within: int | None, config: str | None) -> None:
    """Take IFACE over from the DHCP client that serves it now.

    Address, routes and client-id stay, and no DISCOVER is sent. One renewal proves the lease before
    anything is written that survives a reboot. When a step fails, the former client is restored.

    Without systemd use `holdfast run IFACE --takeover`.
    """
    from holdfast.takeover.description import describe  # noqa: PLC0415 - netlink's classes
    from holdfast.takeover.host import Host  # noqa: PLC0415
    from holdfast.takeover.plan import make  # noqa: PLC0415
    from holdfast.takeover.procedure import Takeover  # noqa: PLC0415

    target, host = target_of(interface, config, strict=True), Host()
    missing = [] if dry_run else missing_capabilities()
    if missing:
        raise CliError(NOT_PERMITTED, root_lacks(missing))
    with cli_errors():
        if dry_run:
            plan = make(host, target, foreground=not host.systemd, dry=True, holder=holder)
            for line in describe(host, plan):
                echo(line)
        else:
            Takeover(host, target, say).whole(confirm_within, holder)
