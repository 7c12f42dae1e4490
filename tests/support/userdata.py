"""The user-data that we ship, edited as a user edits it, and a cloud that hands it out."""

from __future__ import annotations

import http.server
import json
import re
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.guests import ROOT, Net
from tests.support.site import BRIDGE

FOLDER = ROOT / "cloud-init"
README = ROOT / "README.md"
#: Where clouds answer (here OpenStack, which is asked before any network is configured).
METADATA = "169.254.169.254"
#: What stands before the value on a line that is to be edited: "- ", "key: " or "key=".
_EDIT = re.compile(r'^(?P<before>\s*(?:- |\w+: |\w+=)?"?)(?P<value>.*?)(?P<after>"?\s+# edit.*)$')


def edited(name: str, *values: str | None) -> str:
    """The file with the values of its "# edit" lines, in their order, replaced; None leaves one as it is."""
    return edit((FOLDER / name).read_text(), *values)


def edit(text: str, *values: str | None) -> str:
    """``text`` with the values of its "# edit" lines replaced, and nothing else."""
    lines, left = [], list(values)
    for line in text.splitlines():
        found = _EDIT.match(line) if "# edit" in line and not line.startswith("#") else None
        value = left.pop(0) if found else None
        lines.append(line if found is None or value is None else found["before"] + value + found["after"])
    assert left == [], "there are fewer lines to edit"
    return "\n".join(lines) + "\n"


def readme_blocks(title: str) -> list[str]:
    """The code blocks of one section of the README, as printed."""
    return blocks(README, title)


def blocks(document: Path, title: str) -> list[str]:
    """The code blocks of one section of a document, as printed."""
    section = document.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


class OpenStack:
    """A metadata service on the server's side of a guest's network: a context manager."""

    def __init__(self, net: Net, user_data: str, *, product_uuid: uuid.UUID, name: str = "guest") -> None:
        self._net = net
        link = {"id": "tap0", "type": "phy", "ethernet_mac_address": net.mac, "mtu": None}
        network = {"id": "net0", "type": "ipv4_dhcp", "link": "tap0", "network_id": "net0"}
        self.files: Mapping[str, bytes] = {
            "/openstack": b"2018-08-27\nlatest\n",
            "/latest/meta-data": b"instance-id",  # the EC2 flavour, which cloud-init asks too
            "/latest/meta-data/instance-id": b"i-00000001",
            "/openstack/2018-08-27/meta_data.json": json.dumps(
                {"uuid": str(product_uuid), "name": name, "hostname": name}  # as in the firmware: known at later boots
            ).encode(),
            "/openstack/2018-08-27/user_data": user_data.encode(),
            "/openstack/2018-08-27/vendor_data.json": b"{}",
            "/openstack/2018-08-27/network_data.json": json.dumps(
                {"links": [link], "networks": [network], "services": []}
            ).encode(),
        }
        self.asked: list[tuple[str, str]] = []

    def __enter__(self) -> OpenStack:
        self._net.on_server("ip", "address", "add", f"{METADATA}/32", "dev", BRIDGE)
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """A file, or 404."""
                cloud.asked.append((self.client_address[0], self.path))
                body = cloud.files.get(self.path.rstrip("/"))
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Nothing."""

        self._server = self._net.server.run(lambda: http.server.ThreadingHTTPServer((METADATA, 80), Handler))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metadata", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
