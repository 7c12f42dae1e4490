"""The paths of the configuration files, the state folder and the run-time folder.

Order: what the configuration says, what systemd says (``STATE_DIRECTORY``, ``RUNTIME_DIRECTORY``:
systemd.exec(5)), the system's folders for root, and the user's own for everybody else.

For root the folders are constants. They are what platformdirs calls the site folders, but
platformdirs knows the state folder only since 4.9 and the run-time folder since 3.10 (Debian 12 has
2.6), calls ``/etc/xdg`` the configuration folder in every version, and takes 13 ms to import, which
is time before the first DISCOVER. A test compares them with the platformdirs that is installed.
"""

from __future__ import annotations

import os

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG_DIR = "/etc/holdfast"
STATE_DIR = "/var/lib/holdfast"
RUNTIME_DIR = "/run/holdfast"
#: Owned by root, unlike the daemon's folders: the state of the publisher of name servers, and the journals of
#: take-overs. They are not in the state folder, because the owner of a folder can rename what is in it.
DNS_STATE_DIR = "/var/lib/holdfast-dns"
TAKEOVER_DIR = "/var/lib/holdfast-takeover"

#: Root's, and gone after a reboot: what the overlay's program writes of its own, and its settings in there.
OVERLAY_DIR = "/run/holdfast-overlay"
OVERLAY_SETTINGS_DIR = f"{OVERLAY_DIR}/settings"

#: Guard's folders are beside the agent's, and belong to another user.
GUARD = "-guard"

#: The main file and the folder of additions beside it.
CONFIG_NAME = "holdfast.toml"
CONFIG_PARTS = "holdfast.d"


def state_dir(configured: str | None = None) -> str:
    """The folder for leases and histories; not created here."""
    return configured or _from_systemd("STATE_DIRECTORY") or _default("state")


def dns_dir(state: str) -> str:
    """DNS_STATE_DIR, or what stands for it when the state folder is another."""
    return state.rstrip("/") + "-dns"


def takeover_dir(state: str) -> str:
    """TAKEOVER_DIR, or what stands for it when the state folder is another."""
    return state.rstrip("/") + "-takeover"


def guard_dir(configured: str | None = None) -> str:
    """Guard's state folder: beside the configured one, the one of guard's own unit, /var/lib/holdfast-guard."""
    return _guards(configured) or _from_systemd("STATE_DIRECTORY") or _default("state") + GUARD


def guard_runtime_dir(configured: str | None = None) -> str:
    """Guard's folder for its control socket and its lock, likewise."""
    return _guards(configured) or _from_systemd("RUNTIME_DIRECTORY") or _default("runtime") + GUARD


def runtime_dir(configured: str | None = None) -> str:
    """The folder for control sockets; not created here."""
    return configured or _from_systemd("RUNTIME_DIRECTORY") or _default("runtime")


def config_files(explicit: str | None = None, *, config_dir: str | None = None) -> tuple[str, ...]:
    """The configuration files to read, in order; empty when there are none.

    ``explicit`` (``--config``) is read alone, and is returned even when it is missing, so that
    reading it says so. Otherwise ``holdfast.toml``, then ``holdfast.d/*.toml`` in name order.
    """
    if explicit is not None:
        return (explicit,)
    for folder in [config_dir] if config_dir else search_config_dirs():
        main = os.path.join(folder, CONFIG_NAME)
        found = [main] if os.path.lexists(main) else []
        found += _parts(os.path.join(folder, CONFIG_PARTS))
        if found:
            return tuple(found)
    return ()


def overlay_files() -> tuple[str, ...]:
    """The files of settings that the overlay's program has written, in name order."""
    return tuple(_parts(OVERLAY_SETTINGS_DIR))


def search_config_dirs() -> tuple[str, ...]:
    """Where configuration is looked for: the first folder that has some is read. For root the system's folder alone."""
    if _is_root():
        return (CONFIG_DIR,)
    return (_user_dir("config"), CONFIG_DIR)


def search_runtime_dirs(configured: str | None = None) -> tuple[str, ...]:
    """Where a command looks for control sockets: a member of the socket's group is not root, but
    the agent that it asks is, so the system's folder is searched after the user's own."""
    return _unique((runtime_dir(configured), RUNTIME_DIR) if configured is None else (configured,))


def search_state_dirs(configured: str | None = None) -> tuple[str, ...]:
    """Where a command looks for histories; see search_runtime_dirs."""
    return _unique((state_dir(configured), STATE_DIR) if configured is None else (configured,))


def search_guard_dirs(configured: str | None = None) -> tuple[str, ...]:
    """Where a command looks for guard's histories; see search_runtime_dirs."""
    return _unique((guard_dir(configured), STATE_DIR + GUARD) if configured is None else (guard_dir(configured),))


def search_guard_runtime_dirs(configured: str | None = None) -> tuple[str, ...]:
    """Where a command looks for guard's control socket; see search_runtime_dirs."""
    own = guard_runtime_dir(configured)
    return _unique((own, RUNTIME_DIR + GUARD) if configured is None else (own,))


def _guards(configured: str | None) -> str | None:
    return configured.rstrip("/") + GUARD if configured else None


def _parts(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    # Editors and package managers leave hidden and half-written files behind; those end otherwise.
    return [os.path.join(folder, name) for name in names if name.endswith(".toml") and name[0] != "."]


def _from_systemd(variable: str) -> str | None:
    # A unit with several folders has them joined by colons; ours is the first.
    return os.environ.get(variable, "").split(":")[0] or None


def _default(kind: str) -> str:
    if _is_root():
        return {"state": STATE_DIR, "runtime": RUNTIME_DIR}[kind]
    return _user_dir(kind)


def _user_dir(kind: str) -> str:
    # Imported here (13 ms): root, and a unit with STATE_DIRECTORY, does not need it.
    import warnings  # noqa: PLC0415

    import platformdirs  # noqa: PLC0415

    folders = platformdirs.PlatformDirs("holdfast", appauthor=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions warn when XDG_RUNTIME_DIR is unset
            return str(getattr(folders, f"user_{kind}_dir"))
    except OSError:
        # Without a session platformdirs looks for a folder for temporary files, and where all is read-only, as early
        # at boot, there is none. This is where a session's would be (pam_systemd(8)).
        return f"/run/user/{os.geteuid()}/holdfast"


def _is_root() -> bool:
    return os.geteuid() == 0


def _unique(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(folders))
