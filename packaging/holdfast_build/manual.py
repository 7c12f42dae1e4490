"""The manual pages, in man(7)'s language. What a command or key means is asked of the program: it cannot go stale."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click

from holdfast import __version__
from holdfast.cli import command
from holdfast.cli.commands.config import toml_value
from holdfast.cli.exits import EPILOG
from holdfast.settings.model import GuardSettings, InterfaceSettings, Settings
from holdfast.settings.schema import AGENT, GUARD, INTERFACE

#: Other names of holdfast.service(8).
UNITS = (
    "holdfast@.service", "holdfast-wait-online.service", "holdfast-takeover@.service", "holdfast-dns.service",
    "holdfast-dns.path", "holdfast-overlay.service", "holdfast-overlay-refresh.service", "holdfast-overlay.path",
    "holdfast-fallback@.service", "holdfast-guard.service",
)

FILES = (
    ("/etc/holdfast/holdfast.toml, /etc/holdfast/holdfast.d/*.toml", "the configuration: holdfast.toml(5)"),
    ("/etc/holdfast/hooks.d", "programs that are run after a change, with JSON on their standard input"),
    ("/var/lib/holdfast/IFACE.lease.json", "the lease"),
    ("/var/lib/holdfast/IFACE.outcomes.jsonl", "the history"),
    ("/var/lib/holdfast-takeover/IFACE.json", "the journal of a take-over, which hand-back needs"),
    ("/var/lib/holdfast-guard/IFACE.outcomes.jsonl", "guard's history of another DHCP client"),
    ("/run/holdfast-guard/io.holdfast.Guard", "guard's control socket, Varlink interface io.holdfast.Guard"),
    ("/run/holdfast/IFACE.varlink", "the control socket, Varlink interface io.holdfast.Agent"),
)


def pages() -> Iterator[tuple[str, str]]:
    """File name and text of each page."""
    yield "holdfast.1", page("holdfast", 1, "a DHCPv4 client that never lets go of a valid lease", _commands())
    yield "holdfast.toml.5", page("holdfast.toml", 5, "configuration of the Holdfast DHCPv4 client", _settings())
    written = Path(__file__).parent.parent / "man" / "holdfast.service.8.in"
    yield "holdfast.service.8", _head("holdfast.service", 8) + written.read_text()


def page(name: str, section: int, what: str, body: Iterator[str]) -> str:
    """One page: heading, NAME, and what ``body`` gives, line by line."""
    return _head(name, section) + f".SH NAME\n{text(name)} \\- {text(what)}\n" + "".join(f"{line}\n" for line in body)


def _head(name: str, section: int) -> str:
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    date = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).date()
    return f'.TH {name.upper()} {section} {date} "Holdfast {__version__}" "Holdfast"\n'


def text(words: str) -> str:
    """``words`` for a line of text: nothing in it is taken for a request, and "-" stays what can be typed."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha")
    return "\\&" + escaped if escaped.startswith(".") else escaped


def _commands() -> Iterator[str]:
    root = click.Context(command, info_name="holdfast")
    yield from (".SH SYNOPSIS", ".B holdfast", ".I COMMAND", "[\\fIARGUMENT\\fR ...]", ".SH DESCRIPTION")
    yield from paragraphs(command.help or "")
    yield from ("It runs inside a virtual machine, keeps the address of an interface as long as its lease is valid,",
                "and follows an unanswered unicast renewal by a broadcast at once.", ".SH COMMANDS")
    for words, one, context in _all_commands(root):
        yield f".SS {text(' '.join(words))}"
        yield f".B {text(' '.join(words))}"
        yield from (f"{text(piece)}" for piece in one.collect_usage_pieces(context))
        yield ".PP"
        yield from paragraphs(one.help or "")
        for param in one.get_params(context):
            record = param.get_help_record(context)
            if record is not None and record[1] and "--help" not in param.opts:
                yield from (".TP", f".B {text(record[0])}", text(record[1]))
    yield ".SH EXIT STATUS"
    for number, meaning in re.findall(r"^ +(\d+)  (.+)$", EPILOG, re.MULTILINE):
        yield from (".TP", f".B {number}", text(meaning))
    yield ".SH FILES"
    for path, meaning in FILES:
        yield from (".TP", f".I {text(path)}", text(meaning))
    yield from (".SH SEE ALSO", ".BR holdfast.toml (5),", ".BR holdfast.service (8)")


def _all_commands(context: click.Context) -> Iterator[tuple[list[str], click.Command, click.Context]]:
    """Every command that does something: its words, itself, its context."""
    group = context.command
    if not isinstance(group, click.Group):
        yield context.command_path.split(), group, context
        return
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        if one is not None and not one.hidden:
            yield from _all_commands(click.Context(one, parent=context, info_name=name))


def paragraphs(help_text: str) -> Iterator[str]:
    """A help text of click's: paragraphs between blank lines; those that begin with \\b keep their lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", help_text.strip().replace("\f", ""))):
        if number:
            yield ".PP"
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0] == "\b":
            yield from (".nf", *(text(line) for line in paragraph.splitlines()[1:]), ".fi")
        else:
            yield from map(text, lines)


def _settings() -> Iterator[str]:
    yield from (
        ".SH SYNOPSIS", ".I /etc/holdfast/holdfast.toml", ".br", ".I /etc/holdfast/holdfast.d/*.toml",
        ".SH DESCRIPTION",
        "The configuration is TOML, and none of it is needed: an interface can be served without any file.",
        "The main file is read first, then those of the folder in the order of their names; what comes later goes",
        "before what came earlier, key by key.", ".PP", ".B holdfast config show", "prints what is in force, and",
        ".B holdfast config check", "says what is wrong with it. A restart of the agent reads it anew, and changes",
        "no address.",
    )
    tables = (
        ("[agent]", "The whole process.", AGENT, Settings()),
        ("[guard]", "holdfast guard and holdfast-guard.service, which stand beside another DHCP client.", GUARD,
         GuardSettings()),
        ("[defaults] and [interfaces.NAME]",
         "What can differ between interfaces: for all of them, and for one. holdfast.service serves the interfaces "
         "that have a table, also an empty one.", INTERFACE, InterfaceSettings()),
    )
    for title, what, keys, defaults in tables:
        yield from (f'.SH "{text(title)}"', text(what))
        for key, known in keys.items():
            value = getattr(defaults, key)
            default = "unset" if value is None else toml_value(value)
            yield from (".TP", f".B {text(key)}", text(known.meaning) + ".", f"Default: {text(default)}.")
    yield from (".SH SEE ALSO", ".BR holdfast (1),", ".BR holdfast.service (8)")
