"""runtime.dnsfile: what the daemon writes is read back, and nothing else is believed."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from holdfast.publish.spool import SIZE_LIMIT, DnsFileError, LinkNames, Names, parse, read_all, render

WANTED = LinkNames(2, Names((IPv4Address("10.0.0.2"),), ("example.org",), default_route=True))


def document(**changes: Any) -> bytes:
    return json.dumps({**json.loads(render(WANTED)), **changes}).encode()


def test_what_is_written_is_read() -> None:
    assert parse(render(WANTED)) == WANTED
    timed = WANTED._replace(ntp=(IPv4Address("10.0.0.3"),))
    assert parse(render(timed)) == timed
    assert parse(document(ntp=None).replace(b', "ntp": null', b"")) == WANTED  # a file of Holdfast 0.1
    largest = LinkNames(2**31 - 1, Names(WANTED.names.dns * 8, ("a" * 63 + "." + "b" * 63,) * 16, default_route=False))
    assert parse(render(largest)) == largest
    underscored = LinkNames(2, WANTED.names._replace(search=("_msdcs.corp_1.example",)))  # rule 95
    assert parse(render(underscored)) == underscored


@pytest.mark.parametrize("data", [
    b"", b"{", b"[]", b"null", b"[" * 5000, b"\xff\xfe", b" " * (SIZE_LIMIT + 1), document(version=2),
    document(ifindex=0), document(ifindex=-1), document(ifindex=True), document(ifindex="2"),
    document(ifindex=2**31), document(default_route=1), document(default_route=None),
    document(search_routes=1), document(dns="10.0.0.2"),
    document(dns=[1]), document(dns=["10.0.0"]), document(dns=["fe80::1"]), document(dns=["0.0.0.0"]),
    document(dns=["224.0.0.1"]), document(dns=["255.255.255.255"]), document(dns=["10.0.0.2"] * 9),
    document(dns=["10.0.0.2\nnameserver 10.6.6.6"]), document(search=["a\nnameserver 1.1.1.1"]),
    document(search=["a b"]), document(search=["-x"]),
    document(search=[""]), document(search=["\ud800"]), document(search=["a" * 300]),
    document(search=["x"] * 17), document(search=None), document(ntp=None), document(ntp=["10.0.0.2"] * 9),
    document(ntp=["pool.ntp.org"]), document(ntp=["10.0.0.2 iburst\nallow all"]), document(ntp=["224.0.1.1"]),
])
def test_anything_else_is_refused_and_not_shown(data: bytes) -> None:  # rule 73
    with pytest.raises(DnsFileError) as caught:
        parse(data)
    assert len(str(caught.value)) < 80
    assert "nameserver" not in str(caught.value)


def test_a_folder_is_read_without_following_anything(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:$6$hash")
    spool = tmp_path / "dns"
    assert read_all(str(spool)) == ({}, {})
    spool.mkdir()
    (spool / "eth0.json").write_bytes(render(WANTED))
    (spool / "eth1.json").symlink_to(secret)
    os.mkfifo(spool / "eth2.json")
    (spool / "eth3.json").write_text("root:$6$hash")
    (spool / "eth4.json").mkdir()
    for passed_over in (".eth5.json.tmp", "README", ".json", "a-name-of-16-byt.json"):
        (spool / passed_over).write_text("x")
    wanted, problems = read_all(str(spool))
    assert wanted == {"eth0": WANTED}
    assert sorted(problems) == ["eth1", "eth2", "eth3", "eth4"]
    assert not any("hash" in text for text in problems.values())
    (tmp_path / "link").symlink_to(spool)
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(OSError, match="link"):
        read_all(str(tmp_path / "link"))
