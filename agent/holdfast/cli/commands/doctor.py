"""``holdfast doctor``: is this guest, or this image, in order?"""

from __future__ import annotations

from collections.abc import Iterator

import click

from holdfast.cli.asking import no_answer
from holdfast.cli.exits import FAILED, NOT_PERMITTED, CliError
from holdfast.cli.options import folders_of, json_option
from holdfast.cli.output import echo, echo_json
from holdfast.control.client import ControlError
from holdfast.doctor.finding import BAD, Finding
from holdfast.managers.formats.errors import FormatError


@click.command("doctor", short_help="Check this guest, or an image before it is used.")
@click.option("--image", metavar="ROOT", type=click.Path(),
              help="Check the unpacked or mounted image at this folder, and change nothing.")
@json_option
def command(image: str | None, as_json: bool) -> int:
    """Check this guest: which client serves its links now, which after the next boot, and the leases. With --image:
    check whether an image is ready to be used. One line for each check: "ok", "note", or "BAD" with what to do.

    \b
    Exit status:
      0  nothing is bad
      1  something is bad
      5  not permitted to read a file
    """
    try:
        findings = list(_of_image(image) if image is not None else _of_guest())
    except ControlError as error:
        raise no_answer(error) from None
    except FormatError as error:
        raise CliError(FAILED, str(error)) from None
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to read {error.filename or 'a file'}; run as root") from None
    except OSError as error:
        raise CliError(FAILED, f"{error.filename or image or '/'} cannot be read: {error.strerror}") from None
    if as_json:
        echo_json([finding._asdict() for finding in findings])
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            echo(f"{finding.status:<4}  {finding.check:<{width}}  {finding.line}")
    return FAILED if any(finding.status == BAD for finding in findings) else 0


def _of_image(root: str) -> Iterator[Finding]:
    from holdfast.doctor import image  # noqa: PLC0415 - only what is needed

    yield from image.check(root)


def _of_guest() -> Iterator[Finding]:
    from holdfast.doctor import live  # noqa: PLC0415

    yield from live.check(folders_of(None))
