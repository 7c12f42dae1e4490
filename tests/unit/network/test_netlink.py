"""network.netlink: the conversation with the kernel, when it goes badly."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

import pytest

from holdfast.network import KernelError
from holdfast.network.netlink import ATTEMPTS, NetlinkSocket
from holdfast.network.rtnl import LINK

NEWLINK, ERROR, DONE = 16, 2, 3
DUMP_INTR, ACK_TLVS = 0x10, 0x200


def message(kind: int, sequence: int, body: bytes = b"", flags: int = 0) -> bytes:
    whole = struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body
    return whole + bytes(-len(whole) % 4)


def error(sequence: int, code: int, text: str = "") -> bytes:
    """NLMSG_ERROR: the code, the request's header, and the kernel's words if it has any."""
    body = struct.pack("=i", -code) + bytes(16)
    if text:
        value = text.encode() + b"\0"
        body += struct.pack("=HH", 4 + len(value), 1) + value
    return message(ERROR, sequence, body, ACK_TLVS if text else 0)


Script = Callable[[int], "list[bytes | OSError]"]


class Scripted:
    """A kernel that answers each request with what the script makes of its sequence number."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self._answers: list[bytes | OSError] = []

    def settimeout(self, _: float) -> None: ...
    def setsockopt(self, *_: int) -> None:
        raise OSError(errno.ENOPROTOOPT, "an old kernel")

    def close(self) -> None: ...

    def send(self, data: bytes) -> int:
        self.requests.append(bytes(data))
        self._answers = self.scripts.pop(0)(struct.unpack_from("=I", data, 8)[0])
        return len(data)

    def recv(self, _: int) -> bytes:
        if not self._answers:
            raise TimeoutError("timed out")
        answer = self._answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def talk(*scripts: Script) -> tuple[NetlinkSocket, Scripted]:
    kernel = Scripted(*scripts)
    return NetlinkSocket(kernel), kernel  # type: ignore[arg-type]


def dump(netlink: NetlinkSocket) -> list[bytes]:
    return [data[16:] for data in netlink.dump(LINK.pack(0, 0, 1, 0, 0), 18, "reading", lambda data: data[16] != 0xFF)]


def change(netlink: NetlinkSocket) -> None:
    netlink.change(LINK.pack(0, 0, 1, 0, 0), 19, 0, "changing")


def ack(sequence: int) -> list[bytes | OSError]:
    return [error(sequence, 0)]


def test_an_acknowledgement_is_all_it_takes() -> None:
    netlink, kernel = talk(ack, ack)
    change(netlink)
    change(netlink)
    first, second = (struct.unpack_from("=I", data, 8)[0] for data in kernel.requests)
    assert second == first + 1


def test_an_error_is_named_with_the_kernel_s_words() -> None:
    netlink, _ = talk(lambda s: [error(s, errno.EPERM)], lambda s: [error(s, errno.EINVAL, "Bad metric")])
    with pytest.raises(KernelError, match=r"^changing: EPERM \(Operation not permitted\)$") as caught:
        change(netlink)
    assert caught.value.errno == errno.EPERM
    with pytest.raises(KernelError, match=r"^changing: EINVAL \(Invalid argument\): Bad metric$"):
        change(netlink)


def test_answers_to_what_was_given_up_are_passed_over() -> None:  # rule 59
    netlink, _ = talk(lambda s: [error(s - 1, errno.EPERM), error(s + 7, errno.EPERM) + error(s, 0)])
    change(netlink)


def test_a_lost_answer_is_asked_for_again() -> None:  # rule 59
    lost: Script = lambda _: [OSError(errno.ENOBUFS, "No buffer space available")]  # noqa: E731
    busy: Script = lambda s: [error(s, errno.EBUSY)]  # noqa: E731
    netlink, kernel = talk(lost, busy, ack)
    change(netlink)
    assert len(kernel.requests) == 3
    assert len({data[8:12] for data in kernel.requests}) == 3
    netlink, _ = talk(lost, lost, lost)
    with pytest.raises(KernelError, match="changing: ENOBUFS"):
        change(netlink)


def test_silence_ends() -> None:  # rule 59
    netlink, kernel = talk(*[lambda _: []] * ATTEMPTS)
    with pytest.raises(KernelError, match="changing: no answer from the kernel") as caught:
        change(netlink)
    assert caught.value.errno == errno.ETIMEDOUT
    assert len(kernel.requests) == ATTEMPTS


def test_a_dump_is_all_its_parts_that_are_wanted() -> None:
    netlink, _ = talk(lambda s: [
        message(NEWLINK, s, b"\x01abc") + message(NEWLINK, s, b"\xffnot"), message(NEWLINK, s, b"\x02def"),
        message(DONE, s, bytes(4)),
    ])
    assert dump(netlink) == [b"\x01abc", b"\x02def"]


def test_a_dump_that_changed_underway_is_read_again() -> None:
    def torn(sequence: int) -> list[bytes | OSError]:
        return [message(NEWLINK, sequence, b"torn", DUMP_INTR), message(DONE, sequence, bytes(4), DUMP_INTR)]

    netlink, _ = talk(torn, lambda s: [message(NEWLINK, s, b"good"), message(DONE, s, bytes(4))])
    assert dump(netlink) == [b"good"]
    netlink, kernel = talk(torn, torn, torn)
    assert dump(netlink) == [b"torn"]
    assert len(kernel.requests) == ATTEMPTS


def test_a_dump_ends_with_an_error_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    netlink, _ = talk(lambda s: [message(DONE, s, struct.pack("=i", -errno.EPERM))])
    with pytest.raises(KernelError, match="reading: EPERM"):
        dump(netlink)
    monkeypatch.setattr("holdfast.network.netlink.MAX_ANSWERS", 2)
    netlink, _ = talk(lambda s: [message(NEWLINK, s, b"abcd")] * 5 + [message(DONE, s)])
    assert len(dump(netlink)) == 2


def test_a_mangled_attribute_of_an_error_is_no_text() -> None:
    odd = struct.pack("=i", -errno.EINVAL) + bytes(16) + struct.pack("=HH", 6, 9) + b"xx\0\0" + bytes(4)
    netlink, _ = talk(lambda s: [message(ERROR, s, odd, ACK_TLVS)])
    with pytest.raises(KernelError, match=r"Invalid argument\)$"):
        change(netlink)


def test_no_socket_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("holdfast.network.netlink.socket.socket", refuse)
    with pytest.raises(KernelError, match="no netlink socket: EMFILE"):
        NetlinkSocket()
