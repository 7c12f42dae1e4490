"""docs/operations.md has every field of the journal with its meaning; its queries name fields and values there are."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.core.outcome import Via
from holdfast.observe import ids

ROOT = Path(__file__).parents[3]
SECTION = (ROOT / "docs" / "operations.md").read_text().split("\n## Journal\n")[1].split("\n## ")[0]
QUERIES = re.findall(r"`(journalctl [^`]+)`", SECTION)
#: journald's own fields and those of every program.
COMMON = {"MESSAGE_ID", "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_HOSTNAME"}


def fields_written() -> set[str]:
    """The names of fields in the reporters' sources."""
    sources = (ROOT / "agent/holdfast/observe/report.py", ROOT / "agent/holdfast/guard/reporter.py")
    return {name for path in sources for name in
            re.findall(r'"((?:HOLDFAST|DHCP)_[A-Z_]+|INTERFACE|ERRNO)"', path.read_text())}


def test_every_field_is_documented_and_no_other() -> None:
    rows = SECTION.split("| question |")[0]
    documented = set(re.findall(r"`([A-Z_]{4,})`", rows)) - COMMON
    assert documented == fields_written()


def test_queries_name_fields_and_values_that_there_are() -> None:
    values = {
        "HOLDFAST_RESULT": set(ids.RESULTS), "HOLDFAST_NOTICE": set(ids.NOTICES), "INTERFACE": {"eth0"},
        "HOLDFAST_PATH": {via.value for via in Via},
        "MESSAGE_ID": {kind.message_id for kind in (ids.LINE, ids.TRANSITION, ids.DROPPED, ids.MALFORMED)},
    }
    assert len(QUERIES) > 12
    for query in QUERIES:
        for name, value in re.findall(r"\b([A-Z_]+)=(\S+)", query):
            assert value in values[name], query
        for names in re.findall(r"(?:--output-fields=|-F )(\S+)", query):
            assert set(names.split(",")) <= fields_written() | COMMON, query
