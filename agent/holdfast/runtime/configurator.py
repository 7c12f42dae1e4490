"""What the core wants configured -> the kernel and the publisher of name servers.

The core itself asks again when Configure failed (its REAPPLY timer); what is retried here is what the
core does not wait for: removing what an ended lease left, and the name servers.
"""

from __future__ import annotations

from holdfast.network import KernelError
from holdfast.runtime.retry import Retry, nothing
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address

    from holdfast.core.lease import Lease
    from holdfast.eventloop.ports import Loop
    from holdfast.network.link import Link
    from holdfast.network.spec import NetworkSpec
    from holdfast.runtime.ports import Kernel, NetworkBackends, Reporter
    from holdfast.state.markers import YieldMarker


#: Leases that one after the other could not wholly be configured, and of which something may be left.
TRIED_MAX = 8


class Configurator:
    """Configures one link as the lease says. ``spec`` is what it has configured, None for nothing.

    While ``marker`` says that the interface is yielded, only an address that is there is kept alive. An address that
    was on the link before we leased it, without our mark, is an administrator's or another program's: it is left as it
    is, and the lease with it (rule 87), until it is not there any more.
    """

    def __init__(self, backends: NetworkBackends, loop: Loop, reporter: Reporter, marker: YieldMarker) -> None:
        self._backends, self._loop, self._reporter, self._marker = backends, loop, reporter, marker
        self.on_removed: Callable[[], None] = nothing  # called when a lease's address is to go and none follows
        self._kernel: Kernel | None = None
        self._link: Link | None = None
        self.spec: NetworkSpec | None = None
        self._tried: list[NetworkSpec] = []  # configured in part, it may be; the next one that succeeds clears up
        self._leftovers: list[NetworkSpec] = []
        self._mtu: int | None = None  # what we have set
        self._ours: tuple[IPv4Address, ...] = ()  # put on the link by us, or found there with a remembered lease
        self._removing = Retry(
            loop, self._remove_leftovers, 0.25, 5.0, errors=(KernelError, OSError), on_failure=self._on_not_removed,
            on_recovery=lambda: reporter.line_over("removal"),
        )
        self._publishing = Retry(
            loop, self._publish, 1.0, 60.0, on_failure=self._on_not_published, on_recovery=self._on_published_again
        )

    def attach(self, link: Link) -> None:
        """Configure ``link`` from now on. Nothing of ours is known to be on a link with another index."""
        former = self._link
        if former is None or former.ifindex != link.ifindex:
            self.detach()
        self._link = link
        if former is not None and former.name != link.name and self.spec is not None:
            self._publishing.attempt_after(0)

    def detach(self) -> None:
        """The link is gone, and all that was on it."""
        if self._link is not None and self.spec is not None:
            if self._mtu or self.spec.mtu is not None:
                self._backends.former_mtu.forget()
            self.spec = None
            self._publishing.attempt()
        self.close()

    def close(self) -> None:
        """Close the kernel's side; what is configured stays."""
        if self._kernel is not None:
            self._kernel.close()
        self._kernel = self._link = self.spec = None
        self._tried, self._leftovers, self._ours, self._mtu = [], [], (), None
        self._removing.cancel()
        self._publishing.cancel()

    def configure(self, lease: Lease, former: Lease | None) -> str | None:
        """Apply ``lease``; None when the kernel holds it, else the error for ApplyFailed."""
        desired = self._backends.spec(lease)
        before = self.spec
        if before is None and former is not None:
            before = self._backends.spec(former)
        if before is not None and before.address.ip not in self._ours:
            before = None if before.address.ip == self._backends.foreign.get() else before
        try:
            foreign = self._is_foreign(desired.address.ip)
        except (KernelError, OSError) as unread:
            return str(unread)
        if foreign:
            self._leave(desired, before)
            return None
        if self._marker.yielded:
            return self._refresh(desired)
        # A lease of an earlier process that is all there is carried on with without a single change (rule 47).
        error = self._apply(desired, before, keep=self.spec is None)
        if error is None:
            self._publishing.attempt_after(0)  # the packets and answers of this round come first
        return error

    def fall_back(self, spec: NetworkSpec) -> None:
        """Put an address of the operator's on the link, with our mark, where there is no lease: the next one replaces
        it. Raises KernelError or OSError."""
        if not self._is_foreign(spec.address.ip):
            self._need_kernel().apply(spec, None, self._loop.now())

    def adopt(self, address: IPv4Address) -> None:
        """``address``, on the link, is that of a remembered lease: it is ours, unless it is known not to be."""
        if address != self._backends.foreign.get():
            self._ours = (address,)

    def _is_foreign(self, address: IPv4Address) -> bool:
        """Whether ``address`` is on the link as somebody else's; from now on it is ours when it is not."""
        marker = self._backends.foreign
        if address in self._ours:
            return False
        if self._need_kernel().foreign(address):
            marker.set(address)
            return True
        if marker.get() == address:
            marker.set(None)
            self._reporter.line_over("foreign")
        self._ours = (*self._ours, address)[-TRIED_MAX:]
        return False

    def _leave(self, desired: NetworkSpec, former: NetworkSpec | None) -> None:
        """Touch nothing: the address is there, and is another's. What the former lease left goes."""
        self._reporter.line_once("foreign", 4, (
            f"{desired.address.ip}, which the server leases to us, is on the interface already, and not by this agent: "
            "it is left as it is, without the lease's lifetime and routes; remove it there, or have the server lease "
            "another"
        ))
        if former is not None and former.address.ip != desired.address.ip:
            self._leftovers = [*_without(self._leftovers, former), former]
        self.spec = desired._replace(routes=(), mtu=None)
        if self._leftovers:
            self._removing.attempt()
        self._publishing.attempt_after(0)

    def _refresh(self, desired: NetworkSpec) -> str | None:
        """The lifetimes of the address, if it is there; it would end with the former lease otherwise."""
        try:
            there = self._need_kernel().refresh(desired, self._loop.now())
        except (KernelError, OSError) as error:
            return str(error)
        self.spec = desired if there else None
        return None

    def _apply(self, desired: NetworkSpec, former: NetworkSpec | None, *, keep: bool) -> str | None:
        try:
            self._note_mtu(desired)
            refused = self._need_kernel().apply(desired, former, self._loop.now(), keep=keep)
            if desired.mtu not in (None, self._mtu) and self._need_kernel().present_mtu() == desired.mtu:
                self._mtu = desired.mtu
        except (KernelError, OSError) as error:
            self._tried = [*_without(self._tried, desired), desired][-TRIED_MAX:]
            return str(error)
        self.spec = desired
        self._leftovers = _without([*self._leftovers, *self._tried], desired)
        self._tried = []
        # Report what the server offered and we do not use once, not at every renewal.
        self._reporter.line_once("notices", 5, *desired.notices, *refused)
        if self._leftovers:
            self._removing.attempt()
        return None

    def _note_mtu(self, desired: NetworkSpec) -> None:
        """Remember the MTU that the link has before this lease changes it, unless an earlier process did."""
        former = self._backends.former_mtu
        if desired.mtu is not None and former.get() is None:
            present = self._need_kernel().present_mtu()
            if present != desired.mtu:
                former.keep(present)

    def _put_mtu_back(self, ended: NetworkSpec) -> None:
        """Restore the MTU at the end of the lease, unless another program has set one since."""
        former, ours = self._backends.former_mtu.get(), self._mtu or ended.mtu
        if ours is None or former is None or self._marker.yielded:
            return
        try:
            self._need_kernel().put_mtu_back(ours, former)
        except (KernelError, OSError) as error:
            self._reporter.line(4, f"{error}: the link keeps {ours}")
        self._mtu = None
        self._backends.former_mtu.forget()

    def _need_kernel(self) -> Kernel:
        if self._link is None:
            raise KernelError("the interface is gone")
        if self._kernel is None:
            self._kernel = self._backends.kernel(self._link.ifindex)
        return self._kernel

    def deconfigure(self, lease: Lease) -> None:
        """Remove what ``configure`` put there; retried until the kernel did. The kernel's own lifetime
        ends an expired address even when this fails (promise 3)."""
        if self._link is None:
            return  # it went with the link
        ended, foreign = self._backends.spec(lease), self._backends.foreign.get()
        gone = [ended, *_without(self._tried, ended)]
        if self.spec is not None and self.spec.address != ended.address:
            gone.append(self.spec)  # the one that could not yet be replaced
        self._leftovers += [spec for spec in gone if spec.address.ip != foreign]
        self.spec, self._tried = None, []
        self._removing.attempt()
        self._publishing.attempt_after(0)
        self.on_removed()

    def _remove_leftovers(self) -> None:
        """Remove what former leases left, in order. Raises KernelError or OSError for the first that stays."""
        while self._leftovers:
            ended = self._leftovers[0]
            if self.spec is None or self.spec.address.ip == self._backends.foreign.get():
                self._need_kernel().remove(ended, yielded=self._marker.yielded)
                self._put_mtu_back(ended)
            else:  # removing takes all that has our mark, and what is in use now has it too
                self._need_kernel().apply(self.spec, ended, self._loop.now())
            self._leftovers.pop(0)
            self._ours = tuple(address for address in self._ours if address != ended.address.ip)

    def _on_not_removed(self, error: Exception) -> None:
        text = f"{self._leftovers[0].address.ip} cannot be removed: {error}; trying again"
        self._reporter.line_once("removal", 3, text)

    def _publish(self) -> None:
        """Pass the name servers to the spooler. Raises OSError."""
        resolver = self._backends.resolver()
        if self._link is None or resolver is None:
            return
        if self.spec is not None:
            resolver.publish(self._link.name, self._link.ifindex, self.spec)
        else:
            resolver.withdraw(self._link.name, self._link.ifindex)

    def _on_not_published(self, error: Exception) -> None:
        path, why = getattr(error, "filename", None) or "the file", getattr(error, "strerror", None) or error
        text = f"{path} cannot be written: {why}; trying again: make room, or let the agent's user write there"
        self._reporter.line_once("name servers", 4, f"name servers: {text}")

    def _on_published_again(self) -> None:
        self._reporter.line_over("name servers")
        self._reporter.line(5, "name servers: the file is written again")


def _without(specs: list[NetworkSpec], wanted: NetworkSpec) -> list[NetworkSpec]:
    """``specs`` but those with the address that is ``wanted``."""
    return [spec for spec in specs if spec.address != wanted.address]
