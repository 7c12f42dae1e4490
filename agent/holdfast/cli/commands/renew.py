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

    Answers when the outcome is known. The address stays, whatever it is.
    """
    tell_outcome("Renew", interface, config, good=("renewed", "acquired", "moved"))
