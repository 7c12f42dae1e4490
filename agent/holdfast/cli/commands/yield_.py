"""``holdfast yield``: the administrator configures the interface, and Holdfast leaves it alone."""

from __future__ import annotations

import click

from holdfast.cli.asking import ask
from holdfast.cli.options import config_option, folders_of, interface_argument
from holdfast.cli.output import echo


@click.command("yield", short_help="Leave an interface to its administrator, or take it back.")
@interface_argument()
@click.option("--back", is_flag=True, help="Configure the interface again, as the lease says.")
@config_option
def command(interface: str, back: bool, config: str | None) -> None:
    """Leave IFACE alone: put nothing back that is removed from it.

    The lease is kept and renewed, so that the server gives the address to nobody else. An address
    of the lease that is still there gets the renewed lifetimes. No other address, no route, MTU or
    name server is set. This survives restarts and reboots, until --back.
    """
    ask(folders_of(config), interface, "Yield", back=back)
    echo(f"{interface}: " + ("taken back" if back else f"yielded, until `holdfast yield --back {interface}`"))
