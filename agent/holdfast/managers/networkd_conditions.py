"""What [Match] of a .network file says of the machine (systemd.network(5), systemd.unit(5)); networkd passes over files
of other machines when it starts."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from holdfast.managers.formats import ini
from holdfast.managers.formats.tree import Tree

#: What firmware says of a hypervisor (systemd's virt.c): a word of the vendor's or the product's name, and
#: Virtualization='s name for it. KVM is known by its processor, so these two are not told apart.
_VENDORS = (("VMware", ("vmware",)), ("VMW", ("vmware",)), ("Amazon EC2", ("amazon",)), ("Google", ("google", "kvm")),
            ("innotek", ("oracle",)), ("VirtualBox", ("oracle",)), ("Xen", ("xen",)), ("BHYVE", ("bhyve",)),
            ("Microsoft", ("microsoft",)), ("Parallels", ("parallels",)), ("Apple Virt", ("apple",)),
            ("QEMU", ("qemu", "kvm")), ("KVM", ("kvm", "qemu")), ("OpenStack", ("qemu", "kvm")))
_CONTAINER = "/run/systemd/container"


def fits(tree: Tree, key: str, value: str) -> bool | None:
    """Whether the machine is as ``key`` of [Match] says; None where that is not known, as of an image."""
    negated, word = value.startswith("!"), value.removeprefix("!")
    if key == "KernelCommandLine":
        words = _line(tree, "/proc/cmdline").split()
        names = words if "=" in word else [each.partition("=")[0] for each in words]
        return (word in names) != negated if words else None
    if key == "Host":
        known = [name for name in (_line(tree, "/proc/sys/kernel/hostname"), _line(tree, "/etc/machine-id")) if name]
        return any(fnmatchcase(name, word) for name in known) != negated if len(known) > 1 else None
    if key == "Virtualization":
        found = _virtualization(tree)
        return None if not found else _is(found, word) != negated
    return None


def _is(found: Sequence[str], word: str) -> bool:
    return "vm" in found or "container" in found if ini.is_on(word) else found == ("none",) if ini.is_off(word) \
        else word in found


def _virtualization(tree: Tree) -> tuple[str, ...]:
    """Its names, "container" or "vm" among them; ("none",) for a physical machine, () where it is not known."""
    if not _line(tree, "/proc/cmdline"):
        return ()
    container = _line(tree, _CONTAINER)
    if container:
        return container, "container"
    said = [_line(tree, f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name", "bios_vendor")]
    names = next((names for text, names in _VENDORS if any(text in one for one in said)), None)
    if names:
        return *names, "vm"
    return ("none",) if said[0] and " hypervisor" not in _line(tree, "/proc/cpuinfo") else ()


def _line(tree: Tree, path: str) -> str:
    try:
        return (tree.read(path, 1 << 16) or b"").decode("utf-8", "replace").strip()
    except OSError:
        return ""
