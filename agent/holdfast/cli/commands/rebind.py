"""``holdfast rebind``."""

from __future__ import annotations

import click

from holdfast.cli.options import config_option, interface_argument
from holdfast.cli.outcome import tell_outcome


@click.command("rebind", short_help="Renew a lease now, by broadcast.")
@interface_argument()
@config_option
def command(interface: str, config: str | None) -> None:
    """Renew the lease of IFACE now by broadcast: any server may answer.

    The command ends when the outcome is known. The address stays in any case.
    """
    tell_outcome("Rebind", interface, config, good=("renewed", "acquired", "moved"))
