"""Asking a running agent over its control socket (Varlink; the server is runtime/control_service.py)."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, Mapping

from holdfast.cli.exits import FAILED, NO_AGENT, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import interface_names, no_such_interface
from holdfast.settings.dirs import search_runtime_dirs
from holdfast.settings.model import Settings

SUFFIX = ".varlink"
#: An agent that serves by pattern has a socket of this name as well (runtime.control.agent_path).
NAME = "io.holdfast.Agent"
#: Seconds for a whole call; longer than the agent itself waits for an outcome.
TIMEOUT = 40.0
#: Bytes of an answer: 200 outcomes are 100 KiB, the status of 64 interfaces is about as much.
ANSWER_LIMIT = 1 << 20


def agents(settings: Settings) -> dict[str, str]:
    """Interface -> path of its control socket, for every socket there is."""
    found: dict[str, str] = {}
    for folder in search_runtime_dirs(settings.runtime_dir):
        try:
            names = sorted(os.listdir(folder))
        except PermissionError:
            raise CliError(NOT_PERMITTED, f"not permitted to look into {folder}; run as root") from None
        except OSError:
            continue
        for name in names:
            if name.endswith(SUFFIX):
                found.setdefault(name.removesuffix(SUFFIX), os.path.join(folder, name))
    return found


def ask(settings: Settings, interface: str, method: str, **parameters: object) -> dict[str, Any]:
    """Call ``method`` of the agent that serves ``interface``. CliError when that fails."""
    path = agents(settings).get(interface)
    answer = None if path is None else call(path, method, {"interface": interface, **parameters})
    if answer is None:
        if interface not in interface_names():
            awaited = None
            with suppress(CliError):  # that it is not there is the news
                awaited = waiting_agent(settings, interface)
            raise CliError(NO_INTERFACE, no_such_interface(interface) + (f"; {awaited}" if awaited else ""))
        raise CliError(NO_AGENT, f"no agent is running for {interface}; start one with `holdfast run {interface}`")
    return answer


def waiting_agent(settings: Settings, interface: str | None = None) -> str | None:
    """What an agent that serves by pattern waits for, in words; None when there is none, or ``interface`` would not
    fit. CliError when it cannot be asked."""
    for folder in search_runtime_dirs(settings.runtime_dir):
        answer = call(os.path.join(folder, NAME), "Status", {}) or {}
        pid, patterns = answer.get("pid"), answer.get("patterns")
        if not isinstance(pid, int) or not isinstance(patterns, list):
            continue
        words = [str(pattern) for pattern in patterns]
        if words and (interface is None or any(fnmatchcase(interface, pattern) for pattern in words)):
            return f"the agent (pid {pid}) waits for a link that fits {' or '.join(words)}"
    return None


def call(path: str, method: str, parameters: Mapping[str, object]) -> dict[str, Any] | None:
    """One call; None when nobody listens at ``path``. It ends after ``TIMEOUT`` seconds, however slowly an answer
    trickles in."""
    until = time.monotonic() + TIMEOUT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(path)
        except PermissionError:
            raise CliError(NOT_PERMITTED, f"not permitted to use {path}; run as root, or as a member of the group "
                                          "that control_group names") from None
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            why = error.strerror or error
            raise CliError(FAILED, f"the agent at {path} cannot be asked: {why}; try again") from None
        try:
            connection.sendall(json.dumps({"method": f"{NAME}.{method}", "parameters": parameters}).encode() + b"\0")
            return _result(_read(connection, until), path)
        except TimeoutError:
            raise CliError(FAILED, f"the agent at {path} did not answer within {TIMEOUT:.0f} s") from None
        except (ConnectionResetError, BrokenPipeError, EOFError):
            raise CliError(FAILED if os.geteuid() == 0 else NOT_PERMITTED, f"the agent at {path} hung up; it answers "
                           "root, its own user and the group that control_group names") from None
        except RecursionError:
            raise CliError(FAILED, f"the agent at {path} gave no proper answer: nested too deeply") from None
        except (OSError, ValueError) as error:
            raise CliError(FAILED, f"the agent at {path} gave no proper answer: {error}") from None


def _read(connection: socket.socket, until: float) -> object:
    """``until`` is an instant of time.monotonic(). TimeoutError, EOFError, ValueError, RecursionError, OSError."""
    data = bytearray()
    while not data.endswith(b"\0"):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(1 << 16)
        if not part:
            raise EOFError
        data += part
        if len(data) > ANSWER_LIMIT:
            raise ValueError(f"more than {ANSWER_LIMIT} bytes")
    return json.loads(data[:-1])


def _result(message: object, path: str) -> dict[str, Any]:
    if not isinstance(message, dict) or not isinstance(message.get("parameters", {}), dict):
        raise ValueError("not a Varlink message")
    parameters: dict[str, Any] = message.get("parameters", {})
    error = message.get("error")
    if error is None:
        return parameters
    name = parameters.get("interface", "?")
    short = str(error).removeprefix(NAME + ".")
    if short == "NoSuchInterface":
        raise CliError(NO_AGENT, f"the agent at {path} does not serve {name}")
    if short == "NotBound":
        raise CliError(FAILED, f"{name} has no lease to release")
    if short == "CannotRemember":
        raise CliError(FAILED, f"{name}: that cannot be remembered ({parameters.get('reason')}); nothing was changed")
    if short == "LinkMissing":
        raise CliError(NO_INTERFACE, f"{name} is not there now; the agent waits for it")
    if short == "NoOutcome":
        raise CliError(FAILED, f"nobody answered within {parameters.get('seconds', 0):.0f} s, and the agent goes on "
                               f"asking; see `holdfast status {name}`")
    raise CliError(FAILED, f"the agent at {path} answered {error} {json.dumps(parameters)}")
