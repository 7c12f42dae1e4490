"""``holdfast renew``."""

from __future__ import annotations

import click

from holdfast.cli.options import config_option, interface_argument
from holdfast.cli.outcome import tell_outcome


@click.command("renew", short_help="Renew a lease now, by unicast first.")
@interface_argument()
@config_option
def command(interface: str, config: str | None) -> None:
    """Renew the lease of IFACE now: by unicast, and by broadcast when that goes unanswered.

    The command ends when the outcome is known. The address stays in any case.
    """
    tell_outcome("Renew", interface, config, good=("renewed", "acquired", "moved"))
