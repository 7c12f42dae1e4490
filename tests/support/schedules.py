"""A client on one network, and everything that can happen to it: faults by name, for schedules that chance makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.simulation import GATEWAYS, NEW_GATEWAY, OTHER_SERVER, POOL, SERVER, Host, World

from holdfast.core import events as ev
from holdfast_lab.simulate.server import Pool, Server
from holdfast_lab.simulate.world import Direction


def _sleep(world: World, host: Host, amount: float) -> None:
    if host.client is not None and host.state != "STOPPED":
        world.sleep(amount * 3.0 * world.server.lease_time, timers_first=amount < 0.5)


def _crash(world: World, host: Host, amount: float) -> None:
    host.crash()
    world.run(amount * world.server.lease_time)


def _stop(world: World, host: Host, amount: float) -> None:
    host.feed(ev.Stop())
    world.run(5.0 * amount)
    host.crash()


def _release(world: World, host: Host, amount: float) -> None:
    host.feed(ev.Release())
    world.run(amount)
    host.feed(ev.Renew())


def _noise(world: World, host: Host, amount: float) -> None:
    for way in (world.up, world.down):
        way.loss, way.duplicate, way.damage = 0.7 * amount, 0.5 * amount, 0.2 * amount


def _delay(world: World, host: Host, amount: float) -> None:
    world.up.delay = world.down.delay = (0.001, 0.001 + 8.0 * amount**3)


def _claim(world: World, host: Host, amount: float) -> None:
    if host.watched:
        host.claim(host.watched[-1])


def _flip(name: str) -> Callable[[World, Host, float], None]:
    """Turn one bad habit of one server on or off."""

    def flip(world: World, host: Host, amount: float) -> None:
        server = world.servers[int(amount * (len(world.servers) - 0.01))]
        setattr(server, name, not getattr(server, name))

    return flip


def heal(world: World, host: Host, amount: float = 0.0) -> None:
    """All is well again."""
    world.up, world.down, world.squatters, world.gateways = Direction(), Direction(), set(), dict(GATEWAYS)
    host.kernel.fault, host.send_fails, host.crash_after = "", False, None
    host.set_carrier(True)
    for server in world.servers:
        server.silent = server.moves = server.refuses = server.jealous = server.ipv6_only = False
        server.authoritative = True
        server.leases.declined.clear()


#: Each takes the world, the host and an amount in 0..1.
FAULTS: dict[str, Callable[[World, Host, float], object]] = {
    "noise": _noise,
    "delay": _delay,
    "server silent": _flip("silent"),
    "server deaf to unicast": _flip("deaf"),
    "server hears 0.0.0.0 only": _flip("only_any"),
    "server moves us": _flip("moves"),
    "server refuses": _flip("refuses"),
    "server adopts strangers": _flip("adopts"),
    "server without a name": _flip("nameless"),
    "server wants IPv6 only": _flip("ipv6_only"),
    "gateway gone": lambda world, host, amount: world.gateways.clear(),
    "gateway replaced": lambda world, host, amount: world.gateways.update(dict.fromkeys(GATEWAYS, NEW_GATEWAY)),
    "gateway back": lambda world, host, amount: world.gateways.update(GATEWAYS),
    "restored": lambda world, host, amount: host.restore(),
    "server forgets": lambda world, host, amount: world.server.leases.forget(),
    "carrier": lambda world, host, amount: host.set_carrier(not host.carrier),
    "sleep": _sleep,
    "clock jump": lambda world, host, amount: host.feed(ev.TimeJumped(3e7 * amount, "clock step")),
    "kill": _crash,
    "kill in the middle": lambda world, host, amount: setattr(host, "crash_after", int(8 * amount)),
    "stop": _stop,
    "kernel refuses": lambda world, host, amount: setattr(host.kernel, "fault", "refuse"),
    "kernel does half": lambda world, host, amount: setattr(host.kernel, "fault", "half"),
    "sending fails": lambda world, host, amount: setattr(host, "send_fails", not host.send_fails),
    "address deleted": lambda world, host, amount: host.delete_address(),
    "renew": lambda world, host, amount: host.feed(ev.Renew()),
    "rebind": lambda world, host, amount: host.feed(ev.Rebind()),
    "release": _release,
    "claim": _claim,
    "squatter": lambda world, host, amount: world.squatters.update(POOL[: int(3 * amount)]),
    "all well": heal,
    "nothing": lambda world, host, amount: None,
}

def build(
    network: dict[str, Any], client: dict[str, Any], kind: Callable[[int, list[Server[Pool]]], World] | None = None
) -> tuple[World, Host]:
    """The world (made by ``kind``) that ``network`` and ``client`` describe."""
    time = network["lease_time"]
    servers = [Server(SERVER, Pool(list(POOL)), time, rapid=True)]
    if network["second"] == "deaf":  # nova-network: another server of the same network, for other clients
        servers.append(Server(OTHER_SERVER, Pool([]), time, authoritative=False))
    elif network["second"] == "jealous":
        servers.append(Server(OTHER_SERVER, Pool([a + 50 for a in POOL]), time, jealous=True))
    world = kind(network["seed"], servers) if kind else World(network["seed"], servers=servers)
    world.lateness, world.icmp = network["lateness"], network["icmp"]
    host = world.add_host(**client)
    host.carrier = network["carrier"]
    return world, host


def is_well(world: World, host: Host) -> bool:
    """The client uses a lease and the kernel holds its address and no other of ours."""
    return host.lease is not None and host.state != "STOPPED" and set(host.kernel.ends) == {host.lease.address}
