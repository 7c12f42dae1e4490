"""Checks of a running guest: which client serves its links now, what the network does, and which client serves after
the next boot."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, NamedTuple

from holdfast.control import client as control
from holdfast.doctor import guest, installed
from holdfast.doctor.capture import Capture, capture, check_requests, check_vlan
from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.doctor.image import next_boot
from holdfast.doctor.link import check_client
from holdfast.doctor.other_clients import Other, others_on
from holdfast.doctor.rivals import claimants
from holdfast.managers.formats.tree import Tree
from holdfast.network import LinkError
from holdfast.network import link as links
from holdfast.observe.outcomes import boot_id, read_history
from holdfast.settings.dirs import search_runtime_dirs, search_state_dirs
from holdfast.settings.model import Settings

Client = Mapping[str, Any]

#: Seconds that a link without a lease is listened to.
LISTENING = 2.0
#: Seconds after which an agent is said not to answer; one that runs tells its status at once.
ANSWERED = 10.0


class Wanted(NamedTuple):
    """What to check: ``names`` of links, all when empty; with packets of our own (``probe``), DISCOVER included."""

    names: tuple[str, ...] = ()
    probe: bool = False
    discover: bool = False


#: All links, without a packet of our own.
EVERYTHING = Wanted()


def check(settings: Settings, wanted: Wanted = EVERYTHING) -> Iterator[Finding]:
    """This machine, whose agents run with ``settings``. Raises OSError, FormatError, and NotPermittedError for an agent
    that does not answer this user."""
    tree = Tree("/")
    try:
        agents = _agents(settings)
        clients, ours, silent = agents
        chosen = {name: clients[name] for name in sorted(clients) if not wanted.names or name in wanted.names}
        for client in chosen.values():
            yield from _check_link(settings, client, ours, wanted)
        for name in sorted(name for name in silent if not wanted.names or name in wanted.names):
            yield silent[name]
            yield from _check_unanswered(settings, name, ours, wanted)
        for name in [name for name in wanted.names if name not in agents.served]:
            yield from _unserved(tree, name, ours)
            yield from _probe(settings, _no_client(name), wanted)
        configured = installed.served(tree)
        if not agents.served and not wanted.names and not configured:
            yield from (found for name in _ethernet_links() for found in _unserved(tree, name, ours))
        if not wanted.names:
            yield from check_missing(configured, agents.served)
        yield from guest.check_routes(guest.routes(), {_table(settings, name) for name in agents.served})
        for folder in search_state_dirs(settings.state_dir):
            yield from guest.check_disk(folder)
        if agents.served or configured:
            yield from next_boot(tree, booted=True)
    finally:
        tree.close()


class Agents(NamedTuple):
    """What the agents of this machine say."""

    clients: dict[str, Client]
    """Interface -> its status."""
    pids: set[int]
    silent: dict[str, Finding]
    """Interface whose agent is there and gives no answer -> what is known of it."""

    @property
    def served(self) -> set[str]:
        """The interfaces of all agents, with and without an answer."""
        return {*self.clients, *self.silent}


def _agents(settings: Settings) -> Agents:
    """Ask all agents at once, so that one that hangs is waited for once, however many interfaces it has."""
    found = Agents({}, set(), {})
    with ExitStack() as stack:
        calls: dict[str, control.Call] = {}
        for name, path in control.sockets(search_runtime_dirs(settings.runtime_dir)).items():
            with _answering(found, name):
                calls[name] = stack.enter_context(control.Call(path, "Status", {"interface": name}, timeout=ANSWERED))
        for name, call in calls.items():
            with _answering(found, name):
                answer = call.answer()
                found.pids.add(answer["pid"])
                found.clients.update({client["interface"]: client for client in answer["clients"]})
    return found


@contextmanager
def _answering(found: Agents, name: str) -> Iterator[None]:
    """An agent that is there and gives no answer becomes one of ``found.silent``; one that is not there is left out."""
    try:
        yield
    except control.NoAgentError:
        pass  # a socket that a crash left behind
    except control.NotPermittedError:
        raise
    except control.TimedOutError as error:
        found.silent[name] = _silent(name, error)
        if error.pid is not None:
            found.pids.add(error.pid)
    except control.ControlError as error:
        found.silent[name] = Finding("agent", BAD, f"the agent of {name} gives no proper answer",
                                     "try again; if it stays so, start the agent again", (str(error),), name)


def _silent(name: str, error: control.TimedOutError, proc: str = "/proc") -> Finding:
    """The agent of a link does not answer: what its process does, and how to go on."""
    evidence, todo = [str(error)], "start the agent again: the address stays on the link while its lease is valid"
    if error.pid is not None:
        state = _process_state(error.pid, proc)
        if state is not None:
            evidence.append(f"process {error.pid} is in state {state}")
        todo = (f"`kill -CONT {error.pid}`: it was stopped by a signal or a debugger" if state and state[0] in "Tt" else
                f"`kill -KILL {error.pid}`, and start it again, unless systemd does: the address stays on the link "
                "while its lease is valid")
    who = "" if error.pid is None else f" (pid {error.pid})"
    return Finding("agent", BAD, f"the agent of {name}{who} does not answer", todo, tuple(evidence), name)


def _process_state(pid: int, proc: str) -> str | None:
    """As proc(5) has it, such as "T (stopped)"; None when the process is gone or hidden."""
    with suppress(OSError), open(f"{proc}/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("State:"):
                return line.removeprefix("State:").strip()
    return None


def _check_unanswered(settings: Settings, name: str, ours: set[int], wanted: Wanted) -> Iterator[Finding]:
    """What can be found of a link without its agent's word."""
    client = _no_client(name)
    yield from check_alone(client, ours)
    yield from _check_history(settings, name)
    yield from _probe(settings, client, wanted)


