"""Signed repositories of our packages, made by the commands that docs/packaging.md prints, with a key for this run."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

from tests.support.distribution import Distribution
from tests.support.guests import ROOT, File, layer
from tests.support.images import ImageRoot
from tests.support.userdata import blocks

from holdfast_build.buildroot import locked

#: What makes the repositories, and what a guest of Red Hat's family has: on top of the guests' tree, which has no gpg,
#: as Debian's own cloud images have none.
PACKAGES = ("apt-utils", "createrepo-c", "dnf", "gpg", "gpg-agent", "rpm")
#: For a guest whose packages are Debian's: what Enterprise Linux 9 has under these names, with no files in them.
_STAND_INS = {
    "bash": ("5.1.8", "/bin/sh"),
    "coreutils": ("8.32", "/usr/bin/ln"),
    "diffutils": ("3.7", "/usr/bin/cmp"),
    "findutils": ("4.8.0", "/usr/bin/find"),
    "python3": ("3.9.21", "python(abi) = 3.9"),
    "python3.11": ("3.11.11", "python(abi) = 3.11"),
    "python3.12": ("3.12.9", "python(abi) = 3.12"),
    "rocky-release": ("9.6", "system-release = 9.6"),
    "systemd": ("252", "systemd-units"),
}
_KEYS = """
export GNUPGHOME=/root/gnupg
mkdir --mode=700 "$GNUPGHOME"
for name in stranger@example.org "$KEY"; do
    gpg --batch --passphrase '' --quick-generate-key "$name" rsa2048 sign never
done
gpg --armor --export stranger@example.org | tee /srv/www/apt/stranger.asc >/srv/www/rpm/stranger.asc
"""
_BASE = """
mkdir /srv/www/base
cd /srv/www/base
rpmbuild -bb --quiet --define '_topdir /root/rpmbuild' --define '_rpmdir /srv/www/base' /root/base.spec
createrepo_c .
gpgconf --kill all
"""


def repositories(distribution: Distribution) -> Path:
    """A folder with apt/ and rpm/, each with its key.asc and with a stranger.asc that has signed nothing; and base/,
    unsigned, with what our .rpm requires. Made once for a run of the tests."""
    folder = distribution.deb.parent.parent / "repositories"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            _build(draft, distribution)
            draft.rename(folder)
    return folder


def in_user_data(key: Path) -> str:
    """A key as user-data-apt.yaml wants it (`base64 -w 0`)."""
    return base64.b64encode(key.read_bytes()).decode()


def _build(folder: Path, distribution: Distribution) -> None:
    apt, rpm = blocks(ROOT / "docs" / "packaging.md", "A repository of your own")
    script = f"set -eux\nexport KEY=holdfast@example.org\n{_KEYS}\n{apt}\n{rpm}\n{_BASE}"
    with ImageRoot("bare", layers=[layer(*PACKAGES)]) as image:
        image.bring(distribution.deb, f"/srv/www/apt/pool/{distribution.deb.name}")
        image.bring(distribution.rpm, f"/srv/www/rpm/{distribution.rpm.name}")
        image.write({"/root/base.spec": File(_spec())})
        done = image.run(["sh", "-c", script])
        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-4000:]
        copied = image.outside(["cp", "--recursive", f"{image.root}/srv/www", str(folder)])
        assert copied.returncode == 0, copied.stderr.decode()


def _spec() -> str:
    """One spec file for all of them."""
    lines = ["Name: base", "Version: 9", "Release: 1", "Summary: Stand-ins", "License: None", "BuildArch: noarch",
             "AutoReqProv: no", "%description", "None."]
    for name, (version, provides) in _STAND_INS.items():
        lines += [f"%package -n {name}", f"Version: {version}", f"Summary: Stands for {name}", "AutoReqProv: no",
                  f"Provides: {provides}", f"%description -n {name}", "None.", f"%files -n {name}"]
    return "\n".join(lines) + "\n"
