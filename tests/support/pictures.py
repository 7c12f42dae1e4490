"""What a person sees on an SVG picture: its words and where they stand, and whether they can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import NamedTuple

from holdfast_lab.render.theme import DARK, GROUND

#: A dashed line from left to right, and one from top to bottom: its ends.
_LEVEL = re.compile(r'd="M ([\d.]+) ([\d.]+) \nL ([\d.]+) \2 \n"[^>]*stroke-dasharray: \d')
_UPRIGHT = re.compile(r'd="M ([\d.]+) ([\d.]+) \nL \1 ([\d.]+) \n"[^>]*stroke-dasharray: \d')
_SVG = "{http://www.w3.org/2000/svg}"


class Words(NamedTuple):
    """One line of text, its colour, and about which pixels it covers (a character is half as wide as it is high)."""

    text: str
    colour: str
    left: float
    top: float
    right: float
    bottom: float


def words_of(svg: str) -> list[Words]:
    """Every line of text, in the order of the file."""
    found = []
    for element in ET.fromstring(svg).iter(f"{_SVG}text"):
        style = dict(re.findall(r"([a-z-]+): ([^;]+)", element.get("style", "")))
        size = float(style["font-size"].removesuffix("px"))
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        text = "".join(element.itertext())
        width = 0.5 * size * len(text)
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[style.get("text-anchor", "start")] * width
        found.append(Words(text, style.get("fill", "#000000"), left, y - 0.7 * size, left + width, y))
    return found


def texts_of(svg: str) -> list[str]:
    """The texts alone."""
    return [words.text for words in words_of(svg)]


def complaints_about(svg: str) -> list[str]:
    """What is wrong for a reader: words beyond the edge, on each other, on a dashed level, or pale on a light or on a
    dark page."""
    root, seen = ET.fromstring(svg), words_of(svg)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    wrong = [f"{one.text!r} leaves the picture" for one in seen
             if one.left < 0 or one.right > width or one.top < 0 or one.bottom > height]
    wrong += [f"{a.text!r} lies on {b.text!r}" for a, b in combinations(seen, 2)
              if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom]
    levels = [tuple(map(float, found)) for found in _LEVEL.findall(svg)]
    wrong += [f"a line goes through {one.text!r}" for one in seen for start, y, end in levels
              if one.top < y < one.bottom and one.left < end and one.right > start]
    limits = [tuple(map(float, found)) for found in _UPRIGHT.findall(svg)]
    wrong += [f"a line goes through {one.text!r}" for one in seen for x, low, high in limits
              if one.left < x < one.right and one.top < max(low, high) and one.bottom > min(low, high)]
    dark_rules = svg.partition("prefers-color-scheme: dark")[2].partition("</style>")[0]
    for colour in {one.colour for one in seen}:
        if contrast(colour, GROUND) < 3:
            wrong.append(f"{colour} is pale on a light page")
        shown = re.search(rf'"fill: {colour}".*?fill: (#\w+)', dark_rules)
        if contrast(shown[1] if shown else colour, DARK[GROUND]) < 3:
            wrong.append(f"{colour} is pale on a dark page")
    return wrong


def contrast(one: str, other: str) -> float:
    """Of two colours (WCAG 2, relative luminance): 1 for the same, 21 for black on white."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
