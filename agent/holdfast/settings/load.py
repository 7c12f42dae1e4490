"""Configuration files -> Settings. Later files override earlier ones, key by key.

All problems are collected, so that one run of ``holdfast config check`` shows every one of them.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from holdfast.settings.checks import ifname_problem, link_pattern, nearest, show
from holdfast.settings.links import is_pattern
from holdfast.settings.model import GuardSettings, InterfaceSettings, Settings, SettingsError
from holdfast.settings.schema import AGENT, GUARD, INTERFACE, Key

try:
    import tomllib  # type: ignore[import-not-found, unused-ignore]
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[import-not-found, no-redef, unused-ignore]

#: A configuration is a page or two; a file of this size is a mistake (a disk image, a log).
SIZE_LIMIT = 1 << 20


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(SIZE_LIMIT + 1)


def load(
    paths: Sequence[str], read: Callable[[str], bytes] = _read, *, overlay: Sequence[str] = (),
) -> Settings:
    """Read, check and merge ``paths`` in order. Raises SettingsError.

    ``read`` gives a file's bytes, up to one more than SIZE_LIMIT, or raises OSError; those of an image are
    read in a way of their own. ``overlay`` are files of links that ``paths`` go before; one that is wrong is left out
    as a whole, and named in ``warnings``.
    """
    weak, warnings = _overlay_tables(overlay, read)
    reader = _Reader(read)
    for path in paths:
        reader.add(path)
    if reader.problems:
        raise SettingsError(tuple(reader.problems))
    settings = Settings(
        **reader.agent,
        guard=GuardSettings(**reader.guard),
        defaults=InterfaceSettings(**reader.defaults),
        tables=(*_by_strength(weak.interfaces), *((("*", reader.defaults),) if reader.defaults else ()),
                *_by_strength(reader.interfaces)),
        files=(*weak.files, *paths),
        origins={**weak.origins, **reader.origins},
        warnings=warnings,
    )
    return settings._replace(
        interfaces={name: settings.interface(name) for name in reader.interfaces if not is_pattern(name)}
    )


def _overlay_tables(paths: Sequence[str], read: Callable[[str], bytes]) -> tuple[_Reader, tuple[str, ...]]:
    """What is right in ``paths``, and what is wrong."""
    right, warnings = _Reader(read), []
    for path in paths:
        one = _Reader(read)
        one.add(path)
        if one.agent or one.guard or one.defaults:
            one.problems.append(f"{path}: has more than [interfaces.NAME]")
        if one.problems:
            warnings += one.problems
        else:
            right.interfaces.update(one.interfaces)
            right.origins.update(one.origins)
            right.files.append(path)
    return right, tuple(warnings)


def _by_strength(tables: Mapping[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Patterns, then exact names, which win."""
    return sorted(tables.items(), key=lambda item: not is_pattern(item[0]))


def _pattern_problem(pattern: str) -> str | None:
    try:
        link_pattern(pattern)
    except ValueError as error:
        return str(error)
    return None


class _Reader:
    """Merges files; ``problems`` has a line for each error in them."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.problems: list[str] = []
        self.agent: dict[str, Any] = {}
        self.guard: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self.interfaces: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.files: list[str] = []
        self._path = ""

    def add(self, path: str) -> None:
        """Read one file."""
        self._path = path
        for name, value in self._parse(path).items():
            if name == "agent":
                self._table("agent", value, AGENT, self.agent)
            elif name == "guard":
                self._table("guard", value, GUARD, self.guard)
            elif name == "defaults":
                self._table("defaults", value, INTERFACE, self.defaults)
            elif name == "interfaces":
                self._interfaces(value)
            else:
                self._unknown(name, name, ("agent", "guard", "defaults", "interfaces"))

    def _parse(self, path: str) -> Mapping[str, Any]:
        try:
            data = self._read(path)
            if len(data) > SIZE_LIMIT:
                raise ValueError(f"is larger than {SIZE_LIMIT} bytes")
            return dict(tomllib.loads(data.decode()))
        except OSError as error:
            self.problems.append(f"{path}: cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self.problems.append(f"{path}: is not UTF-8 text (byte {error.start})")
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{path}: is not TOML: {error}")
        except ValueError as error:
            self.problems.append(f"{path}: {error}")
        return {}

    def _interfaces(self, value: object) -> None:
        if not isinstance(value, dict):
            self._problem("interfaces", f"{show(value)} is not a table; use [interfaces.NAME]")
            return
        for name, table in value.items():
            why = _pattern_problem(name) if is_pattern(name) else ifname_problem(name)
            if why:
                self._problem(f"interfaces.{name}", why)
            else:
                self._table(f"interfaces.{name}", table, INTERFACE, self.interfaces.setdefault(name, {}))

    def _table(self, where: str, table: object, known: Mapping[str, Key], into: dict[str, Any]) -> None:
        if not isinstance(table, dict):
            self._problem(where, f"{show(table)} is not a table; use [{where}]")
            return
        for name, value in table.items():
            key = f"{where}.{name}"
            if name not in known and isinstance(value, dict) and where.startswith("interfaces."):
                whole = f"{where.removeprefix('interfaces.')}.{name}"
                self._problem(key, f'a name with a dot is to be quoted: use [interfaces."{whole}"]')
                continue
            if name not in known:
                self._unknown(key, name, known)
                continue
            try:
                into[name] = known[name].check(value)
            except ValueError as error:
                self._problem(key, str(error))
            else:
                self.origins[key] = self._path

    def _unknown(self, key: str, name: str, known: Any) -> None:
        if name in AGENT:
            hint = "; it belongs in [agent]"
        elif name in INTERFACE:
            hint = "; it belongs in [defaults] or [interfaces.NAME]"
        else:
            hint = nearest(name, known) or "; known are " + ", ".join(known)
        self._problem(key, "unknown key" + hint)

    def _problem(self, key: str, what: str) -> None:
        self.problems.append(f"{self._path}: key {key}: {what}")