def _check_link(settings: Settings, client: Client, ours: set[int], wanted: Wanted) -> Iterator[Finding]:
    """One served link: what its agent says, other programs, the history, and the wire where that is of use."""
    name, lease = client["interface"], client["lease"] or {}
    yield from check_client(client)
    yield from check_alone(client, ours)
    yield from guest.check_off_link(name, lease.get("server"), guest.routes(), _table(settings, name))
    yield from _check_history(settings, name)
    if wanted.probe:
        yield from _probe(settings, client, wanted)
    elif client["present"] and client["carrier"] and client["lease"] is None:
        with suppress(PermissionError):
            yield from _listen(settings, client)


def _table(settings: Settings, name: str) -> int:
    return guest.table_of(name, settings.interface(name).route_table)


def _check_history(settings: Settings, name: str) -> Iterator[Finding]:
    for folder in search_state_dirs(settings.state_dir):
        with suppress(OSError):  # said by the check of the folder
            records = read_history(folder, name, limit=guest.LATEST)
            offset = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            yield from guest.check_history(name, records, offset, boot_id())


def check_alone(client: Client, ours: set[int], proc: str = "/proc") -> Iterator[Finding]:
    """Check that no other process is a DHCP client on the link."""
    name = client["interface"]
    others = others_on(name, (client["lease"] or {}).get("address"), ours, proc)
    for other in others:
        if other.certain:
            yield Finding("second-client", BAD, f"a second DHCP client serves {name}: {other.program}",
                          "stop it, and make sure that nothing starts it again", (f"it {other.why}",), name)
        else:
            yield Finding("second-client", NOTE, f"{other.program} may be a DHCP client on {name}",
                          "nothing, if it only watches, or serves another link; --probe shows whether it sends here",
                          (f"it {other.why}",), name)
    if not others:
        yield Finding("second-client", OK, f"no other DHCP client serves {name}", "", (), name)


# -- the wire --------------------------------------------------------------------------------------


def _listen(settings: Settings, client: Client) -> Iterator[Finding]:
    seen = capture(client["interface"], LISTENING)
    yield from _heard(settings, client, seen, 0)


def _heard(settings: Settings, client: Client, seen: Capture, ours: int) -> Iterator[Finding]:
    """What the capture shows; ``ours`` are DHCP messages of this check."""
    name = client["interface"]
    if not client["tagged"]:  # else said by its agent
        yield from check_vlan(name, seen)
    now = _agents(settings).clients.get(name) if "exchange" in client else None
    if now is not None:
        yield from check_requests(name, seen, ours + _sent_between(client, now))


def _sent_between(former: Client, latter: Client) -> int:
    """How many messages the agent may have sent between two looks: more than it says when an outcome came between."""
    before, after = (sum(one["exchange"]["sent"].values()) for one in (former, latter))
    same = former["last_outcome"] == latter["last_outcome"]
    return after - before if same and after >= before else 1000


