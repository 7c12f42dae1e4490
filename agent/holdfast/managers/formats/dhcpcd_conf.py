"""dhcpcd.conf(5): one option a line, for all links, or below a line ``interface NAME`` for that one."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.wire.record import NamedTuple

#: What begins a block; those of an ssid or a profile are chosen by what dhcpcd meets on the network.
_BLOCKS = ("interface", "ssid", "profile")


class Line(NamedTuple):
    """``option`` and what follows it, ``value``. ``block`` is "" for all links, else ("interface", "eth0") as text."""

    option: str
    value: str
    block: str = ""

    @property
    def words(self) -> list[str]:
        """Of a value that is a list: commas and blanks separate (dhcpcd.conf(5), ``option``)."""
        return self.value.replace(",", " ").split()


def lines(text: str) -> Iterator[Line]:
    """Every option. A line that begins with ``#`` or ``;`` is a comment; dhcpcd.conf(5) has more behind options."""
    block = ""
    for each in text.splitlines():
        option, _, value = each.strip().replace("\t", " ").partition(" ")
        if not option or option[0] in "#;":
            continue
        value = value.partition(" #")[0].strip() if value[:1] != "#" else ""
        if option in _BLOCKS:
            block = f"{option} {value}"
        else:
            yield Line(option, value, block)


def applied(text: str, link: str) -> list[Line]:
    """Those for the link, in the order in which they count."""
    return [line for line in lines(text) if line.block in ("", f"interface {link}")]


def named(text: str) -> frozenset[str]:
    """The links that have a block: dhcpcd then serves them also where it would not by itself."""
    heads = (each.split() for each in text.splitlines())
    return frozenset(words[1] for words in heads if len(words) > 1 and words[0] == "interface")


def first_block(text: str) -> int:
    """The number (from 0) of the line that begins the first block; that after the last line where there is none."""
    physical = text.split("\n")
    heads = (number for number, line in enumerate(physical) if line.split()[:1] and line.split()[0] in _BLOCKS)
    return next(heads, len(physical))
