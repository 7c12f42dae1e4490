"""The lease on stable storage: ``<folder>/<ifname>.lease.json``, written atomically, never trusted when read.

Beside it, in a file of its own that changes as good as never, is the client-id: should the lease's file be lost, cut,
or a newer version's, the server still knows us, and gives the same address (rule 89).
"""

from __future__ import annotations

import os
from math import inf

from holdfast.clock import Clock
from holdfast.state import BAD_LEASE, CLIENT_ID, LEASE
from holdfast.state import folder as folders
from holdfast.state.identity import BOOT_ID, Identity, read_line
from holdfast.wire.lean import suppress
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.lease import Binding, Lease
    from holdfast.state.lease_file import Stored



class LeaseStore:
    """One interface's lease file. ``say(priority, text)`` reports a file that is not used, and why."""

    def __init__(
        self,
        folder: str,
        ifname: str,
        identity: Identity,
        clock: Clock,
        say: Callable[[int, str], None],
        *,
        boot_id_path: str = BOOT_ID,
    ) -> None:
        self.path = os.path.join(folder, ifname + LEASE)
        self._identity = identity
        self._clock = clock
        self._say = say
        self._boot_id_path = boot_id_path
        self._made = False
        self._id_path = os.path.join(folder, ifname + CLIENT_ID)
        self._id_kept = b""  # the content of that file, as far as known
        self.foreign = False  # what was found is another machine's or another link's

    def load(self) -> Binding | None:
        """The stored binding, its lease's instants moved to this boot's clock, expired ones included; None when there
        is none of ours. Never raises: a file that cannot be used is reported, and set aside when it is not valid."""
        try:
            data = folders.read(self.path, folders.SIZE_LIMIT + 1)
        except FileNotFoundError:
            return None
        except folders.NotPlainError as error:
            self._set_aside(f"it {error.strerror}")
            return None
        except OSError as error:
            self._unreadable(error)
            return None
        from holdfast.state import lease_file  # noqa: PLC0415 - json only when there is a file

        try:
            stored = lease_file.parse(data)
        except lease_file.LeaseFileError as error:
            self._set_aside(str(error))
            return None
        difference = self._identity.differs_from(stored.identity)
        if difference is not None:
            self.foreign = True
            self._say(4, f"the lease of {stored.binding.lease.address} in {self.path} is not used: {difference}")
            self._forget_foreign(stored)
            return None
        return stored.binding._replace(lease=self._rebase(stored))

    def client_id(self) -> bytes | None:
        """The client-id of the last lease that was stored, empty for none; None when there is none of ours. Never
        raises."""
        if self.foreign:
            return None
        try:
            lines = folders.read(self._id_path, 1024).decode("ascii").split("\n")
            client_id, identity = bytes.fromhex(lines[0]), Identity(*lines[1:4])
        except (OSError, ValueError, TypeError):
            return None
        if self._identity.differs_from(identity) is not None:
            self.foreign = True
            return None
        return client_id

    def _keep_client_id(self, client_id: bytes) -> None:
        """Write the client-id unless it is there. OSError. Not durably, which would be waited for before the address is
        used: it counts where the lease's file is lost, and that is durable."""
        from holdfast.state import atomic  # noqa: PLC0415 - after the DISCOVER

        content = "\n".join((client_id.hex(), *self._identity, "")).encode()
        if not self._id_kept:
            with suppress(OSError):
                self._id_kept = folders.read(self._id_path, 1024)
        if content != self._id_kept:
            atomic.write(self._id_path, content, durable=False)
            self._id_kept = content

    def _unreadable(self, error: OSError) -> None:
        self._say(4, f"the lease file {self.path} cannot be read: {error.strerror}; asking for the address that is on "
                     "the link, or else for a new lease; let the agent's user read it, or remove it")

    def _forget_foreign(self, stored: Stored) -> None:
        """Remove the file of another link; when it is another machine's, remove all files of that machine."""
        from holdfast.state import inventory  # noqa: PLC0415 - when a disk was copied

        if self._identity.differs_as_machine(stored.identity) is None:
            for path in (self.path, self._id_path):
                with suppress(OSError):
                    folders.unlink(path)
            return
        gone = inventory.forget_former_machine(
            os.path.dirname(self.path), self._identity, read_line(self._boot_id_path)
        )
        if gone:
            self._say(4, inventory.removal_text(gone))

    def _rebase(self, stored: Stored) -> Lease:
        """The lease with this boot's instants (rule 44: on the same boot the wall clock is not asked)."""
        boot_id = read_line(self._boot_id_path)
        now = self._clock.boottime()
        if boot_id and boot_id == stored.boot_id and stored.saved_at <= now:
            return stored.binding.lease
        # How long ago the file was written, by the wall clock. One that is behind the file does not know: the lease may
        # have ended long ago, and is only a hint (rule 88).
        age = self._clock.wall() - stored.saved_wall
        shift = now - age - stored.saved_at
        lease = stored.binding.lease
        if age < 0.0 and not lease.infinite:
            self._say(4, f"the clock is {-age:.0f} s behind the lease file {self.path}, so nobody knows whether the "
                         f"lease of {lease.address} has ended: it is only asked for")
            return lease._replace(started_at=now - lease.lease_time, t1_at=now, t2_at=now, expires_at=now)
        return lease._replace(
            started_at=lease.started_at + shift,
            t1_at=_shifted(lease.t1_at, shift),
            t2_at=_shifted(lease.t2_at, shift),
            expires_at=_shifted(lease.expires_at, shift),
        )

    def _set_aside(self, why: str) -> None:
        # One bad file is kept for inspection; the next one replaces it, so the number is bounded.
        bad = self.path.removesuffix(LEASE) + BAD_LEASE
        try:
            folders.rename(self.path, os.path.basename(bad))
        except OSError as error:
            self._say(4, f"the lease file {self.path} is not usable ({why}), "
                         f"and cannot be set aside: {error.strerror}; asking for the address that is on the link, or "
                         "else for a new lease; remove the file")
        else:
            self._say(4, f"the lease file {self.path} is not usable ({why}); set aside as {bad}")

    def save(self, binding: Binding) -> None:
        """Write ``binding`` with the identity in use. OSError; the old file is whole then."""
        from holdfast.state import atomic, lease_file  # noqa: PLC0415 - after the DISCOVER

        self._make_folder()
        self._keep_client_id(binding.client_id)
        atomic.write(self.path, lease_file.render(lease_file.Stored(
            binding, self._identity,
            read_line(self._boot_id_path), self._clock.boottime(), self._clock.wall(),
        )))

    def forget(self) -> None:
        """Remove the file. OSError, unless it is not there."""
        with suppress(FileNotFoundError):
            folders.unlink(self.path, durable=True)

    def _make_folder(self) -> None:
        if not self._made:
            folders.make(os.path.dirname(self.path))
            self._made = True


def _shifted(instant: float, shift: float) -> float:
    return instant if instant == inf else instant + shift
