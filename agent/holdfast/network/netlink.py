"""One rtnetlink socket for requests: an acknowledged change, or a dump. netlink(7), rtnetlink(7).

Messages are made by ``rtnl``, without their header; requests and answers are handled here. Every answer is matched by
sequence number. A request whose answer was lost (ENOBUFS, no answer in time) is repeated. A dump that changed while it
was read is read again. Everything is bounded.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
import struct
from collections.abc import Callable, Iterator

from holdfast.network import KernelError
from holdfast.network.watch import split
from holdfast.wire.lean import suppress

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 0x1, 0x4, 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x400, 0x800
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
NLM_F_ACK_TLVS = 0x200
NLMSGERR_ATTR_MSG = 1

#: Seconds to wait for one datagram. The kernel answers within the system call; a second allows for a machine that
#: swaps. The protocol's timers are late by this wait.
TIMEOUT = 1.0

#: Attempts for one request. An answer is lost only under memory pressure; after three losses in a row the caller gets
#: an error and repeats the operation later.
ATTEMPTS = 3

#: Answers kept of one dump, after the filter: more addresses and static routes than a link with DHCP has. A routing
#: daemon's routes are filtered out before.
MAX_ANSWERS = 16384

#: Codes for which the same request can succeed a moment later.
TRANSIENT = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT})


class NetlinkSocket:
    """Synchronous requests to the kernel. Raises KernelError only. ``connection`` is for tests."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._sequence = 0
        try:
            self._socket = connection or socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
            self._socket.settimeout(TIMEOUT)
            if connection is None:
                self._socket.bind((0, 0))
        except OSError as error:
            raise KernelError(f"no netlink socket: {_named(error.errno)}", error.errno) from None
        # The error's text (4.12), short acknowledgements (4.3), dumps filtered by the kernel (4.20): none
        # of them is needed.
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK):
            with suppress(OSError):
                self._socket.setsockopt(SOL_NETLINK, option, 1)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def change(self, message: bytes, kind: int, flags: int, what: str) -> None:
        """Ask for a change and wait for its acknowledgement. ``what`` names it in the error."""
        self._insist(message, kind, flags | NLM_F_ACK, what, lambda _: True)

    def dump(
        self, message: bytes, kind: int, what: str, keep: Callable[[bytes], bool], seek: tuple[bytes, ...] = ()
    ) -> list[bytes]:
        """All answers that ``keep`` wants. It sees raw messages, so that a full routing table costs
        little; a datagram with none of the bytes ``seek`` in it is not even taken apart (rule 91). When the table
        changed during each attempt, the last attempt's answers are returned: reading back shows the rest."""
        return self._insist(message, kind, NLM_F_DUMP, what, keep, seek)

    def get(self, message: bytes, kind: int, what: str) -> bytes:
        """The one answer to a request for one object."""
        answers = self._insist(message, kind, 0, what, lambda _: True)
        return answers[0]

    def _insist(
        self, message: bytes, kind: int, flags: int, what: str, keep: Callable[[bytes], bool],
        seek: tuple[bytes, ...] = (),
    ) -> list[bytes]:
        for attempt in range(1, ATTEMPTS + 1):
            self._sequence = self._sequence % 0xFFFFFFFF + 1
            request = struct.pack("=IHHII", 16 + len(message), kind, flags | NLM_F_REQUEST, self._sequence, 0) + message
            try:
                answers, interrupted = self._exchange(request, flags, what, keep, seek)
            except KernelError as error:
                if error.errno not in TRANSIENT or attempt == ATTEMPTS:
                    raise
                continue
            if not interrupted or attempt == ATTEMPTS:
                return answers
        raise AssertionError("the last attempt returns or raises")

    def _exchange(
        self, request: bytes, flags: int, what: str, keep: Callable[[bytes], bool], seek: tuple[bytes, ...]
    ) -> tuple[list[bytes], bool]:
        """One request and its answers; whether a dump was interrupted."""
        answers: list[bytes] = []
        interrupted = False
        try:
            self._socket.send(request)
            while True:
                data = self._socket.recv(1 << 16)
                sought = not seek or any(pattern in data for pattern in seek)
                for answer_kind, answer in split(data) if sought else _ends(data):
                    _, _, answer_flags, sequence, _ = struct.unpack_from("=IHHII", answer)
                    if sequence != self._sequence:
                        continue  # a late answer to an earlier request
                    interrupted |= bool(answer_flags & NLM_F_DUMP_INTR)
                    if answer_kind in (NLMSG_ERROR, NLMSG_DONE):
                        _raise_for(answer, what)
                        return answers, interrupted
                    if keep(answer) and len(answers) < MAX_ANSWERS:
                        answers.append(answer)
                    if not flags & (NLM_F_DUMP | NLM_F_ACK):
                        return answers, interrupted
        except TimeoutError:
            raise KernelError(f"{what}: no answer from the kernel", errno.ETIMEDOUT) from None
        except OSError as error:
            raise KernelError(f"{what}: {_named(error.errno)}", error.errno) from None


def _ends(data: bytes) -> Iterator[tuple[int, bytes]]:
    """As ``split``, but only the messages that end an answer."""
    position = 0
    while position + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, position)
        if length < 16:
            return
        if kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, data[position:position + length]
        position += (length + 3) & ~3


def _raise_for(answer: bytes, what: str) -> None:
    """Raise for the negative errno of an NLMSG_ERROR or NLMSG_DONE; zero is the acknowledgement."""
    code = -struct.unpack_from("=i", answer, 16)[0] if len(answer) >= 20 else 0
    if code:
        text = _kernel_text(answer)
        raise KernelError(f"{what}: {_named(code)}" + (f": {text}" if text else ""), code)


def _kernel_text(answer: bytes) -> str:
    """NLMSGERR_ATTR_MSG, which follows the error code and the header of the request (NETLINK_CAP_ACK)."""
    flags = struct.unpack_from("=H", answer, 6)[0]
    position = 16 + 4 + 16
    while flags & NLM_F_ACK_TLVS and position + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, position)
        if length < 4:
            break
        if kind == NLMSGERR_ATTR_MSG:
            return answer[position + 4:position + length].rstrip(b"\0").decode("ascii", "replace")
        position += (length + 3) & ~3
    return ""


def _named(code: int | None) -> str:
    return f"{errno.errorcode.get(code or 0, str(code))} ({os.strerror(code or 0)})"
