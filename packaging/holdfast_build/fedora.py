"""The .rpm, by rpmbuild."""
from pathlib import Path


def build(out: Path, revision: str) -> list[Path]:
    raise NotImplementedError
