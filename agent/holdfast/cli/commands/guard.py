"""``holdfast guard``: beside the DHCP client that is there, in the foreground."""

from __future__ import annotations

import errno
from fnmatch import fnmatchcase

import click

from holdfast.cli.exits import CONFIGURATION, FAILED, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import (
    config_option,
    folders_of,
    interface_argument,
    interface_names,
    json_option,
    no_such_interface,
)
from holdfast.cli.output import complain, echo
from holdfast.escape import printable
from holdfast.settings.dirs import guard_dir, guard_runtime_dir, search_runtime_dirs


@click.command("guard", short_help="Stand beside another DHCP client, and tell what becomes of its renewals.")
@interface_argument(required=False, nargs=-1)
@click.option("--rebroadcast/--no-rebroadcast", default=None,
              help="Repeat by broadcast, once and byte for byte, a unicast renewal that nobody answers; or do not, "
                   "whatever the configuration says.")
@click.option("--group", metavar="N", type=click.IntRange(0, 65535),
              help="The NFLOG group, instead of the configured one (6867); another program may not use the same.")
@click.option("--report", "reports", is_flag=True,
              help="Print what guard has recorded, what it means, and the next command; guard nothing.")
@click.option("--since", "start", metavar="T",
              help="With --report, only renewals from T on: a span such as 30m, 2h or 1d, or a time in ISO 8601.")
@json_option
@click.option("--html", "page", metavar="FILE", type=click.Path(),
              help="With --report, write it as one HTML page with a time line; - is standard output.")
@click.option("--advise", "advises", is_flag=True,
              help="Print, as a diff, settings of the client that keep its address longer; change and guard nothing.")
@click.option("--unit", is_flag=True, hidden=True)
@click.option("--remove-table", is_flag=True, hidden=True)
@config_option
def command(interfaces: tuple[str, ...], rebroadcast: bool | None, group: int | None, reports: bool,
            start: str | None, as_json: bool, page: str | None, advises: bool, unit: bool, remove_table: bool,
            config: str | None) -> None:
    """Stand beside the DHCP client of each IFACE, or of every interface, until Ctrl-C or SIGTERM.

    The client, its addresses and its configuration are not touched. What becomes of each renewal is printed,
    and kept for `holdfast history` and for --report. IFACE may be a pattern such as 'eth*'. Without one, the
    interfaces of [guard] in the configuration are guarded, and without those every one.
    """
    if remove_table:  # the unit's last step
        from holdfast.guard.nflog import remove_table as remove  # noqa: PLC0415

        remove()
        return
    if (reports or advises) and rebroadcast is not None:
        raise click.UsageError("--report and --advise only read: they do not go with --rebroadcast")
    if advises and (reports or as_json or page is not None or start is not None):
        raise click.UsageError("--advise goes with interfaces alone")
    if reports and as_json and page is not None:
        raise click.UsageError("--html and --json do not go together")
    if reports:
        from holdfast.cli.guard_report import report  # noqa: PLC0415 - seldom asked for

        report(interfaces, start, config, as_json=as_json, page=page)
    elif start is not None or as_json or page is not None:
        raise click.UsageError("--since, --html and --json go with --report")
    elif advises:
        _advise(interfaces)
    else:
        _guard(interfaces, config, rebroadcast=rebroadcast, group=group, unit=unit)


def _advise(interfaces: tuple[str, ...]) -> None:
    """A diff for each interface that a client serves."""
    from difflib import unified_diff  # noqa: PLC0415

    from holdfast.guard.advice import advice  # noqa: PLC0415 - all managers
    from holdfast.guard.programs import client_of  # noqa: PLC0415
    from holdfast.managers.formats.errors import FormatError  # noqa: PLC0415
    from holdfast.managers.formats.tree import Tree  # noqa: PLC0415
    from holdfast.network.census import all_links  # noqa: PLC0415

    _check(interfaces)
    links = [link for link in all_links() if link.ethernet and not link.enslaved
             and (not interfaces or any(fnmatchcase(link.name, pattern) for pattern in interfaces))]
    tree = Tree("/")
    for number, link in enumerate(links):
        client = client_of(link.name)
        try:
            said = advice(client, link.name, link.ifindex, tree)
        except (OSError, FormatError) as error:
            raise CliError(FAILED, f"{link.name}: {error}") from None
        echo(("\n" if number else "") + f"# {link.name}: {printable(client.program)}")
        for reason in said.reasons:
            echo(f"# {printable(reason)}")
        if said.path:
            lines = unified_diff(said.before.splitlines(), said.after.splitlines(),
                                 said.path if said.before else "/dev/null", said.path, lineterm="")
            for line in lines:
                echo(printable(line))
            echo(f"# then: {said.command}")
    if not links:
        complain("there is no Ethernet interface to advise about")


def _check(interfaces: tuple[str, ...]) -> None:
    """CliError for a name that cannot be guarded."""
    for name in interfaces:
        if not set(name) & set("*?[") and name not in interface_names():
            raise CliError(NO_INTERFACE, no_such_interface(name))
        if name == "lo":
            raise CliError(NO_INTERFACE, "lo is the loopback interface: no DHCP client serves it")


def _guard(interfaces: tuple[str, ...], config: str | None, *, rebroadcast: bool | None, group: int | None,
           unit: bool) -> None:
    from holdfast.guard.service import Places, Service  # noqa: PLC0415 - netlink's classes
    from holdfast.network import KernelError  # noqa: PLC0415
    from holdfast.observe.log import Log  # noqa: PLC0415

    _check(interfaces)
    settings = folders_of(config)
    said = settings.guard
    own = guard_runtime_dir(settings.runtime_dir)
    agents = tuple(folder for folder in search_runtime_dirs(settings.runtime_dir) if folder != own)
    service = Service(
        interfaces or said.interfaces, Places(guard_dir(settings.state_dir), own, agents, said.metrics_dir),
        Log(settings.log), rebroadcast=said.rebroadcast if rebroadcast is None else rebroadcast,
        nflog_group=said.nflog_group if group is None else group, control_group=_group(settings.control_group),
        outlived=unit,
    )
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


def _group(name: str | None) -> int | None:
    from holdfast.runtime.control_service import group_id  # noqa: PLC0415

    try:
        return group_id(name)
    except KeyError:
        raise CliError(CONFIGURATION, f"key agent.control_group: there is no group {name}") from None
