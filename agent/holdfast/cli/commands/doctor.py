"""``holdfast doctor``: what is wrong with this guest and its network, or with an image, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import click

from holdfast.cli.asking import no_answer
from holdfast.cli.exits import FAILED, NO_INTERFACE, NOT_PERMITTED, USAGE, CliError
from holdfast.cli.options import folders_of, interface_argument, interface_names, json_option, no_such_interface
from holdfast.cli.output import echo, echo_json, styled, wrapped
from holdfast.control.client import ControlError
from holdfast.doctor.finding import BAD, NOTE, OK, Finding, document, ordered, worst
from holdfast.managers.formats.errors import FormatError

_COLOURS = {OK: "green", NOTE: "yellow", BAD: "red"}
_EPILOG = """\
\b
Exit status:
  0  nothing is bad
  1  something is bad
  5  not permitted to read a file
"""


@click.command("doctor", short_help="Say what is wrong with this guest, its network or an image.", epilog=_EPILOG)
@interface_argument(required=False, nargs=-1)
@click.option("--probe", is_flag=True, help="Also send packets of its own: DHCPINFORM, ARP, ICMP echo. Needs root.")
@click.option("--discover", is_flag=True,
              help="With --probe: one DISCOVER, too, that is never followed by a REQUEST. It may reserve an address of "
                   "the server's for a moment.")
@click.option("--image", metavar="ROOT", type=click.Path(),
              help="Check the unpacked or mounted image at this folder, and change nothing.")
@json_option
def command(interfaces: tuple[str, ...], probe: bool, discover: bool, image: str | None, as_json: bool) -> int:
    """Say what is wrong, the worst first: which client serves IFACE or every link now and after the next boot, what its
    network does, and what to do about it. With --image: check whether an image is ready to be used.

    Each finding has a verdict: "BAD" (something has to be done), "note" (worth knowing) or "ok".
    """
    if image is not None and (interfaces or probe):
        raise CliError(USAGE, "--image checks files; it goes with neither IFACE nor --probe")
    if discover and not probe:
        raise CliError(USAGE, "--discover needs --probe")
    if probe and os.geteuid() != 0:
        raise CliError(NOT_PERMITTED, "--probe needs root; use sudo")
    for name in interfaces:
        if name not in interface_names():
            raise CliError(NO_INTERFACE, no_such_interface(name))
    try:
        findings = ordered(_of_image(image) if image is not None else _of_guest(interfaces, probe, discover))
    except ControlError as error:
        raise no_answer(error) from None
    except FormatError as error:
        raise CliError(FAILED, str(error)) from None
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to read {error.filename or 'a file'}; run as root") from None
    except OSError as error:
        raise CliError(FAILED, f"{error.filename or image or '/'} cannot be read: {error.strerror}") from None
    if as_json:
        echo_json(document(findings))
    else:
        _print(findings)
    return FAILED if worst(findings) == BAD else 0


def _print(findings: Sequence[Finding]) -> None:
    """One block for each finding; what is in order takes one line each."""
    width = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        margin = 6 + width + 2
        where = f"{finding.interface}: " if finding.interface and not finding.text.startswith(finding.interface) else ""
        head = f"{finding.status:<4}  {finding.check:<{width}}  "
        lines = wrapped(where + finding.text, margin)
        echo(head + lines[0], style=styled(finding.status, _COLOURS[finding.status]))
        for line in lines[1:]:
            echo(" " * margin + line)
        for fact in finding.evidence if finding.status != OK else ():
            for line in wrapped(fact, margin):
                echo(" " * margin + line, dim=True)
        if finding.todo:
            for number, line in enumerate(wrapped(finding.todo, margin + 3)):
                echo(" " * margin + ("-> " if number == 0 else "   ") + line)


def _of_image(root: str) -> Iterator[Finding]:
    from holdfast.doctor import image  # noqa: PLC0415 - only what is needed

    yield from image.check(root)


def _of_guest(names: tuple[str, ...], probe: bool, discover: bool) -> Iterator[Finding]:
    from holdfast.doctor import live  # noqa: PLC0415

    yield from live.check(folders_of(None), live.Wanted(names, probe, discover))
