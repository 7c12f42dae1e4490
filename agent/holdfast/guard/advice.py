"""Settings of the client in place that keep its address longer: a change of one file, which is shown and not made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from holdfast.guard.programs import Client
from holdfast.managers import dhcpcd, ifcfg, networkd
from holdfast.managers import networkmanager as nm
from holdfast.managers.formats import ini
from holdfast.managers.formats.keyfile import KeyFile
from holdfast.managers.formats.tree import Tree
from holdfast.wire.record import NamedTuple, record

#: systemd.network(5): each setting, its value, and when the address would go without it. Not KeepConfiguration=dhcp,
#: which keeps it beyond the lease's end, when the server may have given it to another.
_NETWORKD = (
    ("Network", "KeepConfiguration", "dhcp-on-stop", "the address goes when networkd is stopped"),
    ("Network", "IgnoreCarrierLoss", "yes", "the address goes when the cable, or the host's switch, is away"),
    ("DHCPv4", "SendRelease", "no", "the lease is given back when networkd is stopped"),
)
#: nm-settings-keyfile(5): the longest time that it knows is for ever.
_FOREVER = "2147483647"


@record
class Advice(NamedTuple):
    """``path`` should become ``after``; ``before`` is what it is, "" for a file that is not there. ``reasons`` say what
    happens without, a line each. ``command`` makes the change known. Without a ``path`` the reasons are all there
    is."""

    path: str
    before: str
    after: str
    reasons: tuple[str, ...]
    command: str


def advice(client: Client, ifname: str, ifindex: int, tree: Tree) -> Advice:
    """What ``client`` should be told about the interface; ``tree`` is this machine. FormatError and OSError for files
    that cannot be read."""
    known: Mapping[str, Callable[[Client, str, int, Tree], Advice]] = {
        "networkd": _networkds, "NetworkManager": _networkmanagers, "dhclient": _dhclients, "dhcpcd": _dhcpcds,
        "udhcpc": _udhcpcs,
    }
    asked = known.get(client.name)
    return _nothing("no client that is known serves it") if asked is None else asked(client, ifname, ifindex, tree)


def _nothing(*reasons: str) -> Advice:
    return Advice("", "", "", reasons, "")


def _networkds(_client: Client, ifname: str, ifindex: int, tree: Tree) -> Advice:
    """A drop-in for the .network file in force, in /etc: netplan and cloud-init write their own files anew."""
    state = tree.text(f"/run/systemd/netif/links/{ifindex}") or ""
    path = next((line[13:] for line in state.splitlines() if line.startswith("NETWORK_FILE=")), "")
    if not path:
        return _nothing(f"networkd names no .network file for {ifname}")
    file = networkd.network_file(tree, path)
    missing = [(section, key, value, why) for section, key, value, why in _NETWORKD
               if not _is(file.last(section, key), value)]
    if not missing:
        return _nothing("its settings keep the address already")
    target = f"/etc/systemd/network/{os.path.basename(path)}.d/90-keep-address.conf"
    before = tree.text(target) or ""
    lines = []
    for section in dict.fromkeys(section for section, *_ in missing):
        lines += ["", f"[{section}]", *(f"{key}={value}" for at, key, value, _ in missing if at == section)]
    after = (before.rstrip("\n") + "\n" + "\n".join(lines)).lstrip("\n") + "\n"
    return Advice(target, before, after, tuple(f"without {key}={value} {why}" for _, key, value, why in missing),
                  "networkctl reload, which networkd applies at its next start")


def _is(said: str | None, wanted: str) -> bool:
    if said is None:
        return False
    if wanted in ("yes", "no"):
        return ini.is_on(said) if wanted == "yes" else ini.is_off(said)
    return said in (wanted, "dhcp") or ini.is_on(said)


def _networkmanagers(_client: Client, ifname: str, ifindex: int, tree: Tree) -> Advice:
    """The profile that is active on the device, by the UUID in NetworkManager's state."""
    state = KeyFile(tree.text(f"/run/NetworkManager/devices/{ifindex}") or "")
    uuid = state.get("device", "connection-uuid")
    profile = next((one for one in nm.profiles(tree) if one.uuid == uuid), None)
    if profile is None:
        return _nothing(f"the profile that is active on {ifname} ({uuid or 'none'}) has no file that may be read here")
    keys = profile.keys
    wanted, reasons = {}, []
    if (keys.number("ipv4", "dhcp-timeout") or 0) < int(_FOREVER):
        wanted["ipv4", "dhcp-timeout"] = _FOREVER
        reasons.append(f"without dhcp-timeout={_FOREVER} it stops asking after 45 s without a server, and takes the "
                       "connection down")
    if not keys.on("ipv4", "may-fail", default=True):
        wanted["ipv4", "may-fail"] = "true"
        reasons.append("with may-fail=false the loss of the lease takes IPv6 down, too")
    if not wanted:
        return _nothing("its settings keep the address already")
    before = tree.text(profile.path) or ""
    return Advice(profile.path, before, keys.changed(wanted), tuple(reasons),
                  "nmcli connection reload, which takes effect when the connection is next brought up")


def _dhclients(client: Client, ifname: str, _ifindex: int, tree: Tree) -> Advice:
    """``-1``: it ends for good when there is no server at its start."""
    if "-1" not in client.words:
        return _nothing("dhclient has no setting that keeps an address beyond its lease, and none that it lacks")
    why = "with -1 dhclient ends for good when no server answers, and nobody renews the lease"
    for file in ifcfg.files(tree):
        if ifname in (file.name, file.settings.get("DEVICE")):
            before = tree.text(file.path) or ""
            kept = [line for line in before.splitlines() if not line.startswith("PERSISTENT_DHCLIENT=")]
            return Advice(file.path, before, "\n".join([*kept, "PERSISTENT_DHCLIENT=yes"]) + "\n", (why,),
                          f"ifdown {ifname} && ifup {ifname}, which interrupts the network")
    return _nothing(f"{why}; start it without -1 (it is `{' '.join(client.words)}`)")


def _dhcpcds(_client: Client, _ifname: str, _ifindex: int, tree: Tree) -> Advice:
    if "persistent" in dhcpcd.options(tree).names():
        return _nothing("its settings keep the address already")
    before = tree.text(dhcpcd.CONFIGURATION) or ""
    head, mark, rest = before.partition("\ninterface ")  # what follows such a line is that interface's
    after = head.rstrip("\n") + "\npersistent\n" + (mark + rest if mark else "")
    return Advice(dhcpcd.CONFIGURATION, before, after.lstrip("\n"),
                  ("without persistent the address goes when dhcpcd is stopped",), "dhcpcd reads it when it starts")


def _udhcpcs(client: Client, _ifname: str, _ifindex: int, _tree: Tree) -> Advice:
    if "-R" in client.words:
        return _nothing("with -R udhcpc gives the lease back when it ends; start it without")
    return _nothing("udhcpc has no setting that keeps an address")
