"""The text of a journal: JSON, and back with every value checked. It is hostile input when read."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf
from typing import Any

from holdfast.network.plan import Address, Observed
from holdfast.network.spec import Route
from holdfast.settings.checks import ifname_problem
from holdfast.takeover.journal.record import FileDone, Journal, Phase
from holdfast.takeover.model import Change, Command, FileChange, ForeignLease, Found, ListEntry, Ownership

VERSION = 1
#: A few drop-ins and their former contents. What is larger is not ours.
SIZE_LIMIT = 4 << 20
_TEXT_LIMIT = 1 << 16


class JournalError(ValueError):
    """The text says what is wrong with it."""


def render(journal: Journal) -> bytes:
    """The file's content."""
    return json.dumps(_to_json(journal), indent=1).encode() + b"\n"


def parse(data: bytes, ifname: str) -> Journal:
    """What ``data`` holds. JournalError when it is not a journal of ``ifname`` as ``render`` writes it."""
    try:
        return _from_json(data, ifname)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise JournalError(f"{type(error).__name__}: {error}") from None


def _to_json(journal: Journal) -> dict[str, Any]:
    found, lease = journal.found, journal.lease
    return {
        "version": VERSION,
        "ifname": journal.ifname,
        "adapter": journal.adapter,
        "phase": journal.phase.name,
        "boot_id": journal.boot_id,
        "agent_unit": journal.agent_unit,
        "agent_enabled": journal.agent_enabled,
        "deadman": journal.deadman,
        "notes": list(journal.notes),
        "found": {
            "client": found.client, "manager": found.manager, "pids": list(found.pids), "evidence": found.evidence,
            "argv": list(found.argv), "environment": dict(found.environment), "cwd": found.cwd, "unit": found.unit,
            "facts": dict(found.facts),
        },
        "lease": lease_to_json(lease),
        "volatile": [_change_to_json(change) for change in journal.ownership.volatile],
        "persistent": [_change_to_json(change) for change in journal.ownership.persistent],
        "files": [
            {"path": done.path, "before": _encoded(done.before), "before_mode": done.before_mode, "after": done.after}
            for done in journal.files
        ],
        "before": _observed_to_json(journal.before),
    }


def lease_to_json(lease: ForeignLease) -> dict[str, Any]:
    """A lease as JSON; null stands for infinity."""
    times = {name: getattr(lease, name) for name in ("started_at", "t1_at", "t2_at", "expires_at")}
    return {
        "address": str(lease.address),
        "server_id": None if lease.server_id is None else str(lease.server_id),
        **{name: None if value == inf else value for name, value in times.items()},
        "options": {str(code): value.hex() for code, value in sorted(lease.options.items())},
        "client_id": None if lease.client_id is None else lease.client_id.hex(),
        "vendor_class": None if lease.vendor_class is None else lease.vendor_class.hex(),
        "hostname": lease.hostname,
        "source": lease.source,
    }


def _change_to_json(change: Change) -> dict[str, Any]:
    if isinstance(change, FileChange):
        return {"path": change.path, "content": _encoded(change.content), "mode": change.mode}
    if isinstance(change, ListEntry):
        return {"list": change.path, "entry": change.entry}
    return {"argv": list(change.argv), "undo": None if change.undo is None else list(change.undo)}


def _observed_to_json(observed: Observed) -> dict[str, Any]:
    return {
        "mtu": observed.mtu,
        "addresses": [
            {"interface": str(held.interface), "broadcast": None if held.broadcast is None else str(held.broadcast),
             "label": held.label, "scope": held.scope, "flags": held.flags, "metric": held.metric,
             "forever": held.valid == inf}
            for held in observed.addresses
        ],
        "routes": [
            {"destination": str(route.destination), "gateway": None if route.gateway is None else str(route.gateway),
             "metric": route.metric, "source": None if route.source is None else str(route.source),
             "protocol": route.protocol, "mtu": route.mtu, "table": route.table}
            for route in observed.routes
        ],
    }


