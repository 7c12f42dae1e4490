"""GLib key files, as far as NetworkManager's profiles use them: what they say, and the same text with some keys
changed. Everything else of the text stays as it is, byte for byte."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from holdfast.wire.record import NamedTuple

#: Sections that have two names (nm-settings-keyfile(5)).
_ALIASES = {"802-3-ethernet": "ethernet", "802-11-wireless": "wifi"}


class _Line(NamedTuple):
    text: str
    section: str
    key: str
    value: str


class KeyFile:
    """One key file. Of a key that is there twice the last counts; sections of one name are one section."""

    def __init__(self, text: str) -> None:
        self._lines = list(_lines(text))
        self._values = {(line.section, line.key): line.value for line in self._lines if line.key}

    def get(self, section: str, key: str) -> str | None:
        """The value, None when it is not there."""
        return self._values.get((section, key))

    def keys(self, section: str) -> list[str]:
        """The keys of a section, in order."""
        return [key for name, key in self._values if name == section]

    def items(self, section: str, key: str) -> tuple[str, ...]:
        """The items of a list; they end with a semicolon, or stand between some."""
        found = (item.strip() for item in (self.get(section, key) or "").replace(",", ";").split(";"))
        return tuple(filter(None, found))

    def on(self, section: str, key: str, default: bool) -> bool:
        """A boolean; ``default`` when it is not there or not understood."""
        said = (self.get(section, key) or "").lower()
        return said in ("true", "1", "yes") if said in ("true", "1", "yes", "false", "0", "no") else default

    def number(self, section: str, key: str) -> int | None:
        """A whole number, None when it is not there or none."""
        try:
            return int(self.get(section, key) or "")
        except ValueError:
            return None

    def changed(self, values: Mapping[tuple[str, str], str], without: Collection[tuple[str, str]] = ()) -> str:
        """The text with ``values`` set and the keys of ``without`` left out."""
        kept = [line for line in self._lines if (line.section, line.key) not in (*values, *without)]
        for (section, key), value in values.items():
            at = next((i for i, line in enumerate(kept) if line.section == section and not line.key
                       and line.text.lstrip().startswith("[")), -1)
            if at < 0:
                kept.append(_Line(f"[{section}]", section, "", ""))
                at = len(kept) - 1
            kept.insert(at + 1, _Line(f"{key}={value}", section, key, value))
        return "".join(f"{line.text}\n" for line in kept)


def _lines(text: str) -> list[_Line]:
    found, section = [], ""
    for line in text.splitlines():
        whole = line.strip()
        key, value = "", ""
        if whole.startswith("[") and whole.endswith("]"):
            section = _ALIASES.get(whole[1:-1], whole[1:-1])
        elif "=" in whole and not whole.startswith(("#", ";")):
            key, _, value = (part.strip() for part in whole.partition("="))
        found.append(_Line(line, section, key, value))
    return found
