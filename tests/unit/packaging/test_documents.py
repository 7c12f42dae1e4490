"""What is made of the program itself: manual pages, completions, the configuration as installed."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from holdfast.cli import COMMANDS, command, completions
from holdfast.settings.load import load
from holdfast.settings.model import Settings
from holdfast.settings.schema import AGENT, GUARD, INTERFACE
from holdfast_build import bill as bills
from holdfast_build import configuration_file, manual

PAGES = dict(manual.pages())


def test_the_manual_has_every_command() -> None:
    page = PAGES["holdfast.1"]
    for name in COMMANDS:
        one = command.get_command(click.Context(command), name)
        assert one is not None
        assert one.hidden or f".SS {manual.text(f'holdfast {name}')}" in page, name


def test_the_manual_has_every_key_of_the_configuration() -> None:
    page = PAGES["holdfast.toml.5"]
    for key in (*AGENT, *GUARD, *INTERFACE):
        assert f".B {key}\n" in page


def test_the_manual_names_every_unit() -> None:
    systemd = Path(__file__).parents[3] / "packaging" / "systemd"
    units = {path.name for pattern in ("*.service", "*.path") for path in systemd.glob(pattern)}
    assert units == {"holdfast.service", *manual.UNITS}
    page = PAGES["holdfast.service.8"].replace("\\-", "-")
    # A template's name is written with its instance.
    assert all(unit.replace("@.", "@ IFACE .") in page or unit in page for unit in units)


def test_text_is_never_taken_for_a_request() -> None:
    assert manual.text(".SH it's --so\\") == "\\&.SH it\\(aqs \\-\\-so\\e"
    assert list(manual.paragraphs("One\ntwo.\n\n\b\nkeep\n  lines\n\nlast")) == [
        "One", "two.", ".PP", ".nf", "keep", "  lines", ".fi", ".PP", "last",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_groff_has_no_complaint(name: str) -> None:
    groff = shutil.which("groff")
    if groff is None or not Path("/usr/share/groff/1.22.4/tmac/an.tmac").exists():
        pytest.xfail("groff's man macros are not here; lintian asks them when the package is built")
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww", "-z"], input=PAGES[name].encode(), capture_output=True, check=False
    )
    assert done.stderr == b""


def test_the_installed_configuration_is_the_defaults_and_shows_them(tmp_path: Path) -> None:
    text = configuration_file.render()
    file = tmp_path / "holdfast.toml"
    file.write_text(text)
    read = load([str(file)])
    assert read._replace(files=(), origins={}, tables=()) == Settings()
    # With every comment that is a key taken away, it is still right, and still the defaults.
    file.write_text(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE))
    read = load([str(file)])
    assert read._replace(files=(), origins={}, tables=()) == Settings()
    assert all(re.search(rf"^#{key} =", text, re.MULTILINE) for key in (*AGENT, *GUARD, *INTERFACE))


def test_completions_ask_the_program() -> None:
    for shell in ("bash", "zsh", "fish"):
        script = completions.script(shell)
        assert f"_HOLDFAST_COMPLETE={shell}_complete" in script
        assert script.endswith("\n")
    assert "string split -m 1 " in completions.script("fish")  # what a command does may have commas
    with pytest.raises(ValueError, match="no completion for csh"):
        completions.script("csh")


def test_pages_can_be_compressed_to_the_same_bytes() -> None:
    page = PAGES["holdfast.1"].encode()
    assert gzip.compress(page, 9, mtime=0) == gzip.compress(page, 9, mtime=0)


def test_the_bill_of_materials_names_what_is_packaged() -> None:
    root = Path(__file__).parents[3]
    bill = json.loads(bills.render(root, "1.2.3"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["version"]) == ("CycloneDX", "1.2.3")
    locked = re.findall(r"^([\w.-]+)==([\w.]+)", (root / "requirements" / "package.txt").read_text(), re.MULTILINE)
    assert [(each["name"], each["version"]) for each in bill["components"]] == locked
    hashes = re.findall(r"sha256:([0-9a-f]{64})", (root / "requirements" / "package.txt").read_text())
    named = [known["content"] for each in bill["components"] for one in each["externalReferences"]
             for known in one.get("hashes", [])]
    assert sorted(named) == sorted(hashes), "run ./dev lock"
