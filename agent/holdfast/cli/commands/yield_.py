"""``holdfast yield``: an administrator who means it."""

from __future__ import annotations

import click

from holdfast.cli.asking import ask
from holdfast.cli.options import config_option, folders_of, interface_argument
from holdfast.cli.output import echo


@click.command("yield", short_help="Leave an interface to its administrator, or take it back.")
@interface_argument()
@click.option("--back", is_flag=True, help="Take it back: what the lease says is put on the interface again.")
@config_option
def command(interface: str, back: bool, config: str | None) -> None:
    """Stop putting back what somebody takes off IFACE.

    The lease is kept and renewed, so that nobody else gets the address; an address of it that is
    still there stays alive with it. Nothing else on the interface is touched: no address, route, MTU
    or name server. It stays so over restarts and boots, until --back.
    """
    ask(folders_of(config), interface, "Yield", back=back)
    echo(f"{interface}: " + ("taken back" if back else f"yielded, until `holdfast yield --back {interface}`"))
