"""Calls running agents by control/client.py, and turns their errors into exit statuses and messages."""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, Mapping

from holdfast.cli.exits import FAILED, NO_AGENT, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import interface_names, no_such_interface
from holdfast.control import client
from holdfast.control.interface import NAME, agent_path
from holdfast.settings.dirs import search_runtime_dirs
from holdfast.settings.model import Settings


def agents(settings: Settings) -> dict[str, str]:
    """Interface -> path of its control socket, for every socket there is."""
    try:
        return client.sockets(search_runtime_dirs(settings.runtime_dir))
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to read {error.filename}; run as root") from None


def ask(settings: Settings, interface: str, method: str, **parameters: object) -> dict[str, Any]:
    """Call ``method`` of the agent that serves ``interface``. CliError when that fails."""
    path = agents(settings).get(interface)
    answer = None if path is None else call(path, method, {"interface": interface, **parameters})
    if answer is None:
        if interface not in interface_names():
            awaited = None
            with suppress(CliError):  # the missing interface is reported in any case
                awaited = waiting_agent(settings, interface)
            raise CliError(NO_INTERFACE, no_such_interface(interface) + (f"; {awaited}" if awaited else ""))
        raise CliError(NO_AGENT, f"no agent is running for {interface}; start one with `holdfast run {interface}`")
    return answer


def waiting_agent(settings: Settings, interface: str | None = None) -> str | None:
    """A text that says for which links an agent that serves by pattern waits; None when no such agent runs, or when
    ``interface`` fits no pattern. CliError when the agent gives no answer."""
    for folder in search_runtime_dirs(settings.runtime_dir):
        answer = call(agent_path(folder), "Status", {})
        patterns = answer["patterns"] if answer else []
        if answer and patterns and (interface is None or any(fnmatchcase(interface, one) for one in patterns)):
            return f"the agent (pid {answer['pid']}) waits for a link that fits {' or '.join(patterns)}"
    return None


def call(path: str, method: str, parameters: Mapping[str, object]) -> dict[str, Any] | None:
    """The reply to one call, as the interface declares it; None when no agent listens at ``path``. CliError when there
    is no reply, or an error."""
    try:
        return client.call(path, method, parameters)
    except client.NoAgentError:
        return None
    except client.RefusedError as error:
        raise _refusal(error, path) from None
    except client.ControlError as error:
        raise no_answer(error) from None


def no_answer(error: client.ControlError) -> CliError:
    """The CliError for a call without a reply."""
    return CliError(NOT_PERMITTED if isinstance(error, client.NotPermittedError) else FAILED, str(error))


def _refusal(error: client.RefusedError, path: str) -> CliError:
    """The CliError for an error reply of the agent."""
    name = error.parameters.get("interface")
    match error.name.removeprefix(NAME + "."):
        case "NoSuchInterface":
            return CliError(NO_AGENT, f"the agent at {path} does not serve {name}")
        case "NotBound":
            return CliError(FAILED, f"{name} has no lease to release")
        case "CannotRemember":
            reason = error.parameters["reason"]
            return CliError(FAILED, f"{name}: this cannot be stored ({reason}); nothing was changed")
        case "LinkMissing":
            return CliError(NO_INTERFACE, f"{name} is not there now; the agent waits for it")
        case "NoCarrier":
            return CliError(FAILED, f"{name} has no carrier, so nobody can be asked: the cable is out, or the switch's "
                                    "port is down; the lease is checked as soon as it is back")
        case "NoOutcome":
            return CliError(FAILED, f"no server answered within {error.parameters['seconds']:.0f} s; the agent goes on "
                                    f"trying; see `holdfast status {name}`")
    return CliError(FAILED, str(error))
