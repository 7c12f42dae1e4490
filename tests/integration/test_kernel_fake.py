"""The fake kernel keeps the real one's rules: the same operations at random, and the same outcome."""

from __future__ import annotations

import random
import socket
from contextlib import closing
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from holdfast.network import KernelError
from holdfast.network.kernel import Kernel
from holdfast.network.plan import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    MARK,
    Address,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Observed,
    Op,
    PutAddress,
)
from holdfast.network.spec import Route
from holdfast_lab.testbed.fake_kernel import FakeKernel
from holdfast_lab.testbed.netns import Namespace, connect

pytestmark = pytest.mark.root


def random_op(rng: random.Random) -> Op:
    """Few values, so that operations meet."""
    interface = IPv4Interface((f"10.0.{rng.randrange(2)}.{rng.randrange(1, 5)}", rng.choice([24, 24, 16, 32])))
    route = Route(
        IPv4Network(rng.choice(["0.0.0.0/0", "198.51.100.0/24", "10.0.1.9/32"])),
        rng.choice([None, None, IPv4Address("10.0.0.9"), IPv4Address("10.0.1.9")]),
        rng.choice([0, 100]), rng.choice([None, interface.ip]), rng.choice([4, 16]),
    )
    kind = rng.choice("aaaadrrx")
    if kind == "a":
        return PutAddress(Address(
            interface, flags=rng.choice([0, 0, IFA_F_NOPREFIXROUTE]), metric=rng.choice([0, 100]),
            mark=rng.choice([0, MARK]), valid=500.0, preferred=500.0,
        ))
    if kind == "d":
        return DeleteAddress(Address(interface))
    return AddRoute(route) if kind == "r" else DeleteRoute(route)


def outcome(kernel: Kernel | FakeKernel, op: Op) -> int | None:
    """The errno, None when it went well."""
    try:
        kernel.perform(op)
    except KernelError as error:
        return error.errno
    return None


def comparable(observed: Observed) -> tuple[dict[str, tuple[object, ...]], set[Route]]:
    """What both know: addresses by flags, metric and mark; routes."""
    keep = IFA_F_NOPREFIXROUTE | IFA_F_SECONDARY
    addresses = {str(a.interface): (a.flags & keep, a.metric, a.mark) for a in observed.addresses}
    return addresses, {route._replace() for route in observed.routes}


@pytest.mark.parametrize("promotes", [False, True])
def test_the_same_operations_have_the_same_outcome(promotes: bool) -> None:
    with Namespace("client") as client, Namespace("peer") as peer:
        connect(client, "eth0", peer, "eth0")
        client.sysctl("net/ipv4/conf/eth0/promote_secondaries", int(promotes))
        with closing(client.run(lambda: Kernel(socket.if_nametoindex("eth0")))) as real:
            for seed in range(40):
                client.output(["ip", "-4", "addr", "flush", "dev", "eth0"])
                client.output(["ip", "-4", "route", "flush", "dev", "eth0"])
                rng, fake, story = random.Random(seed), FakeKernel(promotes=promotes), []
                for _ in range(10):
                    op = random_op(rng)
                    story.append(op)
                    codes = outcome(real, op), outcome(fake, op)
                    assert codes[0] == codes[1], (seed, story, codes, real.observe())
                    assert comparable(real.observe()) == comparable(fake.observe()), (seed, story)
