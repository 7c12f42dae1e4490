"""A hook of hatchling: the wheel's manual pages and completions, where a Python environment has such files.

`pip install --prefix /usr/local` puts them where man and the shells look; in a virtual environment they are below its
share/, and `holdfast completion SHELL` prints the scripts.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPLETIONS = {
    "bash": "share/bash-completion/completions/holdfast",
    "zsh": "share/zsh/site-functions/_holdfast",
    "fish": "share/fish/vendor_completions.d/holdfast.fish",
}


class WheelDocuments(BuildHookInterface):  # type: ignore[misc]
    """Adds the files to the wheel's data."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write them to a folder that lasts until the wheel is made, and name them as shared data."""
        root = Path(self.root)
        sys.path[:0] = [str(root / "agent"), str(root / "packaging")]
        from holdfast.cli import completions  # noqa: PLC0415 - found only now
        from holdfast_build import manual  # noqa: PLC0415

        self._folder = tempfile.TemporaryDirectory(prefix="holdfast-documents-")
        texts = {f"share/man/man{name[-1]}/{name}": text for name, text in manual.pages()}
        texts.update({path: completions.script(shell) for shell, path in COMPLETIONS.items()})
        for number, (path, text) in enumerate(sorted(texts.items())):
            file = Path(self._folder.name, str(number))
            file.write_text(text)
            file.chmod(0o644)
            build_data["shared_data"][str(file)] = path

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """The wheel is made: remove the folder."""
        self._folder.cleanup()
