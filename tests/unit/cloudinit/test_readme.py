"""The README's block that makes user-data, as it is printed, pasted into a shell: all of a package, or nothing."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.userdata import FOLDER, edit, readme_blocks

PACKAGE = b"a package, whole\n"
AFTER = '\necho "status $? options $-"\n'


@contextmanager
def serving(status: int, length: int, body: bytes) -> Iterator[str]:
    """A web server that promises ``length`` bytes and sends ``body``; its URL of a package."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The same for everybody."""
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="packages", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/holdfast_0.2.0-1_all.deb"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def paste(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run the block as a shell does that reads it line by line."""
    if not (folder / "cloud-init").exists():
        shutil.copytree(FOLDER, folder / "cloud-init")
    block = edit(readme_blocks("Install")[1], url)
    before = set(folder.iterdir()) | {folder / "user-data"}
    done = subprocess.run(["sh", "-s"], input=block + AFTER, cwd=folder, capture_output=True, text=True, check=False)
    assert set(folder.iterdir()) <= before  # nothing is left lying about
    return done


def test_a_whole_package(tmp_path: Path) -> None:
    with serving(200, len(PACKAGE), PACKAGE) as url:
        done = paste(tmp_path, url)
    assert "status 0" in done.stdout, done.stderr
    text = (tmp_path / "user-data").read_text()
    assert f"- {url}  # edit" in text
    assert f'- "{hashlib.sha256(PACKAGE).hexdigest()}"  # edit' in text


@pytest.mark.parametrize(("status", "length", "body"), [
    (404, 9, b"not here\n"), (500, 0, b""), (200, 0, b""), (200, 1000, PACKAGE),
], ids=["not found", "error", "empty", "breaks off"])
def test_less_than_a_package_makes_no_user_data(tmp_path: Path, status: int, length: int, body: bytes) -> None:
    with serving(status, length, body) as url:
        done = paste(tmp_path, url)
    stopped(tmp_path, done)


def test_nobody_answers(tmp_path: Path) -> None:
    with serving(200, 0, b"") as url:
        pass
    stopped(tmp_path, paste(tmp_path, url))


def test_the_template_is_missing(tmp_path: Path) -> None:
    (tmp_path / "cloud-init").mkdir()
    with serving(200, len(PACKAGE), PACKAGE) as url:
        stopped(tmp_path, paste(tmp_path, url))


def stopped(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    """It said so, made nothing, and the shell it was pasted into goes on, with the options it had."""
    assert not (folder / "user-data").exists()
    assert "STOPPED: " in done.stderr
    assert "no user-data" in done.stderr
    assert "status 1 options " in done.stdout
    assert "e" not in done.stdout.split("options ")[1]
