"""The user-data that we ship, edited as a user edits it, and a cloud that hands it out."""

from __future__ import annotations

import http.server
import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.guests import ROOT, File, Net
from tests.support.guests.net import IPv6
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


#: nova's names of subnets, by what a guest's network offers.
_SUBNETS = {"slaac": "ipv6_slaac", "stateless": "ipv6_dhcpv6-stateless", "stateful": "ipv6_dhcpv6-stateful"}


def network_data(
    *macs: str, mtu: int | None = None, dns: Sequence[str] = (), ipv6: IPv6 | None = None
) -> dict[str, Any]:
    """nova's network_data.json for one link of each MAC: an IPv4 subnet with DHCP, with ``ipv6`` a subnet of that kind.

    Format: nova's doc/source/user/metadata.rst and nova/virt/netutils.py.
    """
    links, networks = [], []
    for number, mac in enumerate(macs):
        link = f"tap{number}"
        links.append({"id": link, "type": "phy", "ethernet_mac_address": mac, "mtu": mtu})
        for kind in ("ipv4_dhcp", *([_SUBNETS[ipv6]] if ipv6 else [])):
            name = f"network{len(networks)}"
            networks.append({"id": name, "type": kind, "link": link, "network_id": name})
    return {"links": links, "networks": networks, "services": [{"type": "dns", "address": one} for one in dns]}


def config_drive(user_data: str, network: Mapping[str, Any]) -> dict[str, File]:
    """The same without a metadata service: files of a guest whose cloud-init finds OpenStack's config drive."""
    folder = "/var/lib/cloud/seed/config_drive/openstack/latest"
    meta = {"uuid": "6d0c8a4e-8b0f-4b2e-9f0e-2d7f6c1b5a10", "name": "guest", "hostname": "guest"}
    return {
        "/etc/cloud/cloud.cfg.d/81-config-drive.cfg": File("datasource_list: [ConfigDrive]\n"),
        f"{folder}/meta_data.json": File(json.dumps(meta)),
        f"{folder}/network_data.json": File(json.dumps(network)),
        f"{folder}/user_data": File(user_data),
    }


class OpenStack:
    """A metadata service on the server's side of a guest's network: a context manager."""

    def __init__(
        self, net: Net, user_data: str, *, product_uuid: uuid.UUID, name: str = "guest",
        network: Mapping[str, Any] | None = None,
    ) -> None:
        """``network``: of ``network_data``; one link with IPv4 alone and nothing else by default."""
        self._net = net
        self.files: Mapping[str, bytes] = {
            "/openstack": b"2018-08-27\nlatest\n",
            "/latest/meta-data": b"instance-id",  # the EC2 flavour, which cloud-init asks too
            "/latest/meta-data/instance-id": b"i-00000001",
            "/openstack/2018-08-27/meta_data.json": json.dumps(
                {"uuid": str(product_uuid), "name": name, "hostname": name}  # as in the firmware: known at later boots
            ).encode(),
            "/openstack/2018-08-27/user_data": user_data.encode(),
            "/openstack/2018-08-27/vendor_data.json": b"{}",
            "/openstack/2018-08-27/network_data.json": json.dumps(network or network_data(net.mac)).encode(),
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
