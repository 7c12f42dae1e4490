"""``holdfast guard``: beside the DHCP client that is there, in the foreground."""

from __future__ import annotations

import errno
import time
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
from holdfast.cli.output import complain, echo, echo_json
from holdfast.cli.times import local_time, since
from holdfast.observe.outcomes import interfaces_with_history, read_history
from holdfast.observe.words import duration, latency
from holdfast.settings.dirs import guard_dir, guard_runtime_dir, search_guard_dirs, search_runtime_dirs
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.guard.report import Report


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
@click.option("--unit", is_flag=True, hidden=True)
@click.option("--remove-table", is_flag=True, hidden=True)
@config_option
def command(interfaces: tuple[str, ...], rebroadcast: bool | None, group: int | None, reports: bool,
            start: str | None, as_json: bool, unit: bool, remove_table: bool, config: str | None) -> None:
    """Stand beside the DHCP client of each IFACE, or of every interface, until Ctrl-C or SIGTERM.

    The client, its addresses and its configuration are not touched. What becomes of each renewal is printed,
    and kept for `holdfast history` and for --report. IFACE may be a pattern such as 'eth*'. Without one, the
    interfaces of [guard] in the configuration are guarded, and without those every one.
    """
    if remove_table:  # the unit's last step
        from holdfast.guard.nflog import remove_table as remove  # noqa: PLC0415

        remove()
        return
    if reports and rebroadcast is not None:
        raise click.UsageError("--report only reads: it goes with --since and --json, not with --rebroadcast")
    if reports:
        _report(interfaces, start, config, as_json=as_json)
    elif start is not None or as_json:
        raise click.UsageError("--since and --json go with --report")
    else:
        _guard(interfaces, config, rebroadcast=rebroadcast, group=group, unit=unit)


def _guard(interfaces: tuple[str, ...], config: str | None, *, rebroadcast: bool | None, group: int | None,
           unit: bool) -> None:
    from holdfast.guard.service import Places, Service  # noqa: PLC0415 - netlink's classes
    from holdfast.network import KernelError  # noqa: PLC0415
    from holdfast.observe.log import Log  # noqa: PLC0415

    for name in interfaces:
        if not set(name) & set("*?[") and name not in interface_names():
            raise CliError(NO_INTERFACE, no_such_interface(name))
        if name == "lo":
            raise CliError(NO_INTERFACE, "lo is the loopback interface: no DHCP client serves it")
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


def _report(interfaces: tuple[str, ...], start: str | None, config: str | None, *, as_json: bool) -> None:
    from holdfast.guard.report import report_of  # noqa: PLC0415 - statistics

    try:
        begin = None if start is None else since(start, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    folders = search_guard_dirs(folders_of(config).state_dir)
    reports = []
    try:
        for folder in folders:
            for name in interfaces_with_history(folder):
                if not interfaces or any(fnmatchcase(name, pattern) for pattern in interfaces):
                    records = read_history(folder, name, since=begin)
                    reports += [report_of(name, records)] if records else []
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to read {error.filename}; run as root") from None
    except OSError as error:
        raise CliError(FAILED, f"{error.filename} cannot be read: {error.strerror}") from None
    if as_json:
        echo_json([report._asdict() for report in reports])
    elif not reports:
        complain(f"guard has recorded nothing {'since then ' if start else ''}in {' or '.join(folders)}; "
                 "`holdfast guard` begins")
    for number, report in enumerate([] if as_json else reports):
        if number:
            echo()
        for line in _lines(report):
            echo(line)


def _delay(report: Report) -> str:
    if report.delay_median is None or report.delay_worst is None:
        return "-"
    return (f"median {latency(report.delay_median)}, worst {latency(report.delay_worst)}, where the first message got "
            "none")


def _lines(report: Report) -> list[str]:
    """``report`` for people."""
    rows = [
        ("renewals", str(report.renewals)),
        ("answered by unicast", str(report.by_unicast)),
        ("only by broadcast", str(report.by_broadcast)),
        ("unanswered", str(report.unanswered)),
        *((label, str(number)) for label, number in (
            ("refused by NAK", report.refused), ("ignored by the client", report.ignored),
            ("open when guard ended", report.undecided), ("packets guard sent", report.rebroadcasts)) if number),
        ("time to the answer", _delay(report)),
        ("leases lost", str(report.lost)),
        ("longest silence", "-" if report.silence is None else duration(report.silence)),
        ("other servers", ", ".join(report.others) or "-"),
    ]
    head = f"{report.interface}: {', '.join(report.clients)}, {local_time(report.begin)} to {local_time(report.end)}"
    width = max(len(label) for label, _ in rows)
    return [head, *(f"  {label.ljust(width)}  {value}" for label, value in rows), report.verdict,
            *(f"  next: sudo {line}" for line in report.commands)]
