"""Everything a package puts on a machine, below one folder: ``python3 -m holdfast_build.payload SOURCES DEST deb|rpm``.

Runs inside the build (debian/rules, holdfast.spec) with the standard library and what SOURCES brings along: the
dependencies as wheels in SOURCES/wheels, whose hashes were checked when they were fetched. Modes are set here, so
that no umask decides them.
"""

from __future__ import annotations

import gzip
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: What an operator reads. Their links to other pages of the repository lead nowhere here.
PAGES = (
    "README.md", "SECURITY.md", "docs/cloud-init.md", "docs/fleet.md", "docs/guard.md", "docs/images.md",
    "docs/migrating.md", "docs/operations.md",
)
SITE = "usr/lib/holdfast/site"
SYSTEM = "usr/lib/systemd/system"

#: -I: neither the caller's folder nor environment decides what root imports. -S: nor do the distribution's packages.
#: -B: nothing is written below /usr.
LAUNCHER = """\
#!{python} -ISB
import sys

sys.path.insert(0, "/usr/lib/holdfast/site")
from holdfast import bundle

bundle.use()
from {module} import main

sys.exit(main())
"""

#: Enterprise Linux 9 has Python 3.9 as python3 and newer ones beside it.
CHOOSE_PYTHON = """\
#!/bin/sh
# The newest Python here that Holdfast can use. /usr/bin/python3 comes last: on Enterprise Linux 9 it is too old.
for python in /usr/bin/python3.14 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3.10; do
    [ -x "$python" ] && exec "$python" "$@"
done
exec /usr/bin/python3 "$@"
"""

#: Debian has py3compile.
BYTE_COMPILE = """\
#!/bin/sh
# Byte-code for the Python that is used, made when this package or a Python is installed.
set -e
find /usr/lib/holdfast/site -depth -name __pycache__ -exec rm -r {} +
/usr/libexec/holdfast/python -IS -m compileall -q /usr/lib/holdfast/site
exec /usr/libexec/holdfast/python -ISB /usr/lib/holdfast/site/holdfast/bundle.py
"""


class Flavour(NamedTuple):
    """Where the families of distributions differ. Folders are relative to the root."""

    python: str
    programs: str
    zsh: str
    licences: bool
    apparmor: bool


FLAVOURS = {
    "deb": Flavour("/usr/bin/python3", "usr/lib/holdfast", "usr/share/zsh/vendor-completions",
                   licences=False, apparmor=True),
    # /usr/libexec is bin_t for SELinux, so that systemd starts what is there as an unconfined service;
    # /usr/lib is lib_t, and would run as systemd itself. /usr/lib/holdfast has links.
    "rpm": Flavour("/usr/libexec/holdfast/python", "usr/libexec/holdfast", "usr/share/zsh/site-functions",
                   licences=True, apparmor=False),
}


