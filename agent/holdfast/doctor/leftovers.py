"""What an image must not carry into the machines made from it."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.doctor.finding import BAD, OK, Finding
from holdfast.managers.formats.tree import Tree
from holdfast.settings.dirs import STATE_DIR, TAKEOVER_DIR

MACHINE_ID = "/etc/machine-id"
CLEAN = "holdfast clean, as `cloud-init clean` does"


def check_state(tree: Tree) -> Iterator[Finding]:
    """No lease and history, and no journal of a take-over."""
    names = tree.names(STATE_DIR)
    leases = [name for name in names if ".lease.json" in name]
    others = [name for name in names if name not in leases]
    if leases:
        yield Finding("lease", BAD, f"{STATE_DIR}/{leases[0]}: a machine made from this image would use it too", CLEAN)
    else:
        yield Finding("lease", OK, "there is none")
    if others:
        yield Finding("identity", BAD, f"{STATE_DIR}/{others[0]}: left by another machine", CLEAN)
    journals = [name for name in tree.names(TAKEOVER_DIR) if name.endswith(".json")]
    if journals:
        yield Finding("identity", BAD, f"{TAKEOVER_DIR}/{journals[0]}: a take-over of another machine", CLEAN)
    if not others and not journals:
        yield Finding("identity", OK, "there is none")


def check_machine_id(tree: Tree) -> Iterator[Finding]:
    """Each machine makes its own at its first boot (machine-id(5))."""
    text = (tree.text(MACHINE_ID) or "").strip()
    if text not in ("", "uninitialized"):
        yield Finding("machine-id", BAD, f"{MACHINE_ID} is set, so that every copy would have the same",
                      "cloud-init clean --machine-id, or empty the file")
    elif tree.link("/var/lib/dbus/machine-id") is None and tree.text("/var/lib/dbus/machine-id"):
        yield Finding("machine-id", BAD, "/var/lib/dbus/machine-id is a separate file, from which systemd takes the "
                      "machine-id of every copy", "remove it")
    else:
        yield Finding("machine-id", OK, "made at the first boot")
