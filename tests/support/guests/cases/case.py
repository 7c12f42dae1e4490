"""A case: one guest's files, what its network offers, and what a take-over is to come to."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from tests.support.guests.files import File, Link
from tests.support.guests.net import IPv6
from tests.support.guests.variants import LINK, Variant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What a case says of a release before this one; kept, and not read.
_HISTORY = {"now", "reason", "changed_at_once", "changed_after_reboot"}
#: Managers ignore such files when others can read them.
_SECRET = (".nmconnection", ".yaml")


class CaseError(ValueError):
    """A case that cannot be read; the text names the file and the key."""


class Case(NamedTuple):
    """See tests/guests/README.md. ``refused``: words of the refusal that is right here, or None."""

    name: str
    folder: Path
    source: str
    manager: Variant
    interface: str = LINK
    ipv6: IPv6 | None = None
    dnsmasq: tuple[str, ...] = ()
    prepare: str = ""
    also_compare: str = ""
    baked: bool = False
    virtual_machine: bool = False
    executable: Collection[str] = ()
    links: tuple[tuple[str, str], ...] = ()
    refused: str | None = None

    def files(self) -> dict[str, File | Link]:
        """What the guest has of its own."""
        found: dict[str, File | Link] = {}
        root = self.folder / "root"
        for path in sorted(root.rglob("*")):
            name = f"/{path.relative_to(root)}"
            if path.is_symlink():
                found[name] = Link(str(path.readlink()))
            elif path.is_file():
                mode = 0o755 if name in self.executable else 0o600 if name.endswith(_SECRET) else 0o644
                found[name] = File(path.read_bytes(), mode)
        return found | {path: Link(target) for path, target in self.links}


def read(folder: Path) -> Case:
    """The case in ``folder``. CaseError."""
    path = folder / "case.toml"
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(f"{path}: {error}") from error
    machine = table.pop("machine", "container")
    table = {key: value for key, value in table.items() if key not in _HISTORY}
    unknown = sorted(table.keys() - set(Case._fields) | table.keys() & {"name", "folder", "virtual_machine"})
    if unknown:
        raise CaseError(f"{path}: no key {unknown[0]!r} is known")
    for key, allowed in (("manager", get_args(Variant)), ("ipv6", (None, *get_args(IPv6)))):
        if table.get(key) not in allowed:
            raise CaseError(f"{path}: {key} is one of {', '.join(filter(None, allowed))}, not {table.get(key)!r}")
    if machine not in {"container", "qemu"}:
        raise CaseError(f"{path}: machine is container or qemu, not {machine!r}")
    links = tuple(sorted(table.pop("links", {}).items()))
    options = tuple(table.pop("dnsmasq", ()))
    source = str(table.pop("source", ""))
    return Case(
        folder.name, folder, source, cast(Variant, table.pop("manager")), links=links, dnsmasq=options,
        virtual_machine=machine == "qemu", **table,
    )


def read_all(folder: Path, names: Collection[str] = ()) -> list[Case]:
    """The cases in the folders of ``folder``, or those of these names, in the order of their names. CaseError."""
    found = {path.parent.name: path.parent for path in folder.glob("*/case.toml")}
    missing = sorted(set(names) - found.keys())
    if missing:
        raise CaseError(f"{folder} has no case {missing[0]!r}")
    if not found:
        raise CaseError(f"{folder} has no cases: folders with a file case.toml")
    return [read(found[name]) for name in sorted(found) if not names or name in names]
