"""Calls an agent over its control socket: one call, one deadline, one reply that is as the interface declares it.

The agent runs as a user other than root. It may send anything, slowly or without end, and may replace the socket by
another file. The caller gets a reply whose types are right, or a ControlError whose text says what happened and where.
Texts in a reply are not escaped for a terminal.
"""

from __future__ import annotations

import _socket as socket
import os
import select
import struct
import time
from collections.abc import Iterable, Mapping
from math import inf

from holdfast import json_text
from holdfast.control.idl import MismatchError, conform, is_interface_name
from holdfast.control.interface import NAME, SERVICE, SUFFIX, definition
from holdfast.control.message import MessageError, decode, encode
from holdfast.state.folder import socket_address
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

#: Seconds for a whole call; longer than the agent itself waits for an outcome (30).
TIMEOUT = 40.0
#: Seconds of them for the question to be taken; an agent that runs takes it at once.
ASK_TIMEOUT = 5.0
#: Bytes of an answer: 200 outcomes are 100 KiB, the status of 256 interfaces is 400 KiB.
ANSWER_LIMIT = 1 << 20
#: Characters of an error's name; ours have forty.
_NAME_LIMIT = 255
#: poll(2) takes milliseconds in an int.
_LONGEST_WAIT = 86400.0


class ControlError(Exception):
    """A call without a reply. The text is one line for the user, and may contain text of the agent."""


class NoAgentError(ControlError):
    """No agent listens: there is no socket, or it is left over from a crash."""


class NotPermittedError(ControlError):
    """The socket, or the agent behind it, refuses this user."""


class TimedOutError(ControlError):
    """No complete reply came in time. ``pid`` is the process that listens, None when the kernel does not tell."""

    def __init__(self, text: str, pid: int | None) -> None:
        super().__init__(text)
        self.pid = pid


class HungUpError(ControlError):
    """The agent ended, or closed the connection, before its reply was complete."""


class ImproperAnswerError(ControlError):
    """The reply is not Varlink, too long, or not of the declared types."""


class RefusedError(ControlError):
    """The agent answered with an error. ``name`` includes the interface; ``parameters`` are as declared, and empty for
    an error that this version does not know."""

    def __init__(self, path: str, name: str, parameters: Mapping[str, Any]) -> None:
        super().__init__(f"the agent at {path} answered {name} {json_text.dumps(parameters)}")
        self.name = name
        self.parameters = parameters


def sockets(folders: Iterable[str]) -> dict[str, str]:
    """Interface -> path of its control socket, for every socket in these folders; an earlier folder takes precedence.
    Raises PermissionError for a folder that we may not read; a missing folder has no sockets."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except PermissionError:
            raise
        except OSError:
            continue
        for name in names:
            if name.endswith(SUFFIX):
                found.setdefault(name.removesuffix(SUFFIX), os.path.join(folder, name))
    return found


def call(
    path: str, method: str, parameters: Mapping[str, object] | None = None, *, timeout: float | None = None,
    interface: str = NAME,
) -> dict[str, Any]:
    """The answer of the agent that listens at ``path`` to ``method`` of ``interface``: every member that the
    interface declares, None for those that were left out. It takes at most ``timeout`` seconds, TIMEOUT when None.
    Raises ControlError, and MismatchError when ``parameters`` are not the method's."""
    with Call(path, method, parameters, timeout=timeout, interface=interface) as one:
        return one.answer()


