"""Settings: TOML files -> plain records. Every error names its file and key.

``read()`` is what the agent calls; without a configuration file it imports neither TOML nor the
checks, because it runs before the first DISCOVER.
"""

from __future__ import annotations

from holdfast.settings.dirs import config_files
from holdfast.settings.model import Settings, SettingsError

__all__ = ["Settings", "SettingsError", "read"]


def read(config: str | None = None) -> Settings:
    """The settings of ``config`` (the file of ``--config``), or of the usual places.

    Raises SettingsError.
    """
    paths = config_files(config)
    if not paths:
        return Settings()
    from holdfast.settings.load import load  # noqa: PLC0415

    return load(paths)
