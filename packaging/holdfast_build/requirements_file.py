"""What pip may install, and nothing else: the wheel and its dependencies, each by version and SHA-256.

The distribution is called ``holdfast-dhcp``: ``holdfast`` on PyPI is somebody else's project.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from holdfast_build.sources import ROOT

NAME = "requirements.txt"
USER_DATA = "user-data-pip.yaml"
_HEAD = "# For: pip install --require-hashes --only-binary :all: -r FILE. Made by ./dev build wheel.\n"
#: The line of cloud-init/user-data-pip.yaml whose place the file's content takes.
_PLACE = re.compile(r"^( *)holdfast-dhcp==.*# edit.*\n", re.MULTILINE)


def render(wheel: Path, dependencies: Path) -> str:
    """The file's text for ``wheel`` and for the wheels in the folder ``dependencies``."""
    return _HEAD + "".join(map(_line, [wheel, *sorted(dependencies.glob("*.whl"))]))


def user_data(requirements: str) -> str:
    """cloud-init/user-data-pip.yaml with ``requirements`` in it. ValueError when it has no place for them."""
    lines = [line for line in requirements.splitlines() if not line.startswith("#")]
    text = (ROOT / "cloud-init" / USER_DATA).read_text()
    filled, count = _PLACE.subn(lambda found: "".join(f"{found[1]}{line}\n" for line in lines), text)
    if count != 1:
        raise ValueError(f"cloud-init/{USER_DATA} has {count} lines for what pip may install, not one")
    return filled


def _line(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name.replace('_', '-').lower()}=={version} --hash=sha256:{digest}\n"