class Payload:
    """A root folder being filled."""

    def __init__(self, sources: Path, root: Path, flavour: Flavour) -> None:
        self.sources, self.root, self.flavour = sources, root, flavour

    def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """One file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)

    def copy(self, source: str, path: str, mode: int = 0o644) -> None:
        """One file of packaging/."""
        self.write(path, (self.sources / "packaging" / source).read_bytes(), mode)

    def folder(self, path: str) -> None:
        """An empty folder."""
        (self.root / path).mkdir(parents=True, exist_ok=True)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)


def build(sources: Path, root: Path, flavour: Flavour) -> None:
    """Fill ``root``."""
    payload = Payload(sources, root, flavour)
    for step in (modules, programs, systemd, configuration, documentation):
        step(payload)
    for folder, folders, _ in os.walk(root):
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755)  # noqa: S103 - /usr is for everybody to read


def modules(payload: Payload) -> None:
    """The agent and what it depends on, in a folder of its own."""
    package = payload.sources / "agent" / "holdfast"
    for file in sorted(package.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            payload.write(f"{SITE}/holdfast/{file.relative_to(package)}", file.read_bytes())
    for wheel in sorted((payload.sources / "wheels").glob("*.whl")):
        for path, content in wheel_files(wheel):
            payload.write(f"{SITE}/{path}", content)


def wheel_files(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of what is carried of a wheel. METADATA stays: scanners for known faults look for it."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            top, _, rest = name.partition("/")
            wanted = rest == "METADATA" or not top.endswith(".dist-info")
            if wanted and not name.endswith("/"):
                yield name, archive.read(name)


def licences(sources: Path) -> Iterator[tuple[str, str]]:
    """Name and licence text of each wheel."""
    for wheel in sorted((sources / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                if ".dist-info/licenses/" in name and not name.endswith("/"):
                        yield f"{name.split('.dist-info')[0]}.{Path(name).name}", archive.read(name).decode()


def programs(payload: Payload) -> None:
    """What starts them. The private folders are found by absolute paths: nothing else may answer to these names."""
    flavour = payload.flavour

    def launcher(module: str) -> str:
        return LAUNCHER.format(python=flavour.python, module=module)

    payload.write("usr/bin/holdfast", launcher("holdfast.start"), 0o755)
    payload.write(f"{flavour.programs}/agent", launcher("holdfast.runtime.__main__"), 0o755)
    payload.write(f"{flavour.programs}/dns", launcher("holdfast.publish.publisher"), 0o755)
    payload.write(f"{flavour.programs}/overlay", launcher("holdfast.managers.__main__"), 0o755)
    for name in ("overlay-binds", "overlay-devices", "fallback"):
        payload.copy(f"systemd/{name}", f"{flavour.programs}/{name}", 0o755)
    if flavour.programs != "usr/lib/holdfast":
        payload.write(f"{flavour.programs}/python", CHOOSE_PYTHON, 0o755)
        payload.write(f"{flavour.programs}/byte-compile", BYTE_COMPILE, 0o755)
        for name in ("agent", "dns", "overlay", "overlay-binds", "overlay-devices", "fallback"):
            payload.link(f"usr/lib/holdfast/{name}", f"../../libexec/holdfast/{name}")


def systemd(payload: Payload) -> None:
    """Units and what goes with them."""
    folder = payload.sources / "packaging" / "systemd"
    for unit in sorted((*folder.glob("*.service"), *folder.glob("*.path"), *folder.glob("*.timer"))):
        payload.copy(f"systemd/{unit.name}", f"{SYSTEM}/{unit.name}")
    payload.copy("systemd/holdfast-generator", "usr/lib/systemd/system-generators/holdfast-generator", 0o755)
    payload.copy("systemd/90-holdfast.preset", "usr/lib/systemd/system-preset/90-holdfast.preset")
    payload.copy("systemd/holdfast.sysusers", "usr/lib/sysusers.d/holdfast.conf")
    payload.copy("systemd/holdfast.tmpfiles", "usr/lib/tmpfiles.d/holdfast.conf")
    payload.copy("systemd/holdfast.catalog", "usr/lib/systemd/catalog/holdfast.catalog")


def configuration(payload: Payload) -> None:
    """What an administrator edits."""
    from holdfast_build import configuration_file  # noqa: PLC0415 - imports the agent, which is in place now

    payload.write("etc/holdfast/holdfast.toml", configuration_file.render())
    payload.folder("etc/holdfast/holdfast.d")
    payload.folder("etc/holdfast/hooks.d")
    payload.copy("cloud/50-holdfast", "etc/cloud/clean.d/50-holdfast", 0o755)
    if payload.flavour.apparmor:  # Debian's family
        payload.copy("deb/holdfast.rtupdate", "usr/share/python3/runtime.d/holdfast.rtupdate", 0o755)
        payload.copy("apparmor/usr.lib.holdfast.agent", "etc/apparmor.d/usr.lib.holdfast.agent")


def documentation(payload: Payload) -> None:
    """Manual pages and completions, from the program itself."""
    from holdfast import __version__  # noqa: PLC0415 - as above
    from holdfast.cli import completions  # noqa: PLC0415
    from holdfast_build import bill, manual  # noqa: PLC0415

    for name, text in manual.pages():
        payload.write(f"usr/share/man/man{name[-1]}/{name}.gz", gzip.compress(text.encode(), 9, mtime=0))
    for unit in manual.UNITS:
        payload.link(f"usr/share/man/man8/{unit}.8.gz", "holdfast.service.8.gz")
    for shell, path in (("bash", "usr/share/bash-completion/completions/holdfast"),
                        ("zsh", f"{payload.flavour.zsh}/_holdfast"),
                        ("fish", "usr/share/fish/vendor_completions.d/holdfast.fish")):
        payload.write(path, completions.script(shell))
    payload.write(f"usr/share/holdfast/{bill.NAME}", bill.render(payload.sources, __version__))
    for name in ("holdfast.rules.yml", "holdfast.dashboard.json", "alertmanager.yml"):
        payload.copy(f"monitoring/{name}", f"usr/share/doc/holdfast/examples/{name}")
    for page in PAGES:
        payload.write(f"usr/share/doc/holdfast/{page}", (payload.sources / page).read_bytes())
    if payload.flavour.licences:  # Debian has them in its copyright file
        payload.write("usr/share/licenses/holdfast/LICENSE", (payload.sources / "LICENSE").read_bytes())
        for name, text in licences(payload.sources):
            payload.write(f"usr/share/licenses/holdfast/{name}", text)


def main(argv: list[str]) -> int:
    """Fill DEST, which is made anew."""
    sources, root, flavour = Path(argv[0]).resolve(), Path(argv[1]).resolve(), FLAVOURS[argv[2]]
    sys.path[:0] = [str(root / SITE)]
    sys.dont_write_bytecode = True
    build(sources, root, flavour)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
