"""A page in a real browser, without a screen: Chromium, spoken to by its DevTools Protocol over a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast_lab import peers

#: Seconds for one answer; a browser that starts on a busy machine takes some.
PATIENCE = 60.0
_FONTS = """\
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir>
<alias><family>system-ui</family><prefer><family>Liberation Sans</family></prefer></alias>
<alias><family>sans-serif</family><prefer><family>Liberation Sans</family></prefer></alias>
<alias><family>ui-monospace</family><prefer><family>Liberation Mono</family></prefer></alias>
<match><edit name="family" mode="append_last" binding="weak"><string>Liberation Sans</string></edit></match>
</fontconfig>
"""


class Browser:
    """One tab. ``events`` are what the browser has told of its own accord."""

    def __init__(self, to: int, came: int) -> None:
        self._to, self._from = to, came
        self._received = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command; AssertionError when it fails."""
        self._number += 1
        question = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            question["sessionId"] = self._session
        os.write(self._to, json.dumps(question).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self.events.append(message)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], max(until - time.monotonic(), 0))
            part = os.read(self._from, 1 << 20) if ready else b""
            assert part, "the browser ended, or says nothing"
            self._received += part
        data, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(data))

    def show(self, page: Path, width: int, scheme: str) -> None:
        """Load ``page`` in a window of ``width`` pixels, for a reader who prefers ``scheme``, light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as a PNG file."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={**size, "scale": 1})
        path.write_bytes(base64.b64decode(shot["data"]))

    def requests(self) -> list[str]:
        """The addresses that the page has asked for since it was shown."""
        return [str(event["params"]["request"]["url"]) for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]

    def errors(self) -> list[dict[str, Any]]:
        """Exceptions, and what the console tells of errors and warnings."""
        return [event for event in self.events if event.get("method") in (
            "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")]


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium of its own, without a network, gone with all its processes and files."""
    program = peers.find("chromium")
    assert program is not None, "no chromium here: as root, ./dev test tests/integration/test_browser.py fetches one"
    folder = Path(tempfile.mkdtemp(prefix="holdfast-browser-"))
    to_browser, from_browser = os.pipe(), os.pipe()
    root = peers.unpacked(program)
    environment = {**os.environ, "HOME": str(folder)}
    if root is not None:
        fonts = folder / "fonts.conf"
        fonts.write_text(_FONTS.format(fonts=root / "usr/share/fonts", cache=folder / "cache"))
        environment |= {"FONTCONFIG_FILE": str(fonts), "XDG_DATA_HOME": str(root / "usr/share")}
    # The browser reads commands from descriptor 3 and writes to 4.
    pipes = f'exec 3<&{to_browser[0]} 4>&{from_browser[1]}; exec "$@"'
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", pipes, "browser", program, "--headless", "--no-sandbox", "--disable-gpu",
             "--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
             "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "about:blank"],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=(to_browser[0], from_browser[1]),
        )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Browser(to_browser[1], from_browser[0])
    finally:
        os.close(to_browser[1])  # its end: the browser ends, and its children with it
        os.close(from_browser[0])
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print((folder / "log").read_text(errors="replace")[-2000:])
        shutil.rmtree(folder, ignore_errors=True)
