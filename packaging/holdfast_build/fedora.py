"""The .rpm, by rpmbuild."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from holdfast_build import changelog, sources
from holdfast_build.buildroot import buildroot, enter

CACHE = sources.ROOT / ".venv" / "images"

#: Folders of other packages, which are there on every machine.
_SHARED = (
    "etc", "usr", "usr/bin", "usr/lib", "usr/lib/systemd", "usr/lib/systemd/catalog", "usr/lib/systemd/system",
    "usr/lib/systemd/system-preset", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/libexec", "usr/share",
    "usr/share/bash-completion", "usr/share/bash-completion/completions", "usr/share/doc", "usr/share/licenses",
    "usr/share/man", "usr/share/man/man1", "usr/share/man/man5", "usr/share/man/man8",
)
#: No trace of the machine that builds, in what rpm writes down.
_DEFINES = {
    "_topdir": "/build/rpm",
    "_buildhost": "reproducible",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "_build_id_links": "none",
    "_binary_payload": "w9.xzdio",
}


def build(out: Path, revision: str) -> list[Path]:
    """holdfast-VERSION-REVISION.noarch.rpm in ``out``. BuildError."""
    root, when = buildroot(CACHE), sources.epoch()
    with tempfile.TemporaryDirectory(prefix="holdfast-rpm-") as temporary:
        work = Path(temporary)
        sources.stage(work / "holdfast", sources.wheels(CACHE))
        (work / "payload").mkdir()
        environment = {"SOURCE_DATE_EPOCH": str(when), "TZ": "UTC"}
        pay = "umask 022; cd holdfast; exec python3 -m holdfast_build.payload . /build/payload rpm"
        enter(root, work, ["sh", "-c", pay], {**environment, "PYTHONPATH": "packaging"})
        for path in (work / "payload").rglob("*"):
            os.utime(path, (when, when), follow_symlinks=False)
        (work / "holdfast.spec").write_text(_spec(work, revision, when))
        words = ["rpmbuild", "-bb", "--quiet"]
        for name, value in _DEFINES.items():
            words += ["--define", f"{name} {value}"]
        enter(root, work, ["sh", "-c", 'umask 022; exec "$@"', "sh", *words, "holdfast.spec"], environment)
        package = next(work.glob("rpm/RPMS/noarch/*.rpm"))
        shutil.copyfile(package, out / package.name)
    return [out / package.name]


def _spec(work: Path, revision: str, when: int) -> str:
    tree = work / "holdfast"
    text = sources.placed((tree / "packaging/rpm/holdfast.spec.in").read_text())
    values = {
        "VERSION": sources.version(),
        "REVISION": revision,
        "BUNDLED": "\n".join(f"Provides:       {line}" for line in _bundled(tree / "wheels")),
        "FILES": "\n".join(_files(work / "payload")),
        "CHANGELOG": changelog.for_rpm((tree / "CHANGELOG.md").read_text(), f"{sources.version()}-{revision}", when),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _bundled(wheels: Path) -> Iterator[str]:
    """What Fedora's guidelines want to be told of: security teams look for it."""
    for wheel in sorted(wheels.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        yield f"bundled(python3dist({name})) = {version}"


def _files(payload: Path) -> Iterator[str]:
    """The lines of %files."""
    yield "%defattr(-,root,root,-)"
    for path in sorted(payload.rglob("*")):
        name = str(path.relative_to(payload))
        if path.is_dir() and not path.is_symlink():
            if name not in _SHARED:
                yield f"%dir /{name}"
        elif name.startswith("etc/"):
            yield f"%config(noreplace) /{name}"
        elif name.startswith("usr/share/licenses/"):
            yield f"%license /{name}"
        elif name.startswith(("usr/share/doc/", "usr/share/man/")):
            yield f"%doc /{name}"
        else:
            yield f"/{name}"
