"""The .deb, by debhelper."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from holdfast_build import changelog, sources
from holdfast_build.buildroot import buildroot, enter

CACHE = sources.CACHE


def build(out: Path, revision: str) -> list[Path]:
    """holdfast_VERSION-REVISION_all.deb in ``out``. BuildError."""
    root, when = buildroot(CACHE), sources.epoch()
    version = f"{sources.version()}-{revision}"
    with tempfile.TemporaryDirectory(prefix="holdfast-deb-") as temporary:
        work = Path(temporary)
        tree = work / "holdfast"
        sources.stage(tree, sources.wheels(CACHE))
        shutil.copytree(tree / "packaging" / "deb", tree / "debian")
        control = tree / "debian" / "control"
        control.write_text(sources.placed(control.read_text()))
        (tree / "debian" / "changelog").write_text(
            changelog.for_dpkg((tree / "CHANGELOG.md").read_text(), version, when)
        )
        environment = {"SOURCE_DATE_EPOCH": str(when), "TZ": "UTC", "DEB_BUILD_OPTIONS": "nocheck"}
        enter(root, work, ["sh", "-c", "umask 022; cd holdfast; exec dpkg-buildpackage --build=binary --no-sign -d"],
              environment)
        package = next(work.glob("*.deb"))
        shutil.copyfile(package, out / package.name)
    return [out / package.name]
