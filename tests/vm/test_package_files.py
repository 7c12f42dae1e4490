"""The packages: what is in them, and the same bytes wherever they are built."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.support.distribution import Distribution
from tests.support.guests import ROOT

from holdfast_build import debian, payload, sources
from holdfast_build.attempts import BuildError
from holdfast_build.buildroot import buildroot, enter

pytestmark = [pytest.mark.vm, pytest.mark.root]


def tool(command: list[str], *files: Path) -> str:
    """What a packaging tool says of copies of ``files``, which are in its working folder."""
    root = buildroot(debian.CACHE)
    folder = Path(files[0].parent, "tool")
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    return enter(root, folder, command, {})


def test_lintian_and_rpmlint_find_nothing(distribution: Distribution) -> None:
    tags = "error,warning,info,pedantic"
    said = tool(["lintian", "--allow-root", "--display-info", "--pedantic", "--fail-on", tags, distribution.deb.name],
                distribution.deb)
    assert said == ""
    try:
        said = tool(["rpmlint", "-c", "rpmlint.toml", distribution.rpm.name],
                    distribution.rpm, ROOT / "packaging" / "rpm" / "rpmlint.toml")
    except BuildError as error:
        said = str(error)
    assert "0 errors, 0 warnings" in said, said


def test_both_families_carry_the_same(distribution: Distribution) -> None:
    listing = tool(["dpkg-deb", "--contents", distribution.deb.name], distribution.deb)
    deb = {line.split()[5].removeprefix("."): line.split()[:2] for line in listing.splitlines()}
    rpm = set(tool(["rpm", "-qlp", distribution.rpm.name], distribution.rpm).split())
    files = {path for path, (mode, _) in deb.items() if not mode.startswith("d")}
    assert all(owner == "root/root" for _, owner in deb.values())
    assert all(mode in ("drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx") for mode, _ in deb.values())
    shared = ("/usr/lib/holdfast/site/", "/usr/lib/systemd/", "/usr/share/man/", "/usr/bin/", "/etc/holdfast/")
    assert {path for path in files if path.startswith(shared)} == {
        path for path in rpm if path.startswith(shared) and (path in files or f"{path}/" not in deb)
    }
    top = {path.split("/")[5] for path in files if path.startswith(f"/{payload.SITE}/")}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "click", "holdfast", "jeepney", "platformdirs", "tomli",
    }
    assert not [path for path in files | rpm if path.endswith((".pyc", ".so")) or "scapy" in path]


def test_wheel_and_sdist_hold_what_they_should(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        tops = {re.sub(r"holdfast_dhcp-[^/]*\.", "holdfast_dhcp.", name.split("/")[0]) for name in wheel.namelist()}
    assert tops == {"holdfast", "holdfast_dhcp.dist-info", "holdfast_dhcp.data"}
    with tarfile.open(distribution.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "agent", "packaging", "requirements"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
    assert "SECURITY.md" in names
    assert {name for name in tracked if (ROOT / name).exists()} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "dist"))]


def test_the_wheel_in_an_environment_of_its_own(distribution: Distribution, tmp_path: Path) -> None:
    """As the README installs it, without network: pip has no complaint, and everything is where it is looked for."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-I", "-m", "venv", venv], check=True)
    python = [venv / "bin" / "python", "-I", "-m"]
    folders = (distribution.wheel.parent, distribution.dependencies[0].parent)
    subprocess.run(
        [*python, "pip", "install", "--quiet", "--no-index", "--require-hashes",
         *(f"--find-links={folder}" for folder in folders),
         "-r", distribution.requirements],
        check=True, env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull},
    )
    checked = subprocess.run([*python, "pip", "check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "No broken requirements found.\n")
    said = subprocess.run([*python, "holdfast", "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"holdfast {sources.version()}\n"
    for name in ("man1/holdfast.1", "man5/holdfast.toml.5", "man8/holdfast.service.8"):
        assert (venv / "share" / "man" / name).read_text().startswith(".TH HOLDFAST")
    script = subprocess.run([*python, "holdfast", "completion", "fish"], capture_output=True, text=True, check=True)
    assert (venv / "share/fish/vendor_completions.d/holdfast.fish").read_text() == script.stdout


def test_the_same_bytes_wherever_and_whoever_builds(distribution: Distribution, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "out", "lab-compare")
    made = []
    for name, zone, mask in (("here", "UTC", 0o022), ("quite-another-folder", "Pacific/Auckland", 0o077)):
        source = tmp_path / "here" if made else ROOT  # which others may be changing
        folder = tmp_path / name
        shutil.copytree(source, folder, ignore=ignored)
        if mask == 0o077:
            for path in folder.rglob("*"):
                path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
        (folder / ".venv").mkdir()
        (folder / ".venv" / "images").symlink_to(debian.CACHE)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "packaging"), "TZ": zone,
                       "SOURCE_DATE_EPOCH": str(sources.epoch() // 86400 * 86400)}
        subprocess.run(
            [ROOT / ".venv-build" / "bin" / "python", "-m", "holdfast_build", "all", "--out", folder / "out"],
            cwd=folder, env=environment, umask=mask, check=True, stdout=subprocess.DEVNULL,
        )
        made.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "out").iterdir()})
    assert len(made[0]) == 6
    assert made[0] == made[1]


def test_tools_can_read_what_is_meant_for_them(distribution: Distribution) -> None:
    # The root has our files alone: ExecReload= needs a shell.
    tool(["sh", "-c", "dpkg-deb --extract *.deb root && install -D /bin/true root/bin/sh && "
          "journalctl --update-catalog --root=/build/root && "
          "apparmor_parser --skip-kernel-load --skip-cache root/etc/apparmor.d/usr.lib.holdfast.agent && "
          "systemd-analyze verify --man=no --recursive-errors=no --root=/build/root holdfast.service "
          "holdfast@ens3.service holdfast-dns.service holdfast-dns.path holdfast-wait-online.service "
          "holdfast-guard.service holdfast-takeover@ens3.service && "
          "systemd-sysusers --root=/build/root --dry-run /build/root/usr/lib/sysusers.d/holdfast.conf"],
         distribution.deb)
