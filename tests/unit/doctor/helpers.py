"""Trees that look like images."""

from __future__ import annotations

import hashlib
from pathlib import Path

from holdfast.doctor.finding import BAD, Finding
from holdfast.doctor.image import check

ROOT = Path(__file__).resolve().parents[3]
DROP_INS = ROOT / "tests" / "data" / "0.1.0" / "image"
SYSTEM = "/etc/systemd/system"


class Image:
    """A folder with an installed Holdfast in it that serves all cards by its configuration, as images of 0.1 do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("/usr/lib/holdfast/agent", "#!/usr/bin/python3\n")
        self.write("/usr/lib/sysusers.d/holdfast.conf", "u holdfast -\n")
        for unit in ("holdfast.service", "holdfast@.service", "holdfast-wait-online.service"):
            self.write(f"/usr/lib/systemd/system/{unit}", "[Service]\n")
        digest = hashlib.md5(b"#!/usr/bin/python3\n", usedforsecurity=False).hexdigest()
        self.write("/var/lib/dpkg/info/holdfast.md5sums", f"{digest}  usr/lib/holdfast/agent\n")
        self.write("/usr/bin/cloud-init", "")
        self.write("/usr/sbin/dhclient", "")
        self.write("/etc/cloud/clean.d/50-holdfast", "#!/bin/sh\n", 0o755)
        self.write("/etc/machine-id", "uninitialized\n")
        self.enable("holdfast.service")
        self.enable("holdfast-wait-online.service", "network-online.target")
        self.drop_in("etc/holdfast/holdfast.d/50-image.toml")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def link(self, path: str, target: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def enable(self, unit: str, target: str = "multi-user.target") -> None:
        self.link(f"{SYSTEM}/{target}.wants/{unit}", f"/lib/systemd/system/{unit}")

    def drop_in(self, path: str) -> None:
        """One of the files that keep managers off, as 0.1 shipped them for images."""
        self.write(path, (DROP_INS / path).read_text())

    def manager(self, unit: str, *programs: str) -> None:
        """A network manager that is installed and enabled."""
        self.write(f"/lib/systemd/system/{unit}", "[Service]\n")
        self.enable(unit)
        for program in programs:
            self.write(program, "")

    def findings(self) -> list[Finding]:
        return list(check(str(self.root)))

    def bad(self) -> list[tuple[str, str]]:
        """Check and line of what is bad."""
        return [(finding.check, finding.line) for finding in self.findings() if finding.status == BAD]
