"""Sphinx's configuration for `./dev docs`. The pages are Markdown, by MyST; links and anchors are checked strictly."""

project = "Holdfast"
author = "The Holdfast authors"
copyright = "2026, The Holdfast authors"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser"]
root_doc = "README"
html_theme = "furo"
html_title = "Holdfast"
html_show_sphinx = False
#: As GitHub makes them, for links to a heading.
myst_heading_anchors = 4
#: Pages begin their headings where they like, and code blocks name no language.
suppress_warnings = ["myst.header"]
highlight_language = "text"
exclude_patterns = ["docs/conf.py"]