def listens(path: str, timeout: float) -> bool:
    """True when a process accepts a connection at ``path`` within ``timeout`` seconds."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with socket_address(path) as address:
            connection.connect(address)
    except OSError:
        return False
    finally:
        connection.close()
    return True


class Call:
    """One pending call, for a caller that waits for several: poll ``fileno``, then ``receive``."""

    _flags: Mapping[str, bool] = {}

    def __init__(
        self, path: str, method: str, parameters: Mapping[str, object] | None = None, *, timeout: float | None = None,
        interface: str = NAME,
    ) -> None:
        """Connect and ask. ``timeout`` is for the whole call, in seconds: TIMEOUT when None, and infinity for one that
        is given up from outside. Raises as ``call`` does."""
        self.path = path
        self._timeout = TIMEOUT if timeout is None else timeout
        self._until = time.monotonic() + self._timeout
        self._interface = definition(interface)
        self._method = self._interface.methods[method]
        checked = conform(self._interface, self._method.takes, dict(parameters or {}), strict=True)
        given = {name: value for name, value in checked.items() if value is not None}
        self._received = bytearray()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._ask(encode({"method": f"{interface}.{method}", "parameters": given, **self._flags}))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to ``receive``."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection; the agent then drops the call."""
        self._connection.close()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer, until the call's time is over. Raises ControlError."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while True:
            left = self._until - time.monotonic()
            if left <= 0:
                raise self._timed_out()
            if poll.poll(min(left, _LONGEST_WAIT) * 1000):
                answer = self.receive()
                if answer is not None:
                    return answer

    def receive(self) -> dict[str, Any] | None:
        """Read without waiting: the reply once it is complete, else None. Raises ControlError."""
        part = self._read()
        data, end, rest = part.partition(b"\0")
        self._received += data
        if len(self._received) > ANSWER_LIMIT:
            raise self._improper(f"more than {ANSWER_LIMIT} bytes")
        if not end:
            return None
        if rest:
            raise self._improper("more than one answer")
        return self._result(bytes(self._received))

    def _read(self) -> bytes:
        """What has come; empty when nothing has. Raises ControlError at the end."""
        try:
            part = self._connection.recv(1 << 16)
        except BlockingIOError:
            return b""
        except OSError:
            part = b""
        if not part:
            raise self._hung_up()
        return part

    def _ask(self, question: bytes) -> None:
        self._connection.settimeout(min(self._timeout, ASK_TIMEOUT))
        try:
            with socket_address(self.path) as address:
                self._connection.connect(address)
            self._connection.sendall(question)
        except PermissionError:
            raise NotPermittedError(f"not permitted to use {self.path}; run as root, or as a member of the group that "
                                    "control_group names") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoAgentError(f"no agent listens at {self.path}") from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._hung_up() from None
        except TimeoutError:
            raise self._timed_out() from None
        except OSError as error:
            why = error.strerror or error
            raise ControlError(f"the agent at {self.path} cannot be asked: {why}; try again") from None
        self._connection.setblocking(False)

    def _result(self, data: bytes) -> dict[str, Any]:
        try:
            message = decode(data)
        except MessageError as wrong:
            raise self._improper(str(wrong)) from None
        parameters, error = message.get("parameters"), message.get("error")
        try:
            if error is None:
                answer: dict[str, Any] = conform(self._interface, self._method.gives, _object(parameters))
                return answer
            raise RefusedError(self.path, *_error(error, _object(parameters)))
        except MismatchError as wrong:
            raise self._improper(str(wrong)) from None

    def _timed_out(self) -> TimedOutError:
        limit = self._timeout if self._timeout != inf else ASK_TIMEOUT
        pid, _, _ = struct.unpack("3i", self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return TimedOutError(f"the agent at {self.path} did not answer within {limit:.0f} s", pid or None)

    def _hung_up(self) -> ControlError:
        if not self._received and os.geteuid() != 0:
            # The agent closes the connection of a user that it does not serve.
            return NotPermittedError(f"the agent at {self.path} hung up; it answers root, its own user and the group "
                                     "that control_group names")
        return HungUpError(f"the agent at {self.path} ended before it had answered; try again")

    def _improper(self, why: str) -> ImproperAnswerError:
        return ImproperAnswerError(f"the agent at {self.path} gave no proper answer: {why}")


class Stream(Call):
    """A call that is answered until it is given up: poll ``fileno``, then ``receive_all``."""

    _flags: Mapping[str, bool] = {"more": True}

    def receive_all(self) -> list[dict[str, Any]]:
        """Read without waiting: the replies that are complete. Raises ControlError."""
        *whole, rest = bytes(self._received + self._read()).split(b"\0")
        self._received = bytearray(rest)
        if len(rest) > ANSWER_LIMIT:
            raise self._improper(f"more than {ANSWER_LIMIT} bytes")
        return [self._result(data) for data in whole]


def _object(parameters: object) -> object:
    """A message's parameters may be left out when there are none."""
    return {} if parameters is None else parameters


def _error(name: object, parameters: object) -> tuple[str, Mapping[str, Any]]:
    """An error's name and its parameters as they are declared. Raises MismatchError."""
    if not isinstance(name, str) or len(name) > _NAME_LIMIT or not is_interface_name(name):
        raise MismatchError(("error",), "is not the name of an error")
    interface, _, short = name.rpartition(".")
    described = definition(interface) if interface in (NAME, SERVICE) else None
    if described is None or short not in described.errors:
        return name, {}
    return name, conform(described, described.errors[short], parameters)
