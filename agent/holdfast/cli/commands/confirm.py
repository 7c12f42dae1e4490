"""``holdfast confirm``."""

from __future__ import annotations

import click

from holdfast.cli.options import config_option, interface_argument
from holdfast.cli.takeover_target import cli_errors, say, target_of


@click.command("confirm", short_help="Confirm a take-over that waits for it.")
@interface_argument()
@config_option
def command(interface: str, config: str | None) -> None:
    """Confirm the take-over of IFACE that `holdfast takeover IFACE --confirm-within S` has begun."""
    from holdfast.takeover.host import Host  # noqa: PLC0415 - netlink's classes
    from holdfast.takeover.procedure import Takeover  # noqa: PLC0415

    target = target_of(interface, config, strict=False)
    with cli_errors():
        Takeover(Host(), target, say).confirm()
