"""``holdfast release``."""

from __future__ import annotations

import click

from holdfast.cli.options import config_option, interface_argument
from holdfast.cli.outcome import tell_outcome


@click.command("release", short_help="Give a lease back and remove its address.")
@interface_argument()
@config_option
def command(interface: str, config: str | None) -> None:
    """Give the lease of IFACE back to its server and remove its address.

    The agent then sends nothing until `holdfast renew IFACE`, or until it is started again.
    """
    tell_outcome("Release", interface, config, good=("released",))
