"""Which machine and link a stored lease belongs to: a copied disk must not bring a lease with it."""

from __future__ import annotations

import os

from holdfast.wire.record import NamedTuple

#: Where the kernel and systemd name the machine. The product UUID is a VM's own (root may read it).
MACHINE_ID = "/etc/machine-id"
PRODUCT_UUID = "/sys/class/dmi/id/product_uuid"
#: What systemd hands a daemon that is not root: a file of this name in CREDENTIALS_DIRECTORY (systemd.exec(5)).
UUID_CREDENTIAL = "product_uuid"
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Identity(NamedTuple):
    """``machine_id`` and ``product_uuid`` are "" where there is none; ``mac`` is the link's, as now."""

    machine_id: str
    product_uuid: str
    mac: str

    def differs_from(self, stored: Identity) -> str | None:
        """What differs, for people, or None. What either side does not know is not compared."""
        if self.mac != stored.mac:
            return f"the hardware address was {stored.mac or 'unknown'}"
        return self.differs_as_machine(stored)

    def differs_as_machine(self, stored: Identity) -> str | None:
        """As ``differs_from``, but for the link: a disk that was copied, or an image."""
        for name, mine, theirs in (
            ("machine-id", self.machine_id, stored.machine_id),
            ("product UUID", self.product_uuid, stored.product_uuid),
        ):
            if mine and theirs and mine != theirs:
                return f"the {name} is another"
        return None


def read_identity(mac: bytes, *, machine_id: str = MACHINE_ID, product_uuid: str = PRODUCT_UUID) -> Identity:
    """The identity of this machine and of the link with hardware address ``mac``."""
    uuid = read_line(product_uuid) or _handed_over()
    known = read_line(machine_id)
    # machine-id(5): what an image has until its first boot.
    return Identity("" if known == "uninitialized" else known, uuid.lower(), mac.hex(":"))


def _handed_over() -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return read_line(os.path.join(folder, UUID_CREDENTIAL)) if folder else ""


def read_line(path: str) -> str:
    """The first 128 bytes of a small file as a stripped text; "" when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return os.read(fd, 128).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(fd)
