"""Which network manager a guest runs, as files on top of the one tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tests.support.guests.files import File, Files, Link, unit_enabled

Variant = Literal["networkd", "netplan", "ifupdown", "networkmanager", "bare"]

#: The guest's network interface, in containers and in virtual machines.
LINK = "ens3"
#: A container's second one, where a test wants one.
SECOND = "ens4"

_NETWORKD = {
    **unit_enabled("systemd-networkd.service", "multi-user.target"),
    **unit_enabled("systemd-networkd.socket", "sockets.target"),
    **unit_enabled("systemd-network-generator.service", "sysinit.target"),
    **unit_enabled("systemd-networkd-wait-online.service", "network-online.target"),
    "/etc/systemd/system/dbus-org.freedesktop.network1.service": Link(
        "/lib/systemd/system/systemd-networkd.service"
    ),
}
_RESOLVED = {
    **unit_enabled("systemd-resolved.service", "sysinit.target"),
    "/etc/systemd/system/dbus-org.freedesktop.resolve1.service": Link(
        "/lib/systemd/system/systemd-resolved.service"
    ),
    "/etc/resolv.conf": Link("../run/systemd/resolve/stub-resolv.conf"),
}
_PLAIN_RESOLVER: dict[str, File | Link] = {"/etc/resolv.conf": File("# nobody has written this yet\n")}
_MANAGERS: dict[Variant, dict[str, File | Link]] = {
    "networkd": {**_NETWORKD, **_RESOLVED},
    "netplan": {**_NETWORKD, **_RESOLVED},
    "ifupdown": {
        **_PLAIN_RESOLVER,
        **unit_enabled("networking.service", "multi-user.target"),
        **unit_enabled("networking.service", "network-online.target"),
        "/etc/network/interfaces": File("source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n"),
    },
    "networkmanager": {
        **_PLAIN_RESOLVER,
        **unit_enabled("NetworkManager.service", "multi-user.target"),
        **unit_enabled("NetworkManager-wait-online.service", "network-online.target"),
        "/etc/systemd/system/dbus-org.freedesktop.nm-dispatcher.service": Link(
            "/lib/systemd/system/NetworkManager-dispatcher.service"
        ),
    },
    "bare": _PLAIN_RESOLVER,
}
_CONFIGURED: dict[Variant, dict[str, File | Link]] = {
    "networkd": {
        "/etc/systemd/network/20-wired.network": File(
            f"[Match]\nName={LINK}\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n"
        ),
    },
    "netplan": {
        "/etc/netplan/50-wired.yaml": File(
            f"network:\n  version: 2\n  ethernets:\n    {LINK}:\n      dhcp4: true\n      accept-ra: false\n", 0o600
        ),
    },
    "ifupdown": {"/etc/network/interfaces.d/wired": File(f"auto {LINK}\niface {LINK} inet dhcp\n")},
    "networkmanager": {
        "/etc/NetworkManager/system-connections/wired.nmconnection": File(
            f"[connection]\nid=wired\nuuid=6a1b3ab6-1d5c-4d8f-9a5b-2f2f0c7d9e11\ntype=ethernet\n"
            f"interface-name={LINK}\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=disabled\n",
            0o600,
        ),
    },
    "bare": {},
}
#: How cloud-init calls each; it renders for this one only.
_RENDERER = {"networkd": "networkd", "netplan": "netplan", "ifupdown": "eni", "networkmanager": "network-manager"}


def variant_files(variant: Variant, *, configured: bool) -> Files:
    """The enabled units of ``variant``; ``configured``: with the configuration that makes ``LINK`` use DHCP."""
    files = {**_MANAGERS[variant], **(_CONFIGURED[variant] if configured else {})}
    if variant in _RENDERER:
        text = f"system_info:\n  network:\n    renderers: [{_RENDERER[variant]}]\n"
        files["/etc/cloud/cloud.cfg.d/80-guest-renderer.cfg"] = File(text)
    return files


def seed_files(seed: Mapping[str, str] | None) -> Files:
    """A NoCloud seed: "user-data", "meta-data", "vendor-data", "network-config" -> text. None: no cloud-init."""
    if seed is None:
        return {"/etc/cloud/cloud-init.disabled": File("")}
    files: dict[str, File | Link] = {
        "/etc/cloud/cloud.cfg.d/80-guest.cfg": File(
            "datasource_list: [NoCloud]\napt: {preserve_sources_list: true}\n"
            "locale: C.UTF-8\nssh_deletekeys: false\nssh_genkeytypes: []\n"  # no locales and no ssh in the tree
        )
    }
    texts = {"user-data": "#cloud-config\n{}\n", "meta-data": "instance-id: guest\nlocal-hostname: guest\n", **seed}
    for name, text in texts.items():
        files[f"/var/lib/cloud/seed/nocloud/{name}"] = File(text)
    return files
