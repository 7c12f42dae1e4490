"""``holdfast status``: state, lease and counters of each interface, from the running agents."""

from __future__ import annotations

import time
from typing import Any, Iterator, Mapping

import click

from holdfast.cli import guarded
from holdfast.cli.asking import agents, ask, call, waiting_agent
from holdfast.cli.exits import NO_AGENT, CliError
from holdfast.cli.options import config_option, folders_of, interface_argument, json_option
from holdfast.cli.outcome import in_words
from holdfast.cli.output import echo, echo_json
from holdfast.cli.times import local_time
from holdfast.observe.words import duration, latency
from holdfast.settings.model import Settings

Facts = Mapping[str, Any]


@click.command("status", short_help="Show state, address, times, last outcome and counters.")
@interface_argument(required=False)
@json_option
@config_option
def command(interface: str | None, as_json: bool, config: str | None) -> None:
    """Show state, address, server, times, last outcome and counters of IFACE, or of every interface; and
    what guard knows of the interfaces that it stands beside."""
    settings = folders_of(config)
    guards = guarded.guarded(settings, interface)
    if interface is None:
        clients = _all(settings)
    else:
        clients = ask(settings, interface, "Status")["clients"] if not guards or interface in agents(settings) else []
    waits = None if clients else waiting_agent(settings)
    if not clients and not guards and waits is None:
        raise CliError(NO_AGENT, "no agent is running; start one with `holdfast run IFACE`")
    if as_json:
        echo_json([*clients, *guards])
    elif not clients and waits is not None:
        echo(f"no interface is served: {waits}")
    for number, text in enumerate([] if as_json else [*map(_lines, clients), *map(guarded.lines, guards)]):
        for line in ([""] if number else []) + list(text):
            echo(line)


def _all(settings: Settings) -> list[Facts]:
    clients: list[Facts] = []
    for name, path in agents(settings).items():
        answer = call(path, "Status", {"interface": name})
        clients += answer["clients"] if answer else []  # a socket that a crash left behind
    return clients


def _lines(client: Facts) -> Iterator[str]:
    yield f"{client['interface']}: {_headline(client)}"
    rows = [*_lease_rows(client), *_network_rows(client["network"]), *_record_rows(client)]
    width = max((len(label) for label, _ in rows), default=0)
    yield from (f"  {label:<{width}}  {text}" for label, text in rows)


def _headline(client: Facts) -> str:
    state, lease, network = client["state"], client["lease"], client["network"]
    if not client["present"]:
        state += ", the interface is not there"
    if client["yielded"]:
        state += " (yielded)"
    if lease is None:
        return f"{state}, no address"
    address = network["address"] if network else lease["address"]
    server = f" from {lease['server']}" if lease["server"] else ""
    held = ", held beyond its lease" if lease["held_until"] else ""
    return f"{state}, {address}{server}" + (held if held or lease["verified"] else ", not yet verified")


def _lease_rows(client: Facts) -> Iterator[tuple[str, str]]:
    lease = client["lease"]
    if lease is None:
        return
    endless = lease["duration"] is None
    yield "lease", ("for ever" if endless else duration(lease["duration"])) + f", since {_instant(lease['started'])}"
    for label, key in (("T1", "renewal"), ("T2", "rebinding"), ("expiry", "expiry")):
        yield label, "never" if lease[key] is None else _instant(lease[key])
    if lease["held_until"] is not None:
        yield "held", f"as long as the gateway answers; now until {_instant(lease['held_until'])}"
    if client["gateway"] is not None:
        yield "gateway", client["gateway"]
    trip = "" if client["round_trip"] is None else f"; round trip {latency(client['round_trip'])}"
    yield "unicast", _unicast(client) + trip


def _unicast(client: Facts) -> str:
    if not client["lease"]["server"]:
        return "not possible: the server gave no identifier; renewed by broadcast"
    return {True: "heard by the server", False: "not heard by the server; renewed by broadcast",
            None: "not known before the first renewal"}[client["hears_unicast"]]


def _network_rows(network: Facts | None) -> Iterator[tuple[str, str]]:
    if network is None:
        return
    yield "routes", ", ".join(network["routes"]) or "none"
    search = f" (search {' '.join(network['search'])})" if network["search"] else ""
    yield "DNS", (", ".join(network["dns"]) or "none") + search
    for label, key in (("MTU", "mtu"), ("portal", "captive_portal")):
        if network[key] is not None:
            yield label, str(network[key])
    yield from (("note", notice) for notice in network["notices"])


def _record_rows(client: Facts) -> Iterator[tuple[str, str]]:
    if client["yielded"]:
        yield "yielded", f"nothing is put back on the interface until `holdfast yield --back {client['interface']}`"
    if client["rival"] is not None:
        yield "fight", f"another program removes what is put on the interface: {client['rival']}"
    last = client["last_outcome"]
    if last is not None:
        yield "last", f"{in_words(last)} ({local_time(last['time'])})"
    drops = client["drops"]
    yield "dropped", ", ".join(f"{count} {reason}" for reason, count in sorted(drops.items())) or "nothing"


def _instant(instant: Facts) -> str:
    seconds = instant["seconds"]
    distance = f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"
    # Seconds from now is what the agent knows for sure; the wall clock may have been set since.
    return f"{local_time(time.time() + seconds)}, {distance}"
