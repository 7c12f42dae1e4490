"""One served link: what its agent has seen of the network, as findings with the culprit's address.

Pure: a Client of control/io.holdfast.varlink goes in. The order is that of looking: this machine, the link, the
servers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.observe.words import counted, duration, exchange_text

Client = Mapping[str, Any]

#: A lease with less than this share left should have been renewed before: T2 is at 0.875 of it.
LATE = 0.1
#: Messages without an answer after which a server counts as silent, and different addresses of one server that are odd.
SILENT, ODD = 3, 3
#: Seconds after which a notice or claim is history.
RECENT = 3600.0
#: Topics of the agent's problems -> verdict and what to do.
_PROBLEMS = {
    "port 68": ("port-68", NOTE, "stop that program; renewals work meanwhile"),
    "lease file": ("disk", BAD, "make room on the disk, or let the agent's user write there"),
    "history": ("disk", BAD, "make room on the disk, or let the agent's user write there"),
    "link": ("agent", BAD, "correct the link; it is tried again"),
    "ARP": ("arp", NOTE, "give the agent CAP_NET_RAW, as its unit does"),
}


def check_client(client: Client) -> Iterator[Finding]:
    """What the agent of one link says of it."""
    found = partial(Finding, interface=client["interface"])
    if not client["present"]:
        yield found("agent", BAD, "the interface does not exist", "the agent waits for it")
        return
    yield from _machine(client)
    if not client["carrier"]:
        lease = client["lease"]
        kept = (f"{lease['address']} stays, with its lease",) if lease else ()
        yield found("carrier", BAD, "no carrier: the cable is out, or the switch's port is down",
                    "connect it; the lease is checked as soon as the carrier is back", kept)
    elif client["lease"] is None:
        yield _without_lease(client)
    else:
        yield from _with_lease(client)
    yield from _servers(client)
    yield from _claims(client)
    yield from _ignored(client)


# -- this machine ----------------------------------------------------------------------------------


def _machine(client: Client) -> Iterator[Finding]:
    found = partial(Finding, interface=client["interface"])
    for topic, text in sorted(client["problems"].items()):
        check, status, todo = _PROBLEMS.get(topic, ("agent", NOTE, ""))
        yield found(check, status, text, todo)
    failed = _notice(client, "send-failed")
    if failed is not None and _denied(failed["text"]):
        via = failed["text"].partition(":")[0]
        yield found("firewall", NOTE if via == "unicast" else BAD,
                    f"this machine's own firewall drops what is sent by {via}",
                    "let UDP from port 68 to port 67 out (nft list ruleset; iptables -S OUTPUT)",
                    (_seen(failed, "send failed"),))
    if client["filtered"]:
        yield found("firewall", NOTE, "this machine's own firewall (or rp_filter) drops the servers' answers",
                    "let UDP from port 67 to port 68 in; renewals work meanwhile, by the packet socket",
                    (f"{counted(client['filtered'], 'answer')} seen on the packet socket, and not on UDP port 68",))
    restored = _notice(client, "address-restored")
    if client["rival"] is not None:
        yield found("removals", BAD, f"another program removes what the lease puts on the link: {client['rival']}",
                    f"stop it, or leave the link to it: holdfast yield {client['interface']}",
                    () if restored is None else (_seen(restored),))
    elif restored is not None:
        yield found("removals", BAD, "another program deletes our address",
                    "find it: the second DHCP clients below, scripts, `ip monitor address`", (_seen(restored),))


def _denied(text: str) -> bool:
    """EPERM is netfilter's on the way out of UDP; ENOBUFS that of a drop after it (nft netdev egress, tc), or a full
    queue, which lasts no longer than a moment."""
    return "EPERM" in text or "ENOBUFS" in text


# -- without a lease -------------------------------------------------------------------------------


def _without_lease(client: Client) -> Finding:
    """Why there is none: one cause."""
    found = partial(Finding, interface=client["interface"])
    name, state, exchange = client["interface"], client["state"], client["exchange"]
    sent, heard, last = exchange["sent"], exchange["heard"], client["last_outcome"]
    facts = (activity(client),)
    if state == "STOPPED":
        return found("lease", NOTE, "the lease was released", f"holdfast renew {name} asks for a new one")
    if last is not None and last["result"] == "ipv6-only":
        return found("lease", NOTE, "the network asks to do without IPv4 (option 108)", "", (str(last["server"]),))
    if "NAK" in heard or (last is not None and last["result"] == "refused" and not heard):
        server = _who(client, "NAK") or (last or {}).get("server") or "a server"
        return found("refused", BAD, f"the DHCP server {server} refuses every request (NAK)",
                     "see in its log why: a lease that it lost, a client that it does not know", facts)
    if last is not None and last["result"] == "conflict" and not heard:
        return found("conflict", BAD, f"the offered address is in use by another machine: {last['cause']}",
                     "find the machine with that hardware address, or have the server lease another one", facts)
    if "OFFER" in heard:
        server = _who(client, "OFFER") or "a server"
        return found("refused", BAD, f"the DHCP server {server} offers and does not grant", "see in its log why", facts)
    if client["tagged"]:
        return found("vlan", BAD, "only frames with a VLAN tag arrive: the link is in another VLAN than this machine",
                     f"make the switch's port an access port, or serve a VLAN link such as {name}.N",
                     (*facts, f"{counted(client['tagged'], 'tagged DHCP packet')} ignored"))
    if client["drops"]:
        return found("ignored", BAD, "answers arrive and none can be used", "correct the server",
                     (*facts, f"ignored: {_counts(client['drops'])}"))
    if sum(sent.values()) < SILENT:
        return found("lease", NOTE, f"{state}, no address yet", "", facts)
    return found("no-server", BAD, "no DHCP server answers",
                 "check the cable, the network (VLAN, port group) and its DHCP server", facts)


def activity(client: Client) -> str:
    """What is going on now: ``5 DISCOVERs sent in 31 s, nobody answered, next in 16 s``."""
    exchange = client["exchange"]
    if exchange["since"] is None:
        return f"{client['state']}, nothing sent yet" if client["lease"] is None else "nothing is under way"
    text, upcoming = exchange_text(exchange["sent"], exchange["heard"], -exchange["since"]["seconds"]), exchange["next"]
    if upcoming is not None and client["carrier"]:
        text += f", next in {duration(max(upcoming['seconds'], 0.0))}"
    return text


# -- with a lease ----------------------------------------------------------------------------------


def _with_lease(client: Client) -> Iterator[Finding]:
    found = partial(Finding, interface=client["interface"])
    lease, sent, heard = client["lease"], client["exchange"]["sent"], client["exchange"]["heard"]
    server = lease["server"] or "the DHCP server"
    came = f" from {lease['server']}" if lease["server"] else ""
    yield found("agent", OK, f"{client['state']}, {lease['address']}{came}")
    last = client["last_outcome"]
    renewing = client["state"] not in ("BOUND", "STOPPED")
    refused = last is not None and last["result"] == "refused" and renewing
    silent = renewing and sum(sent.values()) >= SILENT and not heard
    if refused:
        yield found("refused", BAD, f"the DHCP server {last['server'] or server} refuses to renew {lease['address']} "
                    "(NAK)", "see in its log why: a lost lease file, or the address given to another machine",
                    (activity(client), _left(lease)))
    elif silent:
        yield found("server-away", BAD, f"the DHCP server {server} does not answer",
                    "check that server and the network to it", (activity(client), _left(lease)))
    yield _time_left(client, lease, silent or refused)
    yield from _unicast(client, server)


def _left(lease: Mapping[str, Any]) -> str:
    if lease["expiry"] is None:
        return "the lease has no end"
    return f"{duration(max(lease['expiry']['seconds'], 0.0))} of the lease are left"


def _time_left(client: Client, lease: Mapping[str, Any], explained: bool) -> Finding:
    found = partial(Finding, interface=client["interface"])
    if lease["expiry"] is None:
        return found("time-left", OK, "the lease has no end")
    left, whole = lease["expiry"]["seconds"], lease["duration"] or 0.0
    text = f"{duration(max(left, 0.0))} of {duration(whole)} left"
    if left < LATE * whole and not explained:
        return found("time-left", BAD, f"{text}, and no server has answered",
                     "check the server and the network to it", (activity(client),))
    return found("time-left", OK, text)


def _unicast(client: Client, server: str) -> Iterator[Finding]:
    """One finding at most: the reason why unicast renewals fail, as far as it is known."""
    found = partial(Finding, interface=client["interface"])
    failed, unanswered = _notice(client, "send-failed"), _notice(client, "unicast-unanswered")
    if failed is not None and "ICMP from" in failed["text"]:
        yield found("unicast", NOTE, f"the unicast renewal to {server} is refused: {failed['text']}",
                    "start the DHCP server there, or let UDP port 67 through; renewals go by broadcast",
                    (_seen(failed, "refused"),))
    elif client["hears_unicast"] is False:
        yield found("unicast", NOTE, f"the DHCP server {server} does not hear unicast; renewals go by broadcast",
                    "look on the DHCP host for several servers on one port, or a firewall that drops UDP port 67",
                    () if unanswered is None else (_seen(unanswered),))


# -- who else is there -----------------------------------------------------------------------------


def _servers(client: Client) -> Iterator[Finding]:
    """Servers that are not the lease's, and those that offer another address each time."""
    found = partial(Finding, interface=client["interface"])
    ours = (client["lease"] or {}).get("server")
    for server in client["servers"]:
        who = _called(server)
        facts = (f"heard from {who}: {_counts(server['heard'])}, last {_ago(server['last'])}",)
        if len(server["offered"]) >= ODD:
            yield found("wandering", BAD, f"the DHCP server {who} offers another address each time: "
                        f"{', '.join(server['offered'])}", "see whether it stores its leases, and what it knows this "
                        "machine by", facts)
        if ours is None or server["identifier"] in (ours, None):
            continue
        if "NAK" in server["heard"]:
            yield found("rogue-server", BAD, f"another DHCP server, {who}, refuses our lease, which is {ours}'s; the "
                        "lease is kept", "find that server and stop it", facts)
        elif "OFFER" in server["heard"]:
            yield found("rogue-server", NOTE, f"another DHCP server, {who}, answers beside {ours}",
                        "find that server, unless it is a second one of the same network", facts)
    if client["strangers"]:
        yield found("second-client", NOTE, "a server answers questions of our hardware address that are not ours",
                    "look for a second DHCP client of this machine, or a copy of it",
                    (f"{counted(client['strangers'], 'ACK')} to transaction ids that this agent has not used",))


