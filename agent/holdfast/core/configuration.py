"""What a renewal changes of the configuration in use: other values do, missing options do not (rule 81).

Some servers answer a renewal with the message type, the server identifier and the lease time alone, and one forged ACK
without a mask would make a /24 a /8 and take the default route along. So what is in use stays, unless the ACK says
something else. It ends with the binding: another address brings its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.core.arp import default_gateway
from holdfast.core.lease import Lease
from holdfast.wire import options as opt
from holdfast.wire.message import MAXIMUM_SIZE

#: RFC 3442: the first of these that is there makes the later ones void.
_ROUTES = (opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS, opt.STATIC_ROUTE, opt.ROUTER)


def kept_options(former: Lease, granted: Lease) -> Mapping[int, bytes]:
    """The options of ``granted``, which renews ``former``, with those of ``former`` that it does not have, or that are
    void in it. Of what is not acted on no more is kept than one message can hold, so that no server makes it grow."""
    said = granted.options
    options, room = dict(said), MAXIMUM_SIZE
    superseded = _superseded(former, granted)
    for code, value in former.options.items():
        if code in opt.OF_ONE_MESSAGE or code in superseded or opt.says_something(code, said):
            continue
        if not opt.acted_on(code):
            room -= len(value)
            if room < 0:
                continue
        options[code] = value
    return options


def _superseded(former: Lease, granted: Lease) -> set[int]:
    """The options of ``former`` that cannot hold beside what ``granted`` says otherwise: routes of a higher rank than
    other routes, and the broadcast address of another mask."""
    codes: set[int] = set()
    said, known = granted.options, former.options
    if said.get(opt.SUBNET_MASK) != known.get(opt.SUBNET_MASK) and opt.says_something(opt.SUBNET_MASK, said):
        codes.add(opt.BROADCAST_ADDRESS)
    for rank, code in enumerate(_ROUTES):
        if not opt.says_something(code, said) or said[code] == known.get(code):
            continue
        if code != opt.ROUTER or default_gateway(granted) != default_gateway(former):
            codes.update(_ROUTES[:rank] if code != opt.ROUTER else _ROUTES[:2])
    return codes
