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
    if not paths and not weaker:
        return Settings()
    from holdfast.settings.load import load  # noqa: PLC0415

    return load(paths, overlay=weaker)
