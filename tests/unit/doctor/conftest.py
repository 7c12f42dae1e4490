"""One image for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.doctor.helpers import Image


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)
