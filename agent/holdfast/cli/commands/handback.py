"""``holdfast handback``."""

from __future__ import annotations

import click

from holdfast.cli.options import config_option, interface_argument
from holdfast.cli.takeover_target import cli_errors, say, target_of


@click.command("handback", short_help="Give an interface back to the client that had it.")
@interface_argument()
@click.option("--unconfirmed", is_flag=True, help="Do nothing when the take-over is confirmed (for the dead-man).")
@config_option
def command(interface: str, unconfirmed: bool, config: str | None) -> None:
    """Give IFACE back to the DHCP client that it was taken over from, with its files and its lease.

    The address stays. Files that were changed since the take-over are left as they are, and named.
    """
    from holdfast.takeover.handback import hand_back  # noqa: PLC0415 - netlink's classes
    from holdfast.takeover.host import Host  # noqa: PLC0415

    target = target_of(interface, config, strict=False)
    with cli_errors():
        hand_back(Host(), target, say, unconfirmed=unconfirmed)
