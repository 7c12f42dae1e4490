"""Pages and pictures of docs/ that are made from templates (``templates/*.j2``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from holdfast_lab.render.tables import markdown_table, value_text

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"), undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True, keep_trailing_newline=True, autoescape=select_autoescape(["svg.j2"]),
)  # fmt: skip
_TEMPLATES.filters |= {"table": markdown_table, "value": value_text, "zip": zip}


def page(template: str, **values: Any) -> str:
    """The text of a template with these values; jinja2.UndefinedError for one that is missing."""
    return _TEMPLATES.get_template(f"{template}.j2").render(values)
