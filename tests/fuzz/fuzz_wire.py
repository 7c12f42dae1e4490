"""Fuzz target for everything that reads what a stranger sent. With atheris (pip install atheris):

    python tests/fuzz/fuzz_wire.py -max_total_time=600 CORPUS_FOLDER

The replies under tests/fixtures/replies, written into the folder by ``write_corpus``, are a good start:

    python tests/fuzz/fuzz_wire.py --write-corpus CORPUS_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "agent"), str(ROOT)]

if __name__ == "__main__":  # tests import this file without atheris, and want nothing instrumented
    import atheris

    with atheris.instrument_imports(include=["holdfast"]):
        import holdfast.wire.arp
        import holdfast.wire.frame
        import holdfast.wire.message  # noqa: F401 - options come with it

from tests.support.fixtures import load_reply, reply_names  # noqa: E402

from holdfast.wire import WireError, arp, frame, message, options  # noqa: E402

DECODERS = (
    options.address, options.addresses, options.uint16, options.text,
    options.hostname, options.domain_names, options.uri, options.classless_routes,
    options.static_routes, options.domain_search,
)
PROPERTIES = (
    "message_type", "server_id", "lease_time", "renewal_time", "rebinding_time", "client_id",
    "requested_address", "error_text",
)


def exercise_value(value: bytes) -> None:
    """Every decoder of option values: an answer or WireError."""
    for decoder in DECODERS:
        try:
            decoder(value)
        except WireError:
            continue


def exercise(data: bytes) -> None:
    """Every reader of packets: an answer or WireError; and what was read can be written and read again."""
    exercise_value(data)
    for reader in (frame.parse_ipv4_udp, arp.parse):
        try:
            reader(data)
        except WireError:
            continue
    try:
        read = message.decode(data)
    except WireError:
        return
    for name in PROPERTIES:
        getattr(read, name)
    for value in read.options.values():
        exercise_value(value)
    try:
        written = message.encode(read)
    except WireError as error:
        assert error.reason == "length", error  # noqa: PT017 - only splitting can make it longer
        return
    assert message.decode(written) == read


def write_corpus(folder: Path) -> None:
    """One file for each reply of the field, bare and in a packet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in reply_names():
        payload = load_reply(name)
        (folder / name).write_bytes(payload)
        packet = frame.build_udp(message.ANY, message.BROADCAST, 67, 68, payload)
        (folder / f"{name}-packet").write_bytes(packet)


def main() -> None:
    """Write the corpus, or hand over to libFuzzer."""
    if sys.argv[1:2] == ["--write-corpus"]:
        write_corpus(Path(sys.argv[2]))
        return
    atheris.Setup(sys.argv, exercise)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
