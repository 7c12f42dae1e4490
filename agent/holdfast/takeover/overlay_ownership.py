"""How a manager's link becomes Holdfast's: the manager keeps it, and DHCPv4 is taken out of its hands by the overlay.

The adapters of managers return ``own_by_overlay(host, found)`` from ``own``. It changes nothing. Their ``stop`` then
makes the running manager read the overlay, which is there by then, without touching the address.
"""

from __future__ import annotations

from holdfast.managers import overlay, served_links
from holdfast.managers.formats.tree import Tree
from holdfast.managers.overlay import LinkOverlay
from holdfast.settings.links import LIST, VOLATILE_DIR, parse
from holdfast.settings.model import SettingsError
from holdfast.takeover.deadman import own_program
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Change, Command, FileChange, Found, ListEntry, Ownership


def own_by_overlay(host: Host, found: Found, *, first: tuple[Change, ...] = ()) -> Ownership:
    """What takes DHCPv4 out of the hands of the link's manager, and nothing else: at once by a volatile list and the
    overlay's program, after the confirmation by a line of ``/etc/holdfast/links``. ``first``: changes below /run that
    the manager needs before (a step for systemd 257). TakeoverError, which names file and key, when something cannot be
    kept, or no manager's file has the link do DHCPv4."""
    ifname = found.ifname
    taken = host.ask(_of_link, ifname)
    if taken.refusals:
        raise TakeoverError(f"{ifname} stays with {found.name}: {'; '.join(taken.refusals)}")
    if not taken.takeouts:
        raise TakeoverError(f"{found.name} serves {ifname}, and no file has it do so after a boot: nothing tells "
                            "how to take DHCPv4 out of its hands. Write it into its configuration, or stop it")
    program = tuple(own_program("holdfast.managers.__main__"))
    reload = (Command(("systemctl", "daemon-reload"), ("systemctl", "daemon-reload")),) if host.systemd else ()
    # The commands before the list is changed are for the way back, where they come after it.
    return Ownership(
        (*first, Command(program, program), FileChange(f"{VOLATILE_DIR}/{ifname}", f"{ifname}\n".encode()),
         Command(program)),
        () if _listed(host, ifname) else (*reload, ListEntry(LIST, ifname), *reload),
        overlaid=True, settings=taken.settings, lost=taken.lost,
    )


def _of_link(tree: Tree, ifname: str) -> LinkOverlay:
    return overlay.compute(tree, [served_links.describe(tree, ifname)]).links[0]


def _listed(host: Host, ifname: str) -> bool:
    """True if the list names the link already; it is not ours to take out then."""
    try:
        return ifname in parse(host.read(LIST) or b"", LIST)
    except SettingsError as error:
        raise TakeoverError(f"{error.problems[0]}; correct the list") from None