def _claims(client: Client) -> Iterator[Finding]:
    """Who claims our address by ARP. A router that answers for everything is no conflict."""
    found = partial(Finding, interface=client["interface"])
    ours = (client["lease"] or {}).get("address")
    last = client["last_outcome"]
    router = (client["gateway"] or " ").split(" ")[-1]
    for claim in client["claims"]:
        given_up = last is not None and last["result"] == "conflict" and claim["by"] in last["cause"]
        if (claim["address"] != ours and not given_up) or -claim["last"]["seconds"] > RECENT:
            continue
        facts = (f"{counted(claim['count'], 'ARP claim')}, last {_ago(claim['last'])}",)
        if claim["by"] == router:
            yield found("proxy-arp", NOTE, f"the gateway {claim['by']} answers ARP for {claim['address']}, as proxy "
                        "ARP does; it is no conflict", "", facts)
        else:
            yield found("conflict", BAD, f"{claim['by']} claims {claim['address']} by ARP",
                        "find the machine with that hardware address; ask the server whose address it is", facts)


def _ignored(client: Client) -> Iterator[Finding]:
    found = partial(Finding, interface=client["interface"])
    if client["drops"]:  # late and repeated answers, and those to other clients, are ordinary
        status = OK if set(client["drops"]) <= {"xid", "unexpected"} else NOTE
        yield found("faults", status, f"ignored messages: {_counts(client['drops'])}")
    else:
        yield found("faults", OK, "no message was ignored")
    if client["tagged"] and client["lease"] is not None:
        yield found("vlan", NOTE, f"{counted(client['tagged'], 'DHCP packet')} of other VLANs (tagged) were ignored")


# -- words -----------------------------------------------------------------------------------------


def _notice(client: Client, code: str) -> Mapping[str, Any] | None:
    """The last notice of this code, while it is recent."""
    for notice in client["notices"]:
        if notice["code"] == code and -notice["last"]["seconds"] < RECENT:
            return dict(notice)
    return None


def _seen(notice: Mapping[str, Any], what: str = "noticed") -> str:
    return f"{notice['text']} ({what} {_times(notice['count'])}, last {_ago(notice['last'])})"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _ago(instant: Mapping[str, Any]) -> str:
    return f"{duration(max(-instant['seconds'], 0.0))} ago"


def _counts(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(counters.items()))


def _called(server: Mapping[str, Any]) -> str:
    """Its identifier, with the address that its answers come from when that is another."""
    identifier, source = server["identifier"], server["source"]
    return source if identifier in (None, source) else f"{identifier} (by way of {source})"


def _who(client: Client, kind: str) -> str | None:
    """The server that was heard last with a message of this kind."""
    those = [server for server in client["servers"] if kind in server["heard"]]
    return _called(max(those, key=lambda server: float(server["last"]["seconds"]))) if those else None
