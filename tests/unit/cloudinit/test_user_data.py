"""The files in cloud-init/ as texts, and the script in them run with programs that only say what they were told.

That cloud-init itself finds them right, and what they do in a guest, is in tests/vm.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast_lab.testbed import fair_time

FOLDER = Path(__file__).resolve().parents[3] / "cloud-init"
YAML = sorted(path.name for path in FOLDER.glob("*.yaml"))
#: EC2's limit of user-data.
LIMIT = 16 << 10
FETCHING = ["user-data-package-url.yaml", "user-data-merge.yaml", "vendor-data.yaml", "vendor-data.sh"]


def script(name: str) -> str:
    """The setup script of a file."""
    text = (FOLDER / name).read_text()
    if name.endswith(".sh"):
        return text
    return textwrap.dedent(text[text.rindex("    content: |\n") + len("    content: |\n"):])


def test_all_are_there() -> None:
    assert {"user-data-package-url.yaml", "user-data-apt.yaml", "user-data-yum.yaml", "user-data-pip.yaml",
            "user-data-merge.yaml", "vendor-data.yaml"} <= set(YAML)


@pytest.mark.parametrize("name", [*YAML, "vendor-data.sh"])
def test_size_marks_and_shell(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert len(text.encode()) < LIMIT
    assert text.startswith("#!/bin/sh\n" if name.endswith(".sh") else "#cloud-config\n")
    edits = [line for line in text.splitlines() if "# edit" in line and not line.startswith("#")]
    assert len(edits) == 2
    assert all("example.org" in line or "pypi.org" in line or re.search("0{64}|content: ", line)
               for line in edits)
    subprocess.run(["sh", "-n"], input=script(name), text=True, check=True)


def test_what_they_share_is_the_same() -> None:
    whole = script(FETCHING[0]).replace("url=$1 sha256=$2\n", "")
    assert script(FETCHING[1]) == script(FETCHING[2]) == script(FETCHING[0])
    assert script("vendor-data.sh").endswith(whole)
    endings = {script(name)[script(name).index("# The link of the default route"):].strip() for name in YAML}
    assert len(endings) == 1


def test_what_pip_brings_is_made_again_at_each_boot() -> None:
    """/run is empty then: systemd-tmpfiles must find our file by itself (tmpfiles.d(5))."""
    text = script("user-data-pip.yaml")
    copied = 'cp "$home/share/holdfast/systemd/holdfast.tmpfiles" /etc/tmpfiles.d/holdfast.conf\n'
    assert copied in text
    assert text.index(copied) < text.index("systemd-tmpfiles --create holdfast.conf\n")


def test_pip_is_told_hashes_and_no_name() -> None:
    """`holdfast` on PyPI is another project, and an index can serve any file."""
    text = script("user-data-pip.yaml")
    (command,) = re.findall(r'"\$home/bin/python" -I -m pip install (.*?) \|\|', text, re.DOTALL)
    words = command.replace("\\\n", "").split()
    assert {"--require-hashes", "--requirement", "--only-binary"} <= set(words)
    assert words[-2:] == ["--requirement", '"$what"']
    assert "index=$1 what=/run/holdfast-requirements.txt" in text


def test_nothing_that_we_print_takes_holdfast_from_an_index() -> None:
    root = FOLDER.parent
    texts = [root / "README.md", *(root / "docs").rglob("*.md"), *FOLDER.rglob("*"), *(root / "packaging").rglob("*")]
    named = re.compile(r"\bholdfast(==|>=|\[)|pip3? install (?!-)|pip3? install .* holdfast(?!-dhcp)\b")
    told = [f"{path}: {line}" for path in texts if path.is_file() and path.suffix not in {".pyc", ".png", ".gz"}
            for line in path.read_text().splitlines() if named.search(line)]
    assert told == []


# --- the script, with programs of our own ------------------------------------------------------------------------


class Machine:
    """A folder of programs that write down how they were called. ``route``: what ``ip route`` prints."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.program("apt-get", "exit ${APT:-0}")
        self.program("sleep", "")
        self.program("ip", 'case "$*" in *route*) printf "$ROUTE" ;; *) printf "$ADDRESSES" ;; esac', silent=True)
        self.program("holdfast", 'case "$1" in status) exit ${STATUS:-3} ;; takeover) exit ${TAKEOVER:-0} ;; esac')

    def program(self, name: str, text: str, *, silent: bool = False) -> None:
        told = "" if silent else f'echo "{name} $*" >>"{self.calls}"\n'
        (self.folder / name).write_text(f"#!/bin/sh\n{told}{text}\n")
        (self.folder / name).chmod(0o755)

    def run(self, *words: str, **environment: str) -> tuple[int, str, list[str]]:
        """Exit status, what it said, and the calls."""
        self.calls.write_text("")
        done = fair_time.run(
            ["sh", "-s", *words], 60, told=script(FETCHING[0]), text=True,
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", "ROUTE": "default via 10.0.0.1 dev ens3 metric 100\\n",
                 "ADDRESSES": "", **environment},
        )
        return done.returncode, done.stderr, self.calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@contextmanager
