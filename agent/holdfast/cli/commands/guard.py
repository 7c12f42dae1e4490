"""``holdfast guard``: beside the DHCP client that is there, in the foreground."""

from __future__ import annotations

import errno

import click

from holdfast.cli.exits import FAILED, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import (
    config_option,
    folders_of,
    interface_argument,
    interface_names,
    no_such_interface,
)
from holdfast.settings.dirs import guard_dir, runtime_dir, state_dir


@click.command("guard", short_help="Stand beside another DHCP client, and tell what becomes of its renewals.")
@interface_argument(required=False, nargs=-1)
@click.option("--rebroadcast", is_flag=True,
              help="Repeat by broadcast, once and byte for byte, a unicast renewal that nobody answers.")
@click.option("--group", metavar="N", type=click.IntRange(0, 65535), default=6867, show_default=True,
              help="The NFLOG group; another program may not use the same.")
@config_option
def command(interfaces: tuple[str, ...], rebroadcast: bool, group: int, config: str | None) -> None:
    """Stand beside the DHCP client of each IFACE, or of every interface, until Ctrl-C or SIGTERM.

    The client, its addresses and its configuration are not touched. What becomes of each renewal is printed,
    and kept for `holdfast history`. IFACE may be a pattern such as 'eth*'.
    """
    from holdfast.guard.service import Service  # noqa: PLC0415 - netlink's classes
    from holdfast.network import KernelError  # noqa: PLC0415
    from holdfast.observe.log import Log  # noqa: PLC0415

    for name in interfaces:
        if not set(name) & set("*?[") and name not in interface_names():
            raise CliError(NO_INTERFACE, no_such_interface(name))
        if name == "lo":
            raise CliError(NO_INTERFACE, "lo is the loopback interface: no DHCP client serves it")
    settings = folders_of(config)
    service = Service(interfaces, guard_dir(state_dir(settings.state_dir)), runtime_dir(settings.runtime_dir),
                      Log(settings.log), rebroadcast=rebroadcast, group=group)
    try:
        service.start()
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted: {error.strerror}; run as root (sudo holdfast guard), or with "
                                      "CAP_NET_RAW and CAP_NET_ADMIN") from None
    except (OSError, KernelError) as error:
        status = NOT_PERMITTED if getattr(error, "errno", None) == errno.EPERM else FAILED
        raise CliError(status, str(getattr(error, "strerror", None) or error)) from None
    service.run()
    service.close()
