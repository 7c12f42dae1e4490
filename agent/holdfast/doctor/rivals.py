"""Would a second DHCP client serve the same links at the next boot? Read from configuration files alone.

Links of the list are taken out of their managers' hands at each boot: for them a BAD finding says what cannot be kept.
For the others, one function for each network manager: each yields a BAD finding for every one of our links (names or
patterns) that the manager would configure, or one OK finding when it would configure none. ``managers`` reads their
files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from holdfast.doctor.finding import BAD, CHECK, NOTE, OK, Finding, verdict
from holdfast.doctor.kernel import check_command_line
from holdfast.managers import (
    cloud_init,
    dhcpcd,
    ifcfg,
    ifupdown,
    networkd,
    networkmanager,
    overlay,
    served_links,
)
from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.link_patterns import covers
from holdfast.managers.formats.tree import Tree
from holdfast.settings.links import LIST
from holdfast.settings.model import SettingsError

#: Why a manager would configure a link; None when it would not.
Claim = Callable[[str], "str | None"]


def _listed(link: str) -> str:
    return f"name {link} in {LIST}: Holdfast then does DHCPv4 there, and nothing else is taken from other programs"


def check_rivals(tree: Tree, links: Sequence[str], *, booted: bool = False) -> Iterator[Finding]:
    """Check all managers, for all our links. ``booted``: cloud-init has written its files already. A file that cannot
    be parsed is a finding. Raises OSError."""
    overlaid, findings = _overlaid(tree, links)
    yield from findings
    links = [link for link in links if link not in overlaid]
    if not links:
        yield from _others(tree, sorted(overlaid))
        return
    renderer = "" if booted else cloud_init.renderer(tree)
    checks: Sequence[Callable[[], Iterator[Finding]]] = (
        lambda: _networkd(tree, links, renderer), lambda: _ifupdown(tree, links, renderer),
        lambda: check_command_line(tree, links, booted=booted), lambda: _network_manager(tree, links),
        lambda: _dhcpcd(tree, links), lambda: _others(tree, links), lambda: _network_scripts(tree, links),
    )
    for check in checks:
        try:
            yield from list(check())
        except FormatError as error:
            yield Finding(CHECK, BAD, str(error), "until then it is not known which client serves which link")


def _overlaid(tree: Tree, links: Sequence[str]) -> tuple[frozenset[str], list[Finding]]:
    """Those of ``links`` that the overlay is made for at each boot, and what is to be said of it."""
    try:
        started = served_links.started(tree)
        listed = [link for link in served_links.read(tree) if started and link.name in links]
    except SettingsError as error:
        return frozenset(), [Finding(CHECK, BAD, problem, "until then no link of the list is Holdfast's")
                             for problem in error.problems]
    if not listed:
        return frozenset(), []
    made = overlay.compute(tree, listed)
    findings = [Finding(CHECK, BAD, f"{one.link.name} stays with its former client: {refusal}", "change that there")
                for one in made.links for refusal in one.refusals]
    findings += [Finding(CHECK, NOTE, line) for line in dict.fromkeys(line for one in made.links for line in one.lost)]
    kept = [one.link.name for one in made.links if not one.refusals]
    if kept:
        findings.append(Finding(CHECK, OK, f"at each boot DHCPv4 of {' '.join(kept)} is taken from other programs"))
    return frozenset(link.name for link in listed), findings


def claimants(tree: Tree, link: str) -> list[tuple[str, str]]:
    """The managers that do DHCPv4 on ``link`` by their files, and by which file or setting. A file that cannot be
    parsed claims nothing here. Raises OSError."""
    found = []
    for name, manager in (("systemd-networkd", _networkd_claim), ("NetworkManager", _network_manager_claim),
                          ("ifupdown", _ifupdown_claim), ("dhcpcd", _dhcpcd_claim)):
        with suppress(FormatError):
            claim = manager(tree)
            why = claim and claim(link)
            if why:
                found.append((name, why))
    return found


def _networkd_claim(tree: Tree, renderer: str = "") -> Claim | None:
    rendered = renderer in ("netplan", "networkd") or networkd.netplan_renders(tree)
    if not networkd.starts(tree, rendered=rendered):
        return None
    files = networkd.network_files(tree, rendered=rendered)

    def why(link: str) -> str | None:
        file = networkd.claim(files, link)
        return "what netplan or cloud-init write at boot" if file is networkd.RENDERED else file and file.name

    return why


def _ifupdown_claim(tree: Tree) -> Claim | None:
    if not ifupdown.starts(tree):
        return None
    interfaces = ifupdown.read(tree)

    def why(link: str) -> str | None:
        one = ifupdown.claim(tree, interfaces, link, rendered=False)
        return one and one.why

    return why


def _network_manager_claim(tree: Tree) -> Claim | None:
    if not networkmanager.starts(tree):
        return None
    specs = networkmanager.unmanaged_devices(tree)
    return lambda link: networkmanager.claim(specs, link)


def _dhcpcd_claim(tree: Tree) -> Claim | None:
    if not dhcpcd.starts(tree):
        return None
    options = dhcpcd.options(tree)
    return lambda link: dhcpcd.claim(options, link)


def _networkd(tree: Tree, links: Sequence[str], renderer: str) -> Iterator[Finding]:
    """Also under netplan."""
    why = _networkd_claim(tree, renderer)
    if why is None:
        return
    rendered = renderer in ("netplan", "networkd") or networkd.netplan_renders(tree)
    files = networkd.network_files(tree, rendered=rendered)
    yield from verdict("systemd-networkd", links, why, _listed)
    yield from _networkd_wait(tree, links, files)


def _networkd_wait(tree: Tree, links: Sequence[str], files: Sequence[networkd.NetworkFile]) -> Iterator[Finding]:
    """systemd-networkd-wait-online fails after two minutes when networkd manages no link (seen with 252)."""
    unit = networkd.WAIT_ONLINE
    replaced = any(
        (key == "ExecStart" and not value)
        or (key == "ConditionPathExists" and value.startswith("!") and tree.is_file(value[1:]))
        for _, key, value in systemd_units.drop_ins(tree, unit)
    )
    ours = any(file.unmanaged and covers(name, link) for file in files for name in file.links for link in links)
    if ours and systemd_units.enabled(tree, unit) and not replaced:
        yield Finding("wait-online", BAD, f"{unit} would wait two minutes for links that networkd does not manage",
                      "mask it")


def _ifupdown(tree: Tree, links: Sequence[str], renderer: str) -> Iterator[Finding]:
    if not ifupdown.starts(tree):
        return
    interfaces = ifupdown.read(tree)

    def why(link: str) -> str | None:
        one = ifupdown.claim(tree, interfaces, link, rendered=renderer == "eni")
        return one and one.why

    yield from verdict("ifupdown", links, why, _listed)


def _network_manager(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    why = _network_manager_claim(tree)
    if why is not None:
        yield from verdict("NetworkManager", links, why, _listed)


def _dhcpcd(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    why = _dhcpcd_claim(tree)
    if why is not None:
        yield from verdict("dhcpcd", links, why,
                           f"add `denyinterfaces` to {dhcpcd.CONFIGURATION}, or disable {dhcpcd.UNIT}")


def _others(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    """Clients that serve every link, and the element of diskimage-builder that does."""
    for unit in sorted(systemd_units.enabled(tree, "wicked.service", "connman.service", "dhclient.service")):
        yield Finding(CHECK, BAD, f"{unit} is enabled and would configure {' '.join(links)} too", f"disable {unit}")
    if tree.is_file("/usr/local/sbin/dhcp-all-interfaces.sh"):
        yield Finding(CHECK, BAD, "the image was built with the element dhcp-all-interfaces",
                      "build it without that element (simple-init and cloud-init do not need it)")


def _network_scripts(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    """ifcfg files, where something other than NetworkManager reads them."""
    if not ifcfg.installed(tree):
        return
    files = ifcfg.files(tree)
    for link in links:
        file = ifcfg.claim(files, link)
        if file is not None:
            yield Finding(CHECK, BAD, f"network-scripts would configure {link} too: ifcfg-{file.name}",
                          "set BOOTPROTO=none")
