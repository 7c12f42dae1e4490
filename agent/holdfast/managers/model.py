"""The vocabulary of an overlay: which link, what its manager does there, and how DHCPv4 is taken out of it.

Plain data. Each manager's file makes a ``Takeout`` of what it reads; ``overlay.py`` writes it below /run.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.wire.record import NamedTuple

#: A value of a TOML key of ``[interfaces.NAME]``.
Value = bool | int | str | tuple[int, ...] | tuple[str, ...]


#: What a line of ``Takeout.lost`` ends with where a program of the administrator's is not run any more.
INSTEAD = "; a program in /etc/holdfast/hooks.d can do it"


class Link(NamedTuple):
    """One line of the list of links: a name, or a pattern of names (fnmatch(3)).

    The rest is what managers match by, None where it is not known: for a pattern, in an image, for a card that is
    not there yet. ``mac`` and ``permanent_mac`` as aa:bb:cc:dd:ee:ff; ``driver`` and ``path`` as udev's
    ID_NET_DRIVER and ID_PATH; ``kind`` as networkd's Type= ("ether", "bridge"); ``ifindex``: the kernel's.
    """

    name: str
    mac: str | None = None
    permanent_mac: str | None = None
    driver: str | None = None
    path: str | None = None
    kind: str | None = None
    ifindex: int | None = None

    @property
    def pattern(self) -> bool:
        """True if it stands for links that are not known by name."""
        return any(character in self.name for character in "*?[")


class File(NamedTuple):
    """``path`` (below /run) shall be a regular file with ``content`` and permission bits ``mode``, root's. ``mtime``:
    its date, in seconds since 1970, where that counts."""

    path: str
    content: bytes
    mode: int = 0o644
    mtime: int | None = None


class Symlink(NamedTuple):
    """``path`` (below /run) shall be a symbolic link to ``target``."""

    path: str
    target: str


class Bind(NamedTuple):
    """``source`` (a file of the overlay) shall be mounted over ``path``, read-only."""

    path: str
    source: str


class Passage(NamedTuple):
    """Whoever knows a name in the folder ``path`` (below /run) shall get to it: the folder is searchable for all."""

    path: str


Entry = File | Symlink | Bind | Passage


class Takeout(NamedTuple):
    """How one manager is kept from DHCPv4, and from nothing else, on one link.

    ``manager``: its name for messages. ``source``: the file that has it do DHCPv4 there. ``entries``: the overlay, in
    the order in which they are made. ``settings``: Holdfast's for the link, by the keys of ``[interfaces.NAME]``, as
    far as they differ from its defaults. ``lost``: what the manager ran for DHCPv4 events and does not run any more
    (hooks), a line each, said before anything changes. ``refusals``: what cannot be kept, a line each with the file
    and the key; when there are any, no entry is made and the former client keeps the link.
    """

    manager: str
    source: str
    entries: tuple[Entry, ...] = ()
    settings: Mapping[str, Value] = {}
    lost: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
