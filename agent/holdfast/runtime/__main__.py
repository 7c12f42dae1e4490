"""``python -I -m holdfast.runtime [--config FILE] [--state-dir DIR] [--runtime-dir DIR] [IFACE...]``.

The daemon: what the systemd unit starts and what ``holdfast run`` becomes. Its arguments are read by
hand, and only what the first DISCOVER needs is imported before it, because the machine waits for its network.

Exit statuses: 0 stopped by a signal; 1 a system error; 2 wrong arguments; 4 an interface that cannot be used;
5 not permitted; 6 wrong configuration; 7 another agent serves the interface.
"""

from __future__ import annotations

import errno
import gc
import os
import sys

from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import NoReturn

    from holdfast.settings import Settings

USAGE = "usage: python -m holdfast.runtime [--config FILE] [--state-dir DIR] [--runtime-dir DIR] [IFACE...]"
FAILED, WRONG_USAGE, NO_INTERFACE, NOT_PERMITTED, WRONG_CONFIGURATION, ALREADY_SERVED = 1, 2, 4, 5, 6, 7

_CAP_NET_ADMIN = 12  # linux/capability.h


class Arguments(NamedTuple):
    """What the command line says."""

    config: str | None
    state_dir: str | None
    runtime_dir: str | None
    interfaces: list[str]


def read_arguments(argv: list[str]) -> Arguments:
    """Ends the process with a usage line when they are wrong."""
    options: dict[str, str | None] = {"--config": None, "--state-dir": None, "--runtime-dir": None}
    interfaces: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in options:
            given = value if equals else next(words, None)
            if not given:
                end(WRONG_USAGE, f"{name} needs a value; {USAGE}")
            options[name] = given
        elif word.startswith("-"):
            end(WRONG_USAGE, f"unknown option {word}; {USAGE}")
        elif not word or len(word.encode()) > 15 or word in (".", "..") or any(c in "/:" or c.isspace() for c in word):
            end(WRONG_USAGE, f"{word!r} cannot be the name of an interface; {USAGE}")
        elif word not in interfaces:
            interfaces.append(word)
    return Arguments(options["--config"], options["--state-dir"], options["--runtime-dir"], interfaces)


def end(status: int, text: str) -> NoReturn:
    """Write each line of ``text`` to stderr, and end the process."""
    from holdfast.escape import printable  # noqa: PLC0415

    for line in text.split("\n"):
        sys.stderr.write(f"holdfast: {printable(line)}\n")
    raise SystemExit(status)


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal stops it; returns the exit status."""
    gc.disable()  # a collection while modules are loaded finds nothing, and costs 3 ms
    arguments = read_arguments(sys.argv[1:] if argv is None else argv)
    from holdfast import settings as configuration  # noqa: PLC0415 - after the arguments are known to be right
    from holdfast.settings.dirs import runtime_dir, state_dir  # noqa: PLC0415

    try:
        settings = configuration.read(arguments.config)
    except configuration.SettingsError as error:
        end(WRONG_CONFIGURATION, str(error))
    try:
        names, patterns, listed, others = _selected(arguments, settings)
    except configuration.SettingsError as error:
        end(WRONG_CONFIGURATION, str(error))
    if not names and not patterns and not listed:
        end(WRONG_USAGE, f"no interface is named, on the command line or in the configuration; {USAGE}")

    from holdfast.observe.log import Log  # noqa: PLC0415
    from holdfast.runtime.factory import AlreadyServedError  # noqa: PLC0415
    from holdfast.runtime.supervisor import Supervisor  # noqa: PLC0415

    log = Log(settings.log, level=settings.log_priority)
    for warning in settings.warnings:
        log.write(4, f"{warning}; going on without the file")
    supervisor = Supervisor(
        names,
        settings,
        state_dir(arguments.state_dir or settings.state_dir),
        runtime_dir(arguments.runtime_dir or settings.runtime_dir),
        log,
        patterns=patterns,
        listed=listed,
        others=others,
        reread=lambda: _reread(arguments),
    )
    try:
        supervisor.start()
    except AlreadyServedError as error:
        end(ALREADY_SERVED, str(error))
    except configuration.SettingsError as error:
        end(WRONG_CONFIGURATION, str(error))
    except OSError as error:
        end(*explain(error))
    if not may_configure():
        end(NOT_PERMITTED, "not permitted to configure interfaces: run as root, or with CAP_NET_ADMIN")
    supervisor.warm_up()
    gc.freeze()  # later collections skip what is loaded
    gc.enable()
    supervisor.run()
    supervisor.close()
    return 0


def _reread(arguments: Arguments) -> tuple[Settings, list[str]]:
    """The configuration as it is now, and the names of the links to serve. Raises SettingsError."""
    from holdfast import settings as configuration  # noqa: PLC0415

    settings = configuration.read(arguments.config)
    return settings, _selected(arguments, settings)[0]


def _selected(
    arguments: Arguments, settings: Settings
) -> tuple[list[str], tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """The names and patterns to serve, the patterns of the list of links, and the names of links that fit and are left
    to others. Raises SettingsError for a wrong list of links."""
    if arguments.interfaces:
        return arguments.interfaces, (), (), frozenset()
    from holdfast.settings import links  # noqa: PLC0415

    listed = links.served()
    names = [name for name in settings.interfaces if name not in listed.others]
    patterns = tuple(pattern for pattern in settings.serve if pattern not in listed.others)
    return names, patterns, listed.patterns, listed.others


def explain(error: OSError) -> tuple[int, str]:
    """The exit status and the line for an error of the start."""
    text = error.strerror or str(error)
    if error.filename:
        text = f"{error.filename}: {text}"
    if error.errno == errno.EPERM and type(error) is PermissionError:
        return NOT_PERMITTED, "not permitted to open packet sockets: run as root, or with CAP_NET_RAW and CAP_NET_ADMIN"
    if error.errno in (errno.EPERM, errno.EACCES):
        return NOT_PERMITTED, text
    if error.errno in (errno.ENODEV, errno.ENXIO, errno.EOPNOTSUPP):
        return NO_INTERFACE, text
    return FAILED, text


def may_configure(status: str = "/proc/self/status") -> bool:
    """False when the process certainly lacks CAP_NET_ADMIN, as the process's ``status`` says (proc(5): CapEff)."""
    try:
        with open(status, "rb") as file:
            for line in file:
                if line.startswith(b"CapEff:"):
                    return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    except (OSError, ValueError):
        pass
    return os.geteuid() == 0


if __name__ == "__main__":
    raise SystemExit(main())