def serving(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a web server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a package, and its SHA-256."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "holdfast.deb").write_bytes(b"a package")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing."""

    with serving(functools.partial(Handler, directory=str(folder))) as url:
        yield f"{url}/holdfast.deb", hashlib.sha256(b"a package").hexdigest()


def test_installs_and_takes_over(machine: Machine, served: tuple[str, str]) -> None:
    status, said, calls = machine.run(*served)
    assert status == 0, said
    assert re.fullmatch(r"apt-get .* install /\S+/holdfast.deb", calls[0])
    assert calls[1:] == ["holdfast status ens3", "holdfast takeover ens3"]
    assert "Holdfast serves ens3 now" in said


@pytest.mark.parametrize(("environment", "iface"), [
    ({"ROUTE": "default dev wg0 scope link\\ndefault via 10.0.0.1 dev ens3 metric 100\\n"}, "wg0"),
    ({"ROUTE": "default via 10.0.0.1 dev ens10 metric 100 \\ndefault via 10.0.0.1 dev ens3 proto dhcp metric 100 \\n"},
     "ens3"),
    ({"ROUTE": "default via 10.0.0.1 dev ens3 metric 1024\\ndefault via 10.0.1.1 dev ens4 metric 101\\n"}, "ens4"),
    ({"ROUTE": "default via 10.0.0.1 dev ens3 metric 50\\ndefault via 10.0.1.1 dev ens4\\n"}, "ens4"),
    ({"ROUTE": "default proto static metric 5\\n\\tnexthop via 10.0.0.1 dev eth1 weight 1\\n"}, "eth1"),
    ({"ROUTE": "", "ADDRESSES": "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global dynamic eth0\\n"}, "eth0"),
])
def test_which_link(machine: Machine, served: tuple[str, str], environment: dict[str, str], iface: str) -> None:
    assert machine.run(*served, **environment)[2][-1] == f"holdfast takeover {iface}"


def test_serving_already(machine: Machine, served: tuple[str, str]) -> None:
    status, said, calls = machine.run(*served, STATUS="0")
    assert status == 0
    assert "serves ens3 already" in said
    assert not any("takeover" in call for call in calls)


@pytest.mark.parametrize(("environment", "words", "count"), [
    ({"TAKEOVER": "1"}, "did not take ens3 over", 3), ({"APT": "100"}, "was not installed", 2),
    ({"ROUTE": ""}, "no link has an address from DHCP", 1),
])
def test_what_fails_is_told(
    machine: Machine, served: tuple[str, str], environment: dict[str, str], words: str, count: int
) -> None:
    status, said, calls = machine.run(*served, **environment)
    assert status == 1
    assert words in said.splitlines()[-1]
    assert len(calls) == count


def test_another_checksum_changes_nothing(machine: Machine, served: tuple[str, str]) -> None:
    status, said, calls = machine.run(served[0], "0" * 64)
    assert (status, calls) == (1, [])
    assert f"has SHA-256 {served[1]}, and not {'0' * 64}; nothing was changed" in said


def test_five_tries(machine: Machine, served: tuple[str, str]) -> None:
    status, said, calls = machine.run(served[0].replace("holdfast.deb", "none.deb"), served[1])
    assert status == 1
    assert len(re.findall("try [1-5] of 5: .* 404: ", said)) == 5
    last = said.splitlines()[-1]
    assert "FAILED: " in last
    assert all(words in last for words in ("none.deb cannot be fetched", "404", "nothing was changed"))
    assert all(call.startswith("sleep") for call in calls)


def test_the_server_s_words_speak_to_no_console(machine: Machine) -> None:  # rule 92
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404, "\x1b]0;owned\x07\x9b2J")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing."""

    with serving(Handler) as url:
        status, said, _ = machine.run(f"{url}/x.deb", "0" * 64)
    assert status == 1
    assert "404: ]0;owned" in said
    assert all(line.isprintable() for line in said.splitlines())


def test_a_download_that_breaks_off_is_tried_again(machine: Machine) -> None:
    """The server promises more than it sends, twice; then it is well again."""
    tries = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Half of it, and the connection ends."""
            nonlocal tries
            tries += 1
            self.send_response(200)
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b"a package"[:9 if tries == 3 else 4])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing."""

    with serving(Handler) as url:
        status, said, calls = machine.run(f"{url}/holdfast.deb", hashlib.sha256(b"a package").hexdigest())
    assert status == 0, said
    assert tries == 3
    assert said.count("4 bytes read, 5 more expected") == 2
    assert calls[-1] == "holdfast takeover ens3"


def test_an_ending_that_is_none(machine: Machine) -> None:
    status, said, calls = machine.run("https://example.org/holdfast.deb?token=1", "0" * 64)
    assert (status, calls) == (1, [])
    assert "ends neither in .deb nor in .rpm" in said
