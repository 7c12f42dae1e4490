"""Prometheus, Alertmanager and somebody who is called: the real programs with the files of packaging/monitoring."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from holdfast_lab.fleet.guests import EXPORTER_PORT
from holdfast_lab.peers import find, unpacked
from holdfast_lab.testbed.netns import MS_RDONLY, Namespace, NamespaceError, mount
from holdfast_lab.witness.wirelog import boottime

FILES = Path(__file__).resolve().parents[3] / "packaging" / "monitoring"
PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
PROMETHEUS, ALERTMANAGER, WEBHOOK = 9090, 9093, 9099

CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: node
    file_sd_configs: [{{files: ["{targets}"], refresh_interval: 1s}}]
"""


class Notification(NamedTuple):
    """One alert of one message that Alertmanager sent; ``at`` is boot-time seconds, ``who`` the guest or server."""

    at: float
    alert: str
    who: str
    resolved: bool


class Webhook:
    """Whoever is called; keeps what it is told."""

    def __init__(self, machine: Namespace) -> None:
        self.heard: list[Notification] = []
        heard = self.heard

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                heard.extend(
                    Notification(boottime(), one["labels"]["alertname"],
                                 one["labels"].get("instance") or one["labels"].get("server", ""),
                                 one["status"] == "resolved")
                    for one in message["alerts"]
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Nothing: what it heard is in ``heard``."""

        self._server = machine.run(lambda: http.server.ThreadingHTTPServer(("127.0.0.1", WEBHOOK), Handler))
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear nothing more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Monitoring:
    """Starts the programs in ``machine``, and asks Prometheus."""

    def __init__(self, machine: Namespace) -> None:
        """NamespaceError when a program is not on this machine."""
        self._machine = machine
        furnish(machine)
        self._targets = machine.directory / "targets.json"
        self.aim({})
        folder = machine.directory
        (folder / "prometheus.yml").write_text(CONFIGURATION.format(
            rules=FILES / "holdfast.rules.yml", alertmanager=ALERTMANAGER, targets=self._targets), encoding="utf-8")
        (folder / "alertmanager.yml").write_text(hurried((FILES / "alertmanager.yml").read_text(encoding="utf-8")),
                                                 encoding="utf-8")
        self.webhook = Webhook(machine)
        self._spawn("alertmanager", [
            "prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", "--cluster.listen-address=",
            f"--storage.path={folder}/alertmanager", f"--web.listen-address=127.0.0.1:{ALERTMANAGER}",
        ])
        self._spawn("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{PROMETHEUS}", "--rules.alert.resend-delay=1s",
        ])

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self._machine.directory / f"{name}.log").open("wb") as log:
            self._machine.popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def aim(self, addresses: Mapping[str, str]) -> None:
        """What is scraped: guest -> address."""
        targets = [{"targets": [f"{address}:{EXPORTER_PORT}"], "labels": {"instance": name}}
                   for name, address in addresses.items()]
        draft = self._targets.with_suffix(".tmp")
        draft.write_text(json.dumps(targets), encoding="utf-8")
        draft.replace(self._targets)

    def ready(self) -> bool:
        """Both programs serve."""
        return all(self._get(f"http://127.0.0.1:{port}/-/ready") is not None for port in (PROMETHEUS, ALERTMANAGER))

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each sample now; empty when Prometheus does not answer. ValueError for a wrong one."""
        words = urllib.parse.urlencode({"query": expression})
        answer = self._get(f"http://127.0.0.1:{PROMETHEUS}/api/v1/query?{words}")
        if answer is None:
            return []
        found = json.loads(answer)
        if found["status"] != "success":
            raise ValueError(f"{expression}: {found['error']}")
        return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]

    def firing(self) -> list[str]:
        """The alerts that fire now, each once."""
        return sorted({labels["alertname"] for labels, _ in self.ask('ALERTS{alertstate="firing"}')})

    def _get(self, url: str) -> bytes | None:
        def get() -> bytes | None:
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - an address of ours
                    body: bytes = answer.read()
                    return body
            except urllib.error.HTTPError as error:
                return error.read() if error.code == 400 else None
            except OSError:
                return None

        return self._machine.run(get)

    def said(self) -> str:
        """The last lines of both programs."""
        def last(name: str) -> list[str]:
            log = self._machine.directory / f"{name}.log"
            return [f"{name}: {line}" for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]]

        return "\n".join([*last("prometheus"), *last("alertmanager")])

    def close(self) -> None:
        """The programs end with their machine; the webhook is ours."""
        self.webhook.close()


def furnish(machine: Namespace) -> None:
    """Put the files that Debian's Alertmanager looks for at a fixed place there, when it is only unpacked."""
    missing = [name for name in PROGRAMS if find(name) is None]
    if missing:
        raise NamespaceError(f"not installed here: {', '.join(missing)}")
    root = unpacked(find("prometheus-alertmanager") or "")
    if root is not None:
        layers = f"lowerdir={root}/usr/share:/usr/share"
        machine.run(lambda: mount("overlay", "/usr/share", "overlay", MS_RDONLY, layers))


def hurried(example: str) -> str:
    """The example for Alertmanager with seconds for its minutes, and the webhook for its addresses."""
    text = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", example)
    return re.sub(r"http://alerts\.example\.org/", f"http://127.0.0.1:{WEBHOOK}/", text)
