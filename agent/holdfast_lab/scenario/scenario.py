"""Scenarios: what happens to a client in one run, read from the small files in ``scenarios/``.

A moment is a word and an offset: "T1", "T2 - 2", "expiry + 5", "T1 + 10%" (per cent of the lease), "bind + 3" (the
first ACK is "bind"). Without a word it counts from "bind". "start" is before everything, "never" after everything.
Times of the lease are those of the file, or all scaled alike when another lease is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from math import inf
from pathlib import Path
from typing import Any

from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease, Unicast

try:
    import tomllib  # type: ignore[import-not-found, unused-ignore]
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[import-not-found, no-redef, unused-ignore]

FOLDER = Path(__file__).parents[1] / "scenarios"
_MOMENT = re.compile(r"(?:(bind|T1|T2|expiry)\s*)?(?:([+-]?)\s*(\d+(?:\.\d+)?)\s*(%?))?")
ALWAYS = ((-inf, inf),)
#: What an [[event]] may do, with what its value means.
DEEDS = {
    "cable": 'the client\'s cable: "out" or "in"',
    "client": '"kill" (SIGKILL), "terminate" (SIGTERM) or "start" (once more)',
    "server": '"forget": it loses every lease',
    "gateway": '"silent": the gateway, which is the server\'s machine, answers ARP no more',
    "delete": '"address": another program deletes the client\'s address',
    "add_address": "another program adds this address to the client's interface",
    "add_route": 'another program adds a route there: "198.51.100.0/24 via 192.0.2.1"',
}


class ScenarioError(ValueError):
    """A scenario's file is wrong; the text names file and key."""


@dataclass(frozen=True)
class Window:
    """Something that is so between two moments. ``value`` is a ``Faults``, an address, or what the window is about."""

    start: str
    end: str
    value: Any


@dataclass(frozen=True)
class Deed:
    """Something that is done at a moment; ``kind`` and ``what`` are those of ``DEEDS``."""

    at: str
    kind: str
    what: str


@dataclass(frozen=True)
class Second:
    """Another server on the cable."""

    address: str
    start: str
    faults: Faults


@dataclass(frozen=True)
class Flood:
    """Malformed packets: from when, for how many seconds, how many a second."""

    at: str
    seconds: float
    rate: int


@dataclass(frozen=True)
class Expectation:
    """What Holdfast must do beside keeping its promises.

    ``promises``: those that must have been put to the test. ``renewals``: answered ones, at least. ``recovery``:
    seconds from the server's return to the fresh lease, at most. ``says``: what its log has, each once.
    """

    text: str = ""
    promises: tuple[int, ...] = (2, 3, 4)
    renewals: int = 0
    recovery: float | None = None
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One file. ``faults`` are there from the start, ``windows`` come and go; moments are text, see the module."""

    name: str
    title: str
    story: str
    lease: Lease
    faults: Faults = NO_FAULTS
    identity: str | None = None
    windows: tuple[Window, ...] = ()
    deeds: tuple[Deed, ...] = ()
    neighbours: tuple[Window, ...] = ()
    second: Second | None = None
    flood: Flood | None = None
    back: str | None = None
    """The server's return, from which recovery is counted."""
    until: str = "expiry + 1"
    patience: float = 0.0
    """Seconds that the run goes on after ``until``, at most, until the client has been answered after ``back``."""
    alone: bool = False
    """Too heavy to be run beside others."""
    expect: Expectation = Expectation()

    def scaled(self, seconds: int | None) -> Scenario:
        """The same with another lease."""
        if seconds is None:
            return self
        factor = seconds / self.lease.time
        t1, t2 = (None if at is None else max(1, round(at * factor)) for at in (self.lease.t1, self.lease.t2))
        return replace(self, lease=Lease(seconds, t1, t2))

    def moment(self, text: str) -> float:
        """Seconds after the first ACK."""
        return moment(text, self.lease)

    def faults_at(self, elapsed: float) -> Faults:
        """What is wrong with the server then; -1 is before the first ACK."""
        faults = self.faults
        for window in self.windows:
            if self.moment(window.start) <= elapsed < self.moment(window.end):
                faults = replace(faults, **window.value)
        return faults


def moment(text: str, lease: Lease) -> float:
    """Seconds after the first ACK; ValueError for what is not a moment."""
    if text in {"start", "never"}:
        return -inf if text == "start" else inf
    match = _MOMENT.fullmatch(text.strip())
    if match is None or not text.strip():
        raise ValueError(f"{text!r} is not a moment such as T1, T2 - 2, expiry + 10%, start or never")
    word, sign, number, percent = match.groups()
    t1 = lease.time * 0.5 if lease.t1 is None else lease.t1
    t2 = lease.time * 0.875 if lease.t2 is None else lease.t2
    base = {None: 0.0, "bind": 0.0, "T1": t1, "T2": t2, "expiry": lease.time}[word]
    offset = float(number or 0) * (lease.time / 100 if percent else 1)
    return base - offset if sign == "-" else base + offset


def names() -> list[str]:
    """Of all scenarios, in the order in which they are told (that of the files' numbers)."""
    return [path.stem.partition("-")[2] for path in sorted(FOLDER.glob("*.toml"))]


