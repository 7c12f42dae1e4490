"""The documentation's site: which links are rewritten, and which lead nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast_lab.docs import site

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("link", "becomes"), [
    ("[a](docs/operations.md#read-it)", "[a](docs/operations.md#read-it)"),
    ("![a](docs/pictures/fault.svg)", "![a](docs/pictures/fault.svg)"),
    ("[a](tests/)", "[a](https://x.example/tree/main/tests)"),
    ("[a](agent/holdfast/clock.py)", "[a](https://x.example/blob/main/agent/holdfast/clock.py)"),
    ("[a](https://example.org/a.py)", "[a](https://example.org/a.py)"),
    ("[a](#where-things-are)", "[a](#where-things-are)"),
    ("[a](no-such-file.md)", "[a](no-such-file.md)"),
])
def test_only_links_to_files_that_are_no_pages_are_rewritten(link: str, becomes: str, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docs/operations.md", "docs/pictures/fault.svg", "agent/holdfast/clock.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests").mkdir()
    page = tmp_path / "README.md"
    page.write_text(f"See {link}.")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    assert site.linked(page, "https://x.example") == f"See {becomes}."


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="#top"></a><a href="sub/b.html#b"></a><a href="sub/b.html#c"></a><img src="no.svg">'
        '<a href="https://example.org/gone"></a>')
    (tmp_path / "sub/b.html").write_text('<p id="b"><a href="../a.html?x#top">')
    assert list(site.broken_links(tmp_path)) == [("a.html", "no.svg"), ("a.html", "sub/b.html#c")]


def test_every_page_is_in_the_menu(tmp_path: Path) -> None:
    site.stage(tmp_path)
    menu = (tmp_path / "README.md").read_text().split("```{toctree}", 1)[1]
    for page in (ROOT / "docs").glob("*.md"):
        assert f"\ndocs/{page.stem}\n" in menu
