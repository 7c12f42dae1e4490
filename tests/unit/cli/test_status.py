"""One interface at a glance, and on a terminal: flags, what goes on now, colours, an ellipsis."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import guarded, output, status_text
from holdfast.cli.commands import status

INSTANT = {"time": "2023-11-14T22:13:20.000Z", "seconds": -31.0}
CLIENT: dict[str, Any] = {
    "interface": "eth0", "state": "SELECTING", "present": True, "online": False, "yielded": False, "rival": None,
    "lease": None, "network": None, "hears_unicast": None, "round_trip": None, "gateway": None, "last_outcome": None,
    "drops": {}, "carrier": True, "servers": [], "claims": [], "notices": [], "problems": {}, "strangers": 0,
    "tagged": 0, "filtered": 0, "fallback": None,
    "exchange": {"since": INSTANT, "sent": {"DISCOVER": 5}, "heard": {}, "next": {**INSTANT, "seconds": 16.0}},
}


def test_a_fallback_address_is_shown_as_what_it_is() -> None:
    client = {**CLIENT, "fallback": "192.0.2.7/24"}
    line = status_text.line_of(client)
    assert (line.cells[2], line.cells[3], line.cells[4], line.cells[5]) == ("192.0.2.7/24", "-", "-", "fallback")
    assert next(iter(status_text.block(client))) == (
        "eth0: SELECTING, no lease; the fallback address 192.0.2.7/24 is used")


class Terminal(io.StringIO):
    """A terminal of ten columns or more."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, show: Callable[[], None], **environ: str) -> str:
    """What ``show`` prints on a terminal of 60 columns."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal())
        patch.delenv("NO_COLOR", raising=False)
        for name, value in {"COLUMNS": "60", "TERM": "xterm", **environ}.items():
            patch.setenv(name, value)
        show()
        assert isinstance(sys.stdout, Terminal)
        return sys.stdout.getvalue()


def show_client() -> None:
    """The line of CLIENT."""
    status.print_lines([status_text.line_of(CLIENT)])


def test_what_is_going_on_now() -> None:
    line = status_text.line_of(CLIENT)
    assert line.cells[-1] == "5 DISCOVERs sent in 31 s, nobody answered, next in 16 s"
    assert line.colour == "red"
    assert next(text for text in status_text.block(CLIENT) if "now" in text).endswith(line.cells[-1])
    heard = {**CLIENT, "exchange": {**CLIENT["exchange"], "heard": {"OFFER": 2}}, "carrier": False}
    assert status_text.now(heard) == "5 DISCOVERs sent in 31 s, answered by 2 OFFER"


def test_flags() -> None:
    lease = {"address": "192.0.2.50", "server": "192.0.2.1", "verified": False, "held_until": INSTANT,
             "expiry": INSTANT, "options": {}, "duration": 120.0}
    odd = {**CLIENT, "lease": lease, "carrier": False, "yielded": True, "rival": "dhclient", "hears_unicast": False,
           "problems": {"history": "full"}}
    assert status_text.flags(odd) == [
        "no carrier", "yielded", "unverified", "held", "deaf server", "problem", "removals"]
    assert status_text.flags({**CLIENT, "present": False}) == ["gone"]
    assert status_text.line_of(odd).colour == "yellow"


def test_what_the_doctor_knows_from_the_agent_is_a_flag() -> None:
    nak = {"identifier": "192.0.2.9", "source": "192.0.2.9", "heard": {"NAK": 1}, "offered": [], "last": INSTANT}
    lease = {"address": "192.0.2.50", "server": "192.0.2.1", "verified": True, "held_until": None, "duration": 120.0,
             "expiry": {**INSTANT, "seconds": 60.0}, "options": {}}
    assert status_text.flags({**CLIENT, "state": "BOUND", "lease": lease, "filtered": 1, "servers": [nak]}) == [
        "firewall", "rogue-server"]


def test_the_whole_has_what_else_was_seen() -> None:
    seen = {
        **CLIENT, "problems": {"history": "the disk is full"},
        "servers": [{"identifier": "192.0.2.9", "source": "192.0.2.9", "heard": {"NAK": 1}, "offered": [],
                     "last": INSTANT}],
        "claims": [{"address": "192.0.2.50", "by": "02:00:00:00:00:09", "count": 1, "last": INSTANT}],
        "notices": [{"code": "no-offer", "count": 2, "text": "nothing came", "last": INSTANT}],
    }
    assert list(status_text.block(seen)) == [
        "eth0: SELECTING, no address",
        "  now      5 DISCOVERs sent in 31 s, nobody answered, next in 16 s",
        "  problem  the disk is full",
        "  server   192.0.2.9 is there, too: 1 NAK",
        "  ARP      02:00:00:00:00:09 claims 192.0.2.50 (1 time)",
        "  noticed  nothing came (2 times, last 31 s ago)",
        "  dropped  nothing",
    ]


def test_a_terminal_gets_colours_and_an_ellipsis(monkeypatch: pytest.MonkeyPatch) -> None:
    heading, line = shown(monkeypatch, show_client).splitlines()
    assert "IFACE" in heading
    assert "\x1b[31m\x1b[1mSELECTING\x1b[0m" in line
    assert line.endswith("…")
    assert len(line) - len("\x1b[31m\x1b[1m\x1b[0m") <= 60


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert "\x1b" not in shown(monkeypatch, show_client, **{name: value})


def test_text_of_an_agent_is_escaped_before_it_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown(monkeypatch, lambda: output.echo("BAD \x1b]0;owned\x07", style=output.styled("BAD", "red")))
    assert said == "\x1b[31m\x1b[1mBAD\x1b[0m \\x1b]0;owned\\x07\n"


def test_what_the_resolver_really_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf, behind = tmp_path / "resolv.conf", tmp_path / "behind"
    monkeypatch.setattr(status_text, "RESOLV_CONF", str(conf))
    monkeypatch.setattr(status_text, "BEHIND_STUB", str(behind))
    assert status_text.resolver(["192.0.2.53"]) == f"{conf} cannot be read"
    conf.write_text("# none\noptions edns0\n")
    assert status_text.resolver(["192.0.2.53"]) == f"{conf} has no name server; not 192.0.2.53"
    conf.write_text("nameserver 127.0.0.53\n")
    behind.write_text("nameserver 192.0.2.53\nnameserver 192.0.2.54\n")
    assert status_text.resolver(["192.0.2.53"]) == f"systemd-resolved, {behind} has 192.0.2.53, 192.0.2.54"


def test_a_guarded_interface_is_a_line_too() -> None:
    facts = {"interface": "eth1", "client": "dhclient", "asking": False, "last": None,
             "lease": {"address": "192.0.2.51", "server": "192.0.2.1", "expiry": 61.0}}
    assert guarded.line_of(facts).cells == (
        "eth1", "guarded", "192.0.2.51", "192.0.2.1", "1 min 1 s", "dhclient", "-")
    bare = guarded.line_of({**facts, "lease": None, "asking": True})
    assert bare.cells[2:] == ("-", "-", "-", "dhclient", "renewing")


def test_watch_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    looks = iter([lambda: None, lambda: None])

    def sleep(seconds: float) -> None:
        assert seconds == status.INTERVAL
        if next(looks, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    monkeypatch.setattr(status, "agents", lambda _: {"eth0": "/nowhere"})
    monkeypatch.setattr(status, "call", lambda *_: {"clients": [CLIENT]})
    assert status.command.main(["--watch"], standalone_mode=False) is None
    assert capsys.readouterr().out.count("SELECTING") == 3


@pytest.mark.parametrize(("value", "text"), [
    ("", "empty"), ("73697465", '"site"'), ("c0000201", "c0:00:02:01 (192.0.2.1)"), ("0104", "01:04"),
    ("1b5d", "1b:5d"), ("no hex", "no hex"),
])
def test_options_for_people(value: str, text: str) -> None:
    assert status_text.option_text(value) == text
