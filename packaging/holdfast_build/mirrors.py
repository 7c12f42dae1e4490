"""Where this machine fetches Debian packages from, for folders that are built of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

_DEBIAN = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"


def sources() -> list[str]:
    """Lines for sources.list, the main archive first: this machine's mirrors when it is a Debian 12 itself."""
    found = {"bookworm": _DEBIAN, "bookworm-security": _SECURITY}
    for line in _ask("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"):
        codename, _, address = line.partition(" ")
        if codename in found and address.startswith(("http://", "https://")):
            found[codename] = address.rstrip("/")
    main, security = found["bookworm"], found["bookworm-security"]
    return [
        f"deb {main} bookworm main", f"deb {main} bookworm-updates main", f"deb {security} bookworm-security main",
    ]


def apt_settings() -> str:
    """How this machine reaches its mirrors: proxies, retries, and whether it minds old release files."""
    wanted = ("Acquire::http", "Acquire::Check", "Acquire::Retries", "Acquire::ForceIPv4")
    return "".join(f"{line}\n" for line in _ask("apt-config", "dump") if line.startswith(wanted))


def keyring(peers: Path) -> Path:
    """Debian's keys: this machine's, or those unpacked below ``peers``. FileNotFoundError."""
    for root in (Path("/"), peers / "root"):
        path = root / "usr/share/keyrings/debian-archive-keyring.gpg"
        if path.exists():
            return path
    raise FileNotFoundError("no debian-archive-keyring.gpg: install the package debian-archive-keyring")


def _ask(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return done.stdout.splitlines()
