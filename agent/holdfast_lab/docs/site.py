"""``./dev docs``: README and docs/ as a site in site/, with search, by Sphinx. A link that leads nowhere fails.

The pages are copied beside each other as they are in the repository, so that the same links work here and there. A link
to a file of the repository that is no page gets the repository's address.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, no-redef, unused-ignore]

ROOT = Path(__file__).resolve().parents[3]
#: Pages beside docs/.
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
#: In the order of the menu; pages of docs/ that are not named follow under "More".
MENU = {
    "Use": ("operations", "fleet", "guard", "migrating", "settings"),
    "Install": ("cloud-init", "images", "packaging"),
    "Understand": ("architecture", "resilience", "benchmarks/README", "states", "rfc2131", "decisions/README"),
}
#: Pages that list others beside them, and what those are called.
INDEXES = {"docs/decisions/README.md": "0*", "docs/benchmarks/README.md": "[a-z]*"}
_LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")


def main() -> int:
    """Build the site; the exit status. Sphinx and this say what is wrong."""
    with tempfile.TemporaryDirectory(prefix="holdfast-site-") as folder:
        stage(Path(folder))
        words = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-n", "-q", "-j", "auto",
                 "-c", str(ROOT / "docs"), folder, str(ROOT / "site")]
        shutil.rmtree(ROOT / "site", ignore_errors=True)
        status = subprocess.run(words, check=False).returncode
    if status == 0:
        broken = list(broken_links(ROOT / "site"))
        for page, target in broken:
            print(f"docs: {page}: {target} leads nowhere", file=sys.stderr)
        status = 1 if broken else 0
    if status == 0:
        (ROOT / "site" / "index.html").write_text('<meta http-equiv="refresh" content="0; url=README.html">\n')
        print(f"{len(list((ROOT / 'site').rglob('*.html')))} pages, no broken link: {ROOT / 'site' / 'index.html'}")
    return status


def stage(folder: Path) -> None:
    """Copy the pages and what they show to ``folder``, with a menu at the end of the README."""
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    for path in (*(ROOT / name for name in PAGES), *sorted((ROOT / "docs").rglob("*"))):
        copy = folder / path.relative_to(ROOT)
        if path.suffix == ".md":
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(linked(path, source), encoding="utf-8")
        elif path.suffix in (".svg", ".json"):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    with (folder / "README.md").open("a", encoding="utf-8") as readme:
        readme.write("".join(menu(folder)))
    for index, pages in INDEXES.items():
        with (folder / index).open("a", encoding="utf-8") as page:
            page.write(f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{pages}\n```\n")


def menu(folder: Path) -> Iterator[str]:
    """The README's toctrees."""
    named = {name for names in MENU.values() for name in names}
    others = tuple(sorted(path.stem for path in (folder / "docs").glob("*.md") if path.stem not in named))
    groups = {**MENU, "More": others} if others else MENU
    for title, names in groups.items():
        pages = "\n".join(f"docs/{name}" for name in names if (folder / "docs" / f"{name}.md").exists())
        yield f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"
    project = "\n".join(name.removesuffix(".md") for name in PAGES[1:])
    yield f"\n```{{toctree}}\n:hidden:\n:caption: Project\n\n{project}\n```\n"


def linked(page: Path, source: str) -> str:
    """The text of ``page``; links to the repository's other files have its address ``source``."""

    def place(found: re.Match[str]) -> str:
        target, _, anchor = found[2].partition("#")
        path = (page.parent / target).resolve()
        on_site = path.suffix in (".md", ".svg") and (path.parent == ROOT or ROOT / "docs" in path.parents)
        if not target or ":" in target or on_site or not path.exists():
            return found[0]
        kind = "tree" if path.is_dir() else "blob"
        return f"{found[1]}({source}/{kind}/main/{path.relative_to(ROOT)}{'#' + anchor if anchor else ''})"

    return _LINK.sub(place, page.read_text(encoding="utf-8"))


class _Page(HTMLParser):
    """Collects what a page links to, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = {""}

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.add(value)
            elif name == "id" and value:
                self.anchors.add(value)


def broken_links(site: Path) -> Iterator[tuple[str, str]]:
    """Page and target of every link within the site that leads to no file, or to no element of a page."""
    pages: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = _Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    for path, page in pages.items():
        for target in sorted(page.targets):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / unquote(name.partition("?")[0])).resolve() if name else path
            known = pages.get(file)
            if not file.exists() or (known is not None and unquote(anchor) not in known.anchors):
                yield str(path.relative_to(site)), target


if __name__ == "__main__":
    sys.exit(main())