def find(name: str) -> Scenario:
    """The scenario of that name; KeyError, or ScenarioError when its file is wrong."""
    for path in FOLDER.glob("*.toml"):
        if path.stem.partition("-")[2] == name:
            return read(path)
    raise KeyError(name)


def read(path: Path) -> Scenario:
    """One file; ScenarioError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return parse(path.stem.partition("-")[2], table)
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"{path.name}: {error}") from error


def parse(name: str, table: dict[str, Any]) -> Scenario:
    """A scenario from its TOML; ValueError says what is wrong."""
    table = dict(table)
    lease = _lease(table.pop("lease", {}))
    server = dict(table.pop("server", {}))
    more: dict[str, Any] = {
        "identity": server.pop("identity", None),
        "faults": replace(NO_FAULTS, **_faults(server)),
        "windows": tuple(_window(entry) for entry in table.pop("fault", [])),
        "deeds": tuple(_deed(entry) for entry in table.pop("event", [])),
        "neighbours": tuple(_neighbour(entry) for entry in table.pop("neighbour", [])),
        "second": _second(table.pop("second", None)),
        "flood": _record(Flood, table.pop("flood", None)),
        "expect": _expectation(table.pop("expect", {})),
    }
    more |= {key: table.pop(key) for key in ("title", "story", "back", "until", "patience", "alone") if key in table}
    if table:
        raise ValueError(f"unknown key {next(iter(table))!r}")
    scenario = Scenario(name=name, lease=lease, **more)
    texts = [scenario.until, *([scenario.back] if scenario.back else []), *(deed.at for deed in scenario.deeds)]
    texts += [text for window in (*scenario.windows, *scenario.neighbours) for text in (window.start, window.end)]
    for text in texts:
        scenario.moment(text)
    return scenario


def _lease(table: dict[str, Any]) -> Lease:
    lease = Lease(table.pop("time", 30), table.pop("T1", 10), table.pop("T2", 26))
    if table:
        raise ValueError(f"lease: unknown key {next(iter(table))!r}")
    return lease


def _record(kind: type[Any], table: dict[str, Any] | None) -> Any:
    return None if table is None else kind(**table)


def _window(entry: dict[str, Any]) -> Window:
    entry = dict(entry)
    start, end = entry.pop("from", "start"), entry.pop("to", "never")
    return Window(start, end, _faults(entry))


def _neighbour(entry: dict[str, Any]) -> Window:
    entry = dict(entry)
    return Window(entry.pop("from", "start"), entry.pop("to", "never"), entry.pop("answers"))


def _deed(entry: dict[str, Any]) -> Deed:
    entry = dict(entry)
    at = entry.pop("at")
    if len(entry) != 1 or next(iter(entry)) not in DEEDS:
        raise ValueError(f"event: at {at!r}: one of {', '.join(DEEDS)} is wanted")
    [(kind, what)] = entry.items()
    return Deed(at, kind, what)


def _second(table: dict[str, Any] | None) -> Second | None:
    if table is None:
        return None
    table = dict(table)
    return Second(table.pop("address"), table.pop("from", "start"), replace(NO_FAULTS, **_faults(table)))


def _expectation(table: dict[str, Any]) -> Expectation:
    promises, says = tuple(table.get("promises", Expectation.promises)), tuple(table.get("says", ()))
    return Expectation(**{**table, "promises": promises, "says": says})


def _faults(table: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``Faults`` that a table of a scenario speaks of."""
    found: dict[str, Any] = {}
    known = {field.name for field in fields(Faults)}
    for key, value in table.items():
        if key in {"silent", "nak"}:
            found[key] = ALWAYS if value else ()
        elif key == "move":
            found |= {"move_at": -inf, "move_to": value}
        elif key == "unicast":
            found[key] = Unicast(value)
        elif key == "options":
            found[key] = {int(code): octets for code, octets in (_option(*pair) for pair in value.items())}
        elif key in known:
            found[key] = tuple(value) if isinstance(value, list) else value
        else:
            raise ValueError(f"unknown fault {key!r}")
    return found


def _option(name: str, value: Any) -> tuple[int, bytes]:
    """An option by its name here, or by its number with a value in hexadecimal."""
    if name in {"routes", "microsoft_routes"}:
        return (121 if name == "routes" else 249), classless(value)
    if name in {"mask", "router"}:
        return (1 if name == "mask" else 3), IPv4Address(value).packed
    if name == "mtu":
        return 26, int(value).to_bytes(2, "big")
    if name in {"lease", "T1", "T2"}:
        seconds = 0xFFFFFFFF if value == "infinite" else int(value)
        return {"lease": 51, "T1": 58, "T2": 59}[name], seconds.to_bytes(4, "big")
    if name.isdigit():
        return int(name), bytes.fromhex(value)
    raise ValueError(f"unknown option {name!r}")


def classless(routes: list[str]) -> bytes:
    """Option 121 (RFC 3442) of routes such as "198.51.100.0/24 via 192.0.2.9": width, significant octets, gateway."""
    value = b""
    for route in routes:
        destination, via, gateway = route.partition(" via ")
        if not via:
            raise AddressValueError(f"{route!r} is not DESTINATION via GATEWAY")
        network = IPv4Network(destination)
        octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
        value += bytes([network.prefixlen]) + octets + IPv4Address(gateway).packed
    return value
