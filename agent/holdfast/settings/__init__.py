"""Settings: TOML files -> plain records. Every error names its file and key.

``read()`` is what the agent calls; without a configuration file it imports neither TOML nor the
checks, because it runs before the first DISCOVER.
"""

from __future__ import annotations

from holdfast.settings.dirs import config_files, overlay_files
from holdfast.settings.model import Settings, SettingsError

__all__ = ["Settings", "SettingsError", "read"]


def read(config: str | None = None, *, overlay: bool = True) -> Settings:
    """The settings of ``config`` (the file of ``--config``), or of the usual places and, weaker than those, what the
    overlay's program has read out of the managers' files (``overlay``).

    Raises SettingsError.
    """
    paths = config_files(config)
    weaker = overlay_files() if overlay and config is None else ()
    if not weaker and all(map(_says_nothing, paths)):
        return Settings(files=paths)
    from holdfast.settings.load import load  # noqa: PLC0415

    return load(paths, overlay=weaker)


#: Bytes of a file that may be all comments; the package's has 20,000.
_LIMIT = 64 << 10


def _says_nothing(path: str) -> bool:
    """True for a file of comments and of tables without a key, as packages bring it: TOML's parser and the checks take
    longer to be imported than the daemon does."""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            text = file.read(_LIMIT)
    except (OSError, ValueError):
        return False
    lines = [line for line in text.split("\n") if line and line[0] != "#"]
    return len(text) < _LIMIT and text.replace("\n", "").isprintable() and lines == list(dict.fromkeys(lines)) and (
        set(lines) <= {"[agent]", "[defaults]", "[guard]"})
