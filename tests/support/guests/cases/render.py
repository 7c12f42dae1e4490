"""Write the cases that cloud-init renders anew: ``python -m tests.support.guests.cases.render``, as root.

tests/guests/rendered/ has what clouds tell cloud-init; the cloud-init of the guests' tree makes files of it, one folder
of cases for each of ``RENDERED``. Only ``root/`` is written; ``case.toml`` is the author's.
"""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

from tests.support.guests.cases.run import MAC
from tests.support.guests.place import ROOT
from tests.support.guests.variants import LINK
from tests.support.images import ImageRoot

CASES = ROOT / "tests" / "guests"
SOURCES = CASES / "rendered"


class Renderer(NamedTuple):
    """How cloud-init calls it, for which distribution, and what of its output a guest needs."""

    kind: str
    distribution: str
    wanted: str


RENDERERS = {
    "netplan": Renderer("netplan", "debian", r"etc/netplan/"),
    "networkd": Renderer("networkd", "debian", r"etc/systemd/network/"),
    "eni": Renderer("eni", "debian", r"etc/network/interfaces\.d/"),
    "nm": Renderer("network-manager", "debian", r"etc/NetworkManager/"),
    "ifcfg": Renderer("sysconfig", "rhel", r"etc/sysconfig/network-scripts/ifcfg-ens3$"),
}
#: Renderer -> what it renders; the case is called by both.
RENDERED = {
    "netplan": ("nova-mtu-1450", "nova-mtu-1500", "nova-slaac", "nova-stateless", "nova-stateful", "two-addresses",
                "static-ipv6", "own-search"),
    "networkd": ("nova-mtu-1450", "nova-slaac", "nova-stateless", "nova-stateful", "static-ipv6", "own-search"),
    "eni": ("nova-mtu-1450", "nova-slaac", "nova-stateless", "nova-stateful", "two-addresses", "static-ipv6"),
    "nm": ("nova-mtu-1450", "nova-mtu-1500", "nova-slaac", "nova-stateless", "nova-stateful", "static-ipv6",
           "own-search"),
    "ifcfg": ("nova-mtu-1450", "nova-slaac"),
}


def render(image: ImageRoot, renderer: Renderer, source: Path) -> dict[str, bytes]:
    """cloud-init's own files for ``source``, by their paths. RuntimeError with what it said."""
    kind = "network_data.json" if source.suffix == ".json" else "yaml"
    image.bring(source, f"/tmp/{source.name}")
    convert = ["cloud-init", "devel", "net-convert", "-p", f"/tmp/{source.name}", "-k", kind, "-d", "/tmp/out"]
    convert += ["-D", renderer.distribution, "-m", f"{LINK},{MAC}", "-O", renderer.kind]
    image.run(["rm", "-rf", "/tmp/out"])
    done = image.run(convert)
    if done.returncode != 0:
        raise RuntimeError(f"cloud-init did not render {source.name} for {renderer.kind}:\n{done.stderr.decode()}")
    packed = image.run(["tar", "-C", "/tmp/out", "-cf", "-", "."]).stdout
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and re.match(renderer.wanted, name):
                file = archive.extractfile(member)
                assert file is not None
                found[name] = _by_name(file.read())
    return found


def _by_name(data: bytes) -> bytes:
    """A container's card has no permanent address, by which netplan and NetworkManager would match."""
    text = re.sub(r"^(\s+)macaddress: .*$", rf"\1name: {LINK}", data.decode(), flags=re.MULTILINE)
    text, count = re.subn(r"^mac-address=.*\n", "", text, flags=re.MULTILINE)
    if count and "interface-name=" not in text:
        text = text.replace("type=ethernet\n", f"type=ethernet\ninterface-name={LINK}\n")
    return text.encode()


def main() -> None:
    """Write all of them."""
    sources = {path.stem: path for path in SOURCES.iterdir()}
    with ImageRoot("bare") as image:
        for name, of in RENDERED.items():
            for source in of:
                root = CASES / f"{name}-{source}" / "root"
                for file in [each for each in root.rglob("*") if each.is_file()]:
                    if re.match(RENDERERS[name].wanted, str(file.relative_to(root))):
                        file.unlink()  # the rest is the case's own
                for path, data in render(image, RENDERERS[name], sources[source]).items():
                    place = root / path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(data)


if __name__ == "__main__":
    main()
