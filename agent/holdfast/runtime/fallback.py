"""A static address that the operator wants on the link when there has been no lease for some time (off by default).

It is put there with our mark, so that the next lease replaces it as it would replace a former one: new before old. It
is no lease: the client goes on asking, ``wait-online`` goes on waiting, and no name servers come with it.
"""

from __future__ import annotations

from holdfast.network import KernelError
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.eventloop.ports import Loop
    from holdfast.network.spec import NetworkSpec
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.ports import Reporter

#: Seconds until the kernel is asked again when it refused.
AGAIN = 30.0


class Fallback:
    """``wanted`` gives the address and the seconds to wait, None for none; ``free`` is True while the link is there,
    has neither lease nor remembered one in use, and is not yielded."""

    def __init__(
        self, loop: Loop, reporter: Reporter, configurator: Configurator,
        wanted: Callable[[], tuple[NetworkSpec, float] | None], free: Callable[[], bool],
    ) -> None:
        self._loop, self._reporter, self._configurator = loop, reporter, configurator
        self._wanted, self._free = wanted, free

    def begin(self) -> None:
        """There is no lease from now on."""
        wanted = self._wanted()
        if wanted is not None:
            self._loop.set_timer(self, self._loop.now() + wanted[1], self._use)

    def stop(self) -> None:
        """Put nothing on the link any more."""
        self._loop.set_timer(self, None, self._use)

    def _use(self) -> None:
        wanted = self._wanted()
        if wanted is None or not self._free():
            return
        spec, seconds = wanted
        try:
            self._configurator.fall_back(spec)
        except (KernelError, OSError) as error:
            self._reporter.line_once("fallback", 4, f"the fallback address {spec.address} cannot be used: {error}")
            self._loop.set_timer(self, self._loop.now() + AGAIN, self._use)
            return
        self._reporter.line_over("fallback")
        self._reporter.line(4, f"no lease within {seconds:g} s: the fallback address {spec.address} is used until "
                               "there is one")
