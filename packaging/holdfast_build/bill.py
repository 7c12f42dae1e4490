"""The bill of materials of a package (CycloneDX 1.6): the libraries in its private folder, by SHA-256.

`./dev lock` makes packaging/sbom.cdx.json of requirements/package.txt, by cyclonedx-py; here it gets our version.
"""

from __future__ import annotations

import json
from pathlib import Path

NAME = "sbom.cdx.json"


def render(sources: Path, version: str) -> bytes:
    """The file as it is packaged. KeyError or ValueError when ``sources`` has no sound one."""
    bill = json.loads((sources / "packaging" / NAME).read_text())
    bill["metadata"]["component"]["version"] = version
    return (json.dumps(bill, indent=2, sort_keys=True) + "\n").encode()