def _encoded(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")


def _from_json(data: bytes, ifname: str) -> Journal:
    """ValueError and its kin for anything that is not as ``_to_json`` writes it."""
    if len(data) > SIZE_LIMIT:
        raise ValueError(f"larger than {SIZE_LIMIT} bytes")
    root = _table(json.loads(data))
    if _number(root["version"], 1 << 31) != VERSION:
        raise ValueError(f"version {root['version']!r}, and this program writes {VERSION}")
    if root["ifname"] != ifname or ifname_problem(ifname):
        raise ValueError("it is another interface's")
    found = _table(root["found"])
    return Journal(
        ifname, _text(root["adapter"]), Phase[_text(root["phase"])],
        Found(
            _text(found["client"]), _text(found["manager"]), ifname,
            tuple(_number(pid, 1 << 31) for pid in found["pids"]), _text(found["evidence"]), _words(found["argv"]),
            _texts(found["environment"]), _path(found["cwd"]), _unit(found["unit"]), _texts(found["facts"]),
        ),
        lease_from_json(_table(root["lease"])),
        Ownership(tuple(map(_change, root["volatile"])), tuple(map(_change, root["persistent"]))),
        tuple(map(_file, root["files"])), _observed(_table(root["before"])), _text(root["boot_id"]),
        _unit(root["agent_unit"]), _flag(root["agent_enabled"]), _text(root["deadman"]),
        _words(root["notes"]),
    )


def lease_from_json(table: Mapping[str, Any]) -> ForeignLease:
    """The reverse of ``lease_to_json``; ValueError and its kin."""
    times = [
        inf if table[name] is None else float(_real(table[name]))
        for name in ("started_at", "t1_at", "t2_at", "expires_at")
    ]
    options = {int(code): bytes.fromhex(_text(value)) for code, value in _table(table["options"]).items()}
    if not all(0 < code < 255 for code in options):
        raise ValueError("an option that is none")
    return ForeignLease(
        IPv4Interface(_text(table["address"])),
        None if table["server_id"] is None else IPv4Address(_text(table["server_id"])),
        times[0], times[1], times[2], times[3], options,
        None if table["client_id"] is None else bytes.fromhex(_text(table["client_id"])),
        None if table["vendor_class"] is None else bytes.fromhex(_text(table["vendor_class"])),
        None if table["hostname"] is None else _text(table["hostname"]), _text(table["source"]),
    )


def _change(value: Any) -> Change:
    table = _table(value)
    if "path" in table:
        return FileChange(_path(table["path"]), _decoded(table["content"]), _number(table["mode"], 0o10000))
    if "list" in table:
        return ListEntry(_path(table["list"]), _line(table["entry"]))
    argv, undo = _words(table["argv"]), table["undo"]
    if not argv:
        raise ValueError("an empty command")
    return Command(argv, None if undo is None else _words(undo))


def _file(value: Any) -> FileDone:
    table = _table(value)
    after = table["after"]
    if after is not None and not re.fullmatch(r"[0-9a-f]{64}", _text(after)):
        raise ValueError("a checksum that is none")
    return FileDone(_path(table["path"]), _decoded(table["before"]), _number(table["before_mode"], 0o10000), after)


def _observed(table: Mapping[str, Any]) -> Observed:
    addresses = tuple(
        Address(
            IPv4Interface(_text(held["interface"])),
            None if held["broadcast"] is None else IPv4Address(_text(held["broadcast"])),
            None if held["label"] is None else _text(held["label"])[:15], _number(held["scope"], 256),
            _number(held["flags"], 1 << 32), valid=inf if _flag(held["forever"]) else 0.0,
            metric=_number(held["metric"], 1 << 32),
        )
        for held in table["addresses"]
    )
    routes = tuple(
        Route(
            IPv4Network(_text(route["destination"])),
            None if route["gateway"] is None else IPv4Address(_text(route["gateway"])),
            _number(route["metric"], 1 << 32),
            None if route["source"] is None else IPv4Address(_text(route["source"])), _number(route["protocol"], 256),
            _number(route["mtu"], 1 << 32), _number(route.get("table", 0), 1 << 32),  # 0.1 wrote none
        )
        for route in table["routes"]
    )
    return Observed(addresses, routes, _number(table["mtu"], 1 << 32))


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT or "\0" in value:
        raise ValueError("not a text")
    return value


def _line(value: Any) -> str:
    """One line of a list: a name or a pattern."""
    line = _text(value)
    if not line.isascii() or not line.isprintable() or not line or " " in line or "#" in line:
        raise ValueError("not a line of a list")
    return line


def _texts(value: Any) -> dict[str, str]:
    return {_text(name): _text(each) for name, each in _table(value).items()}


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 1024:
        raise ValueError("not a list")
    return tuple(map(_text, value))


def _number(value: Any, below: int) -> int:
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("not a number in range")
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 2.0**40:  # nan is not below either
        raise ValueError("not a time")
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("not true or false")
    return value


def _unit(value: Any) -> str:
    if value and not re.fullmatch(r"[\w:.@\\-]{1,240}\.(service|scope)", _text(value)):
        raise ValueError("not a unit")
    return _text(value)


def _path(value: Any) -> str:
    """Absolute and plain, and no file system of the kernel's."""
    path = _text(value)
    if path != os.path.normpath(path) or not path.startswith("/") or path.startswith("//") \
            or path.split("/")[1] in ("proc", "sys", "dev"):
        raise ValueError(f"{path!r} is no path of ours")
    return path


def _decoded(value: Any) -> bytes | None:
    try:
        return None if value is None else base64.b64decode(_text_of_any_size(value), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _text_of_any_size(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value
