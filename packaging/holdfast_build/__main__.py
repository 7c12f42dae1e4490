"""``python -m holdfast_build [wheel|deb|rpm|all] [--out FOLDER] [--revision N]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from holdfast_build import debian, fedora, python
from holdfast_build.attempts import BuildError
from holdfast_build.sources import ROOT

KINDS = {"wheel": python.build, "deb": debian.build, "rpm": fedora.build}


def main() -> int:
    """Build what is asked for; a line for each file."""
    parser = argparse.ArgumentParser(prog="./dev build", description=__doc__)
    parser.add_argument("kind", nargs="?", default="all", choices=[*KINDS, "all"])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the files go")
    parser.add_argument("--revision", default="1", help="of the .deb and .rpm")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for kind in KINDS if options.kind == "all" else [options.kind]:
            for path in KINDS[kind](options.out.resolve(), options.revision):
                print(path)
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"build: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