def _probe(settings: Settings, client: Client, wanted: Wanted) -> Iterator[Finding]:
    """Packets of our own."""
    if not wanted.probe:
        return
    from holdfast.doctor.probe import Probe, Subject  # noqa: PLC0415 - only when wanted

    name, lease, network = client["interface"], client["lease"] or {}, client["network"] or {}
    try:
        link = links.ethernet(name)
    except LinkError as error:
        yield Finding("probe", BAD, f"{name} cannot be probed: {error.strerror or error}", "", (), name)
        return
    address = lease.get("address") or next((str(IPv4Address(one)) for one in links.addresses(name)), None)
    server = lease.get("server")
    table = _table(settings, name)
    gateway = next((route.gateway for route in guest.routes() if (route.ifname, route.table) == (name, table)
                    and not route.mask and int(route.gateway)), None)
    try:
        subject = Subject(link, IPv4Address(address) if address else None, IPv4Address(server) if server else None,
                          gateway, IPv4Interface(network["address"]).network if network else None)
    except ValueError as error:
        yield Finding("probe", BAD, f"the agent of {name} gave no proper address: {error}", "", (), name)
        return
    probe = Probe(subject)
    try:
        seen, findings = probe.run(discover=wanted.discover)
    except OSError as error:
        yield Finding("probe", BAD, f"{name} cannot be probed: {error.strerror}", "", (), name)
        return
    yield from findings
    yield from _heard(settings, client, seen, probe.sent)


def _no_client(name: str) -> Client:
    """A link that no agent serves or answers for, as far as the checks ask."""
    return {"interface": name, "lease": None, "network": None, "tagged": 0}


# -- links that no agent serves --------------------------------------------------------------------


def _ethernet_links() -> list[str]:
    """The network cards of this machine, or, where it has none of its own (a container), all its Ethernet links."""
    found = []
    for _, name in socket.if_nameindex():
        with suppress(LinkError):
            if not os.path.isdir(f"/sys/class/net/{name}/bridge"):
                found.append(links.ethernet(name).name)
    cards = [name for name in found if os.path.exists(f"/sys/class/net/{name}/device")]
    return cards or found


def _unserved(tree: Tree, name: str, ours: set[int]) -> Iterator[Finding]:
    """Who serves a link, and what can be done."""
    try:
        link = links.ethernet(name)
    except LinkError as error:
        yield Finding("agent", BAD, f"{name}: {error.strerror or error}", "", (), name)
        return
    if not link.carrier:
        yield Finding("carrier", NOTE, f"{name} has no carrier: the cable is out, or the switch's port is down",
                      "connect it", (), name)
    held = links.addresses(name)
    others = [other for one in (held or [b""]) for other in others_on(
        name, str(IPv4Address(one)) if one else None, ours) if other.certain or "packet socket" not in other.why]
    by_files = claimants(tree, name)
    text = _client_text(others, by_files)
    if text is None:
        yield Finding("agent", NOTE, f"no DHCP client serves {name}", f"holdfast run {name} gets a lease and keeps it",
                      (), name)
        return
    yield Finding("agent", NOTE, f"{text[0]} serves {name}{text[1]}",
                  f"`holdfast takeover {name}` takes it over, `holdfast guard {name}` stands beside it",
                  tuple(f"{other.program} {other.why}" for other in dict.fromkeys(others)), name)


def _client_text(others: Sequence[Other], by_files: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Who serves the link, and by which file: the manager that its files name, else the program that was found."""
    if by_files:
        return by_files[0][0], f" ({by_files[0][1]})"
    return (others[0].program, "") if others else None


def check_missing(names: list[str], served: set[str]) -> Iterator[Finding]:
    """Links that an enabled unit should serve and no agent serves."""
    present = {name for _, name in socket.if_nameindex()}
    names_only = {name for name in names if not set("*?[") & set(name)}
    for pattern in names:
        if not any(fnmatchcase(link, pattern) for link in served):
            if any(fnmatchcase(link, pattern) for link in present):
                yield Finding("agent", BAD, f"no agent serves {pattern}", "systemctl status 'holdfast*'")
            elif pattern in names_only:
                yield Finding("agent", NOTE, f"no agent serves {pattern}, and there is no such link now")


