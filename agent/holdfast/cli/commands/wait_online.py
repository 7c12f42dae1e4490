"""``holdfast wait-online``: delays network-online.target until there is an address, and names can be resolved."""

from __future__ import annotations

import click

from holdfast import online
from holdfast.cli.exits import CliError
from holdfast.cli.options import (
    Duration,
    config_option,
    folders_of,
    interface_argument,
    interface_names,
    no_such_interface,
)
from holdfast.cli.output import complain
from holdfast.settings.links import is_pattern


@click.command("wait-online", short_help="Wait until the interfaces have their leases, and names.")
@interface_argument(required=False, nargs=-1)
@click.option("--any", "any_one", is_flag=True, help="Wait for the first of them only.")
@click.option("--timeout", metavar="TIME", type=Duration(0, 1e9), default=online.TIMEOUT, show_default=True,
              help="Give up after this time, such as 90 or 5m, with exit status 1. 0: no limit.")
@config_option
def command(interfaces: tuple[str, ...], any_one: bool, timeout: float, config: str | None) -> None:
    """Wait until every IFACE has a lease, is configured with it, and the lease's name servers are in
    use. IFACE may be a pattern, such as 'en*', for those that are served, and at least one.

    Without IFACE: every interface that the configuration or the list of links names or an agent
    serves, and at least one, unless the list has only patterns and no link fits. Interfaces that
    only fit a pattern are not waited for while they have no carrier. The agents may be started
    later. Name servers are waited for ten seconds at most.
    """
    for name in interfaces:
        if not is_pattern(name) and name not in interface_names():
            complain(f"{no_such_interface(name)}; waiting for it")
    try:
        online.wait(folders_of(config), interfaces, any_one=any_one, timeout=timeout)
    except online.WaitError as error:
        raise CliError(error.status, *str(error).split("\n")) from None
