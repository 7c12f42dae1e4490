"""runtime.interface with everything around it in memory and on a virtual clock; ServedLink on a real one."""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Interface
from typing import Any

import pytest

from holdfast.clock import Jump, SystemClock
from holdfast.core import events as ev
from holdfast.core.actions import NoticeCode
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Binding, Gateway
from holdfast.core.outcome import Result, Via
from holdfast.eventloop.loop import Loop
from holdfast.network import LinkError
from holdfast.network.watch import Kind, LinkEvent
from holdfast.observe.log import Log
from holdfast.runtime.factory import AgentContext, AlreadyServedError
from holdfast.runtime.interface import ServedLink
from holdfast.settings import SettingsError
from holdfast.settings.model import Settings
from holdfast.sockets.arp import Claim
from holdfast.sockets.link import Batch
from holdfast.state.locks import Locks, TakenError
from holdfast.wire import message as msg
from holdfast_lab.simulate.server import options_of, reply
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.virtual_host import (
    DOWN,
    MAC,
    NO_CARRIER,
    OTHER_MAC,
    OURS,
    SERVER,
    UP,
    Host,
    lease_of,
)


def told(host: Host, kind: Kind, **more: object) -> None:
    """Netlink tells one thing."""
    name, ifindex = ("eth0", 2) if host.link is None else (host.link.name, host.link.ifindex)
    host.interface.links_changed([LinkEvent(kind, name, ifindex, **more)])  # type: ignore[arg-type]


# -- the usual life ------------------------------------------------------------------------------


def test_a_lease_is_acquired_stored_configured_and_published() -> None:
    host = Host()
    host.bind()
    assert host.sockets.kinds() == ["DISCOVER", "REQUEST"]
    assert host.addresses == [OURS]
    assert host.store.kept is not None
    assert host.store.kept.lease.address == OURS
    assert host.store.kept.client_id == b"\x01" + MAC
    assert [spec.dns for spec in host.resolver.published] == [(SERVER,)]
    assert [outcome.result for outcome in host.notes.outcomes] == [Result.ACQUIRED]
    assert host.interface.spec is not None


def test_a_renewal_changes_lifetimes_only() -> None:
    host = Host()
    host.bind()
    host.loop.run(100)
    assert host.notes.outcomes[-1].result is Result.RENEWED
    assert host.kernel.deleted_addresses == []  # rule 56


def test_unanswered_unicast_is_followed_by_broadcast() -> None:
    host = Host()
    host.bind()
    host.server.deaf = True
    host.loop.run(100)
    assert host.notes.outcomes[1].via is Via.BROADCAST
    assert host.addresses == [OURS]


def test_stop_keeps_the_address_and_the_lease() -> None:
    host = Host()
    host.bind()
    sent = len(host.sockets.sent)
    host.interface.end()
    assert host.addresses == [OURS]  # rule 51
    assert host.store.kept is not None
    assert len(host.sockets.sent) == sent
    assert host.loop.timers == {}
    assert not host.sockets.is_open


def test_release_takes_the_address_and_the_file() -> None:
    host = Host()
    host.bind()
    host.interface.submit(ev.Release())
    host.loop.run(1)
    assert host.sockets.kinds()[-1] == "RELEASE"
    assert host.addresses == []
    assert host.store.kept is None
    assert host.resolver.withdrawn == 1


def test_outcomes_are_told_to_subscribers_until_they_leave() -> None:
    host = Host()
    heard: list[Result] = []
    unsubscribe = host.interface.subscribe(lambda outcome: heard.append(outcome.result))
    host.bind()
    unsubscribe()
    unsubscribe()
    host.loop.run(100)
    assert heard == [Result.ACQUIRED]


# -- start ---------------------------------------------------------------------------------------


def test_a_stored_lease_on_the_link_is_carried_on_with() -> None:
    host = Host()
    host.store.kept = Binding(lease_of(host.clock), client_id=b"\x01" + MAC)
    host.addresses_on_link = {OURS}
    host.interface.begin()
    assert host.state == "BOUND"  # rule 47
    assert host.sockets.sent == []
    assert host.addresses == [OURS]


def test_a_stored_client_id_is_used_again() -> None:
    host = Host()
    host.store.kept = Binding(lease_of(host.clock), client_id=b"\xffadopted")
    host.interface.begin()
    assert host.sockets.sent[0].message.client_id == b"\xffadopted"  # rule 8
    assert host.sockets.kinds() == ["REQUEST"]


def lost_file() -> Host:
    """An agent died, its lease file was lost, and what it put on the link is there: as after a power cut."""
    first = Host()
    first.store.kept = Binding(lease_of(first.clock), client_id=b"\xffadopted")
    first.addresses_on_link = {OURS}
    first.interface.begin()
    second = Host()
    second.kernel.addresses, second.kernel.routes = first.kernel.addresses, first.kernel.routes
    second.store.kept_id = b"\xffadopted"
    return second


def test_an_address_with_our_mark_is_asked_for_when_the_lease_file_is_lost() -> None:
    # rule 89
    host = lost_file()
    routes = host.kernel.routes
    host.interface.begin()
    [request] = [sent.message for sent in host.sockets.sent]
    assert (request.message_type, request.requested_address, request.client_id) == (msg.REQUEST, OURS, b"\xffadopted")
    host.loop.run(0.1)
    assert (host.state, host.addresses, host.kernel.deleted_addresses) == ("BOUND", [OURS], [])
    assert host.kernel.routes == routes


def test_an_address_whose_lease_file_is_lost_is_kept_while_nobody_answers() -> None:
    # rule 89
    host = lost_file()
    routes, ends = host.kernel.routes, host.clock.now + host.kernel.addresses[0].valid
    host.server.silent = True
    host.interface.begin()
    host.loop.run(60)
    assert (host.addresses, host.kernel.routes) == ([OURS], routes)
    host.loop.run(ends + 1 - host.clock.now)
    assert host.addresses == [], "and no longer than its lease"


def unwritten_file(**settings: Any) -> Host:
    """An agent renewed for longer than a lease on a full disk, and died: its file is of a lease that has ended."""
    first = lost_file()
    host = Host(config=ClientConfig(chaddr=MAC, client_id=b"\x01" + MAC, acd="off", **settings))
    host.kernel.addresses, host.kernel.routes = first.kernel.addresses, first.kernel.routes
    host.addresses_on_link = {OURS}
    old = lease_of(host.clock)
    host.store.kept = Binding(old._replace(expires_at=host.clock.now - 1), client_id=b"\x01" + MAC)
    return host


def test_an_address_that_outlasts_its_lease_file_is_kept_for_as_long_as_the_kernel_says() -> None:
    host = unwritten_file()
    ends, routes = host.clock.now + host.kernel.addresses[0].valid, host.kernel.routes
    host.server.silent = True
    host.interface.begin()
    assert host.sockets.kinds() == ["REQUEST"]
    host.loop.run(20)
    assert (host.addresses, host.kernel.routes, host.kernel.deleted_addresses) == ([OURS], routes, [])
    host.loop.run(ends + 1 - host.clock.now)
    assert host.addresses == [], "and no longer than its lease"


def test_an_address_that_outlasts_its_lease_file_is_confirmed_by_its_server() -> None:
    host = unwritten_file()
    host.interface.begin()
    host.loop.run(0.5)
    assert (host.state, host.addresses, host.kernel.deleted_addresses) == ("BOUND", [OURS], [])


def test_an_address_without_our_mark_goes_with_its_ended_lease() -> None:
    # rule 50
    host = unwritten_file()
    host.kernel.addresses = tuple(held._replace(mark=0) for held in host.kernel.addresses)
    host.interface.begin()
    assert host.sockets.kinds() == ["DISCOVER"]


def test_an_address_that_is_held_beyond_its_lease_is_no_newer_lease() -> None:
    host = unwritten_file(on_expiry="hold")
    host.kernel.addresses = tuple(held._replace(valid=30.0) for held in host.kernel.addresses)
    host.interface.begin()
    assert host.sockets.kinds() == ["DISCOVER"]


def test_an_address_that_outlasts_its_lease_and_what_is_held_beyond_it_is_a_newer_lease() -> None:
    host = unwritten_file(on_expiry="hold")
    host.interface.begin()
    assert host.sockets.kinds() == ["REQUEST"]


def test_an_address_that_outlasts_a_lease_file_that_has_not_ended_is_kept() -> None:
    host = unwritten_file()
    assert host.store.kept is not None
    host.store.kept = host.store.kept._replace(lease=lease_of(host.clock, lease_time=20.0))
    host.server.silent = True
    host.interface.begin()
    host.loop.run(60)
    assert (host.addresses, host.kernel.deleted_addresses) == ([OURS], [])


def test_what_a_machine_slept_is_not_taken_for_a_newer_lease() -> None:
    # The kernel's lifetimes stand still meanwhile, so the address seems to last longer than its lease (promise 3).
    host = unwritten_file()
    host.clock.slept = 200.0
    host.interface.begin()
    assert host.sockets.kinds() == ["DISCOVER"]


def test_an_address_that_is_there_instead_of_the_stored_one_is_asked_for() -> None:
    host = unwritten_file()
    assert host.store.kept is not None
    host.store.kept = host.store.kept._replace(lease=lease_of(host.clock)._replace(address=OURS + 1))
    host.addresses_on_link = set()
    host.server.silent = True
    host.interface.begin()
    [request] = [sent.message for sent in host.sockets.sent]
    assert (request.message_type, request.requested_address) == (msg.REQUEST, OURS)
    host.loop.run(60)
    assert (host.addresses, host.kernel.deleted_addresses) == ([OURS], [])


@pytest.mark.parametrize("why", ["another machine's", "another client-id", "nothing there"])
def test_what_is_not_ours_is_not_asked_for(why: str) -> None:
    # rule 89
    host = lost_file()
    if why == "another machine's":
        host.store.foreign, host.store.kept_id = True, None
    elif why == "another client-id":
        host.configured_client_id = b"\x01" + MAC
    else:
        host.kernel.addresses = ()
    host.interface.begin()
    assert host.sockets.kinds() == ["DISCOVER"]


def test_a_lease_of_another_client_id_is_not_used() -> None:
    host = Host()
    host.store.kept = Binding(lease_of(host.clock), client_id=b"\xffother")
    host.configured_client_id = b"\x01" + MAC
    host.interface.begin()
    assert host.sockets.kinds() == ["DISCOVER"]
    assert host.notes.said("another client-id") == 1


def test_a_link_that_is_down_is_set_up() -> None:
    host = Host()
    assert host.link is not None
    host.link = host.link._replace(flags=DOWN)
    host.bind()


def test_without_carrier_it_waits_for_it() -> None:
    host = Host()
    assert host.link is not None
    host.link = host.link._replace(flags=NO_CARRIER)
    host.interface.begin()
    host.loop.run(100)
    assert host.sockets.sent == []
    told(host, Kind.CARRIER_UP)
    host.loop.run(1)
    assert host.state == "BOUND"


def test_a_missing_interface_is_waited_for() -> None:
    host = Host()
    host.link, link = None, host.link
    host.interface.begin()
    assert host.notes.said("no interface called 'eth0'; waiting for it") == 1
    assert host.interface.snapshot().state == "INIT"
    host.interface.submit(ev.Renew())  # there is nothing to renew; nothing happens
    host.link = link
    told(host, Kind.APPEARED)
    host.loop.run(1)
    assert host.state == "BOUND"
    assert host.notes.said("eth0 is here") == 1
    assert host.notes.said("eth0 is here again") == 0, "it is the first time"


def test_a_link_is_served_when_its_manager_has_it() -> None:
    host = Host()
    host.managed = False
    host.interface.begin()
    host.loop.run(5)
    assert host.interface.link is None
    assert host.notes.said("eth0 is served when its manager has set it up") == 1
    told(host, Kind.CARRIER_UP)  # by its manager
    host.managed = True
    host.loop.run(1)
    assert host.state == "BOUND"
    assert host.notes.said("eth0 is here") == 1


def test_a_manager_that_does_not_come_is_not_waited_for_long() -> None:
    host = Host()
    host.managed = False
    host.interface.begin()
    host.loop.run(9.9)
    assert host.interface.link is None
    host.loop.run(1)
    assert host.state == "BOUND"
    assert host.notes.said("eth0 is served although its manager has not set it up in 10 s") == 1


def test_a_manager_that_is_started_late_has_its_time_from_then_on() -> None:
    # A busy machine: NetworkManager would take the address away when it comes to the link.
    host = Host()
    host.managed = host.manager_runs = False
    host.interface.begin()
    host.loop.run(25)
    assert host.interface.link is None
    host.manager_runs = True
    host.loop.run(9)
    assert host.interface.link is None
    host.managed = True
    host.loop.run(1)
    assert host.state == "BOUND"
    assert not host.notes.said("has not set it up")


def test_a_manager_that_is_never_started_is_not_waited_for_long() -> None:
    host = Host()
    host.managed = host.manager_runs = False
    host.interface.begin()
    host.loop.run(29.9)
    assert host.interface.link is None
    host.loop.run(1)
    assert host.state == "BOUND"
    assert host.notes.said("eth0 is served although its manager has not set it up in 30 s") == 1


def test_a_link_that_waits_for_its_manager_is_not_served_after_the_end() -> None:
    host = Host()
    host.managed = False
    host.interface.begin()
    host.interface.end()
    host.managed = True
    host.loop.run(1)
    assert host.interface.link is None


def test_settings_that_do_not_fit_an_interface_that_comes_late_end_nothing() -> None:
    host = Host()
    host.link, link = None, host.link
    host.interface.begin()
    host.link, host.client_error = link, SettingsError(("client_id: no machine-id to make a DUID of",))
    told(host, Kind.APPEARED)
    host.loop.run(12)
    assert host.notes.said("eth0 cannot be served: client_id: no machine-id") == 1
    host.client_error = None
    host.loop.run(12)
    assert host.state == "BOUND"


def test_an_interface_that_cannot_be_served_is_an_error_at_start() -> None:
    host = Host()
    host.find_error = LinkError(errno.EOPNOTSUPP, "not Ethernet")
    with pytest.raises(LinkError):
        host.interface.begin()


# -- errors of the machine -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [errno.EPERM, errno.ENOBUFS, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EMSGSIZE]
)
def test_a_send_that_fails_is_recorded_and_retried(code: int) -> None:
    host = Host()
    host.bind()
    host.sockets.errors = {"unicast": code, "broadcast": code}
    host.loop.run(80)
    assert host.state in ("RENEWING", "REBINDING")  # rule 55: not fatal
    assert host.addresses == [OURS]
    failed = [notice.detail for notice in host.notes.notices if notice.code is NoticeCode.SEND_FAILED]
    assert errno.errorcode[code] in failed[0]
    host.sockets.errors = {}
    host.loop.run(20)
    assert host.state == "BOUND"
    assert host.notes.outcomes[-1].result is Result.RENEWED


@pytest.mark.parametrize("code", [errno.EPERM, errno.EHOSTUNREACH])
def test_unicast_that_cannot_be_sent_goes_by_broadcast_at_once(code: int) -> None:
    host = Host()
    host.bind()
    host.sockets.errors = {"unicast": code}
    host.loop.run(100)
    renewed = host.notes.outcomes[1]
    assert renewed.via is Via.BROADCAST  # rule 55
    assert renewed.latency is not None
    assert renewed.latency < 0.1


def test_an_icmp_error_that_comes_back_counts_as_a_failed_send() -> None:
    host = Host()
    host.bind()
    host.server.silent = True
    while host.state == "BOUND":
        host.loop.run(1)
    host.server.silent = False
    host.sockets.listener.on_unicast_error("Connection refused (ICMP from 192.0.2.1)")
    assert host.sockets.sent[-1].via is Via.BROADCAST


def test_a_message_that_cannot_be_written_is_a_failed_send(monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.wire import WireError

    host = Host()

    def refuse(_: object) -> None:
        raise WireError("too long")

    monkeypatch.setattr(host.sockets, "transmit", refuse)
    host.interface.begin()
    assert "cannot be written" in host.notes.notices[0].detail


def test_a_kernel_that_refuses_three_times_is_asked_a_fourth() -> None:
    host = Host()
    host.kernel.fail_on = {1: errno.ENOMEM, 2: errno.ENOMEM, 3: errno.ENOMEM}
    host.interface.begin()
    host.loop.run(0.01)
    assert host.state == "BOUND"
    assert host.addresses == []
    host.loop.run(30)
    assert host.addresses == [OURS]  # rule 59
    failed = [notice for notice in host.notes.notices if notice.code is NoticeCode.APPLY_FAILED]
    assert len(failed) == 3


def test_renewals_go_on_while_the_kernel_refuses() -> None:
    host = Host()
    host.kernel.fail_all = errno.ENOMEM
    host.interface.begin()
    host.loop.run(200)
    assert len([outcome for outcome in host.notes.outcomes if outcome.result is Result.RENEWED]) >= 2  # rule 59


def test_an_ended_lease_is_removed_in_the_end() -> None:
    host = Host()
    host.bind()
    host.server.silent = True
    host.kernel.fail_all = errno.ENOMEM
    host.loop.run(121)
    assert host.notes.said("192.0.2.50 cannot be removed") == 1
    host.kernel.fail_all = None
    host.loop.run(10)
    assert host.addresses == []
    assert host.resolver.withdrawn == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_a_notice_and_a_retry(code: int) -> None:
    host = Host()
    host.store.error = code
    host.bind()
    host.loop.run(30)
    assert host.addresses == [OURS]
    assert host.notes.said(
        f"the lease file /var/lib/holdfast/eth0.lease.json cannot be written: {os.strerror(code)}; the lease stays in "
        "use, and it is tried again: make room, or let the agent's user write there"
    ) == 1
    assert host.store.writes > 3
    host.store.error = None
    host.loop.run(300)
    assert host.store.kept is not None
    assert host.notes.said("is written again") == 1


def test_the_last_try_to_store_is_at_the_end() -> None:
    host = Host()
    host.store.error = errno.ENOSPC
    host.bind()
    host.store.error = None
    host.interface.end()
    assert host.store.kept is not None


def test_names_that_cannot_be_handed_on_are_a_notice_and_a_retry() -> None:
    host = Host()
    host.resolver.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/run/holdfast/dns/eth0.json")
    host.bind()
    host.loop.run(10)
    assert host.notes.said(
        "name servers: /run/holdfast/dns/eth0.json cannot be written: No space left on device; trying again: make "
        "room, or let the agent's user write there"
    ) == 1
    host.resolver.error = None
    host.loop.run(30)
    assert len(host.resolver.published) == 1
    assert host.notes.said("is written again") == 1


def test_names_follow_a_rename_and_go_with_the_link() -> None:
    host = Host()
    host.bind()
    assert host.link is not None
    host.link = host.link._replace(name="wan0")
    host.interface.links_changed([LinkEvent(Kind.RENAMED, "wan0", 2, former="eth0")])
    host.loop.run(1)
    assert host.resolver.names == ["eth0", "wan0"]
    host.interface.links_changed([LinkEvent(Kind.GONE, "wan0", 2)])
    assert host.resolver.withdrawn == 1


def test_port_68_taken_by_another_is_told_once() -> None:
    host = Host()
    host.bind()
    host.sockets.port_error = errno.EADDRINUSE
    host.interface.hold_port()
    host.interface.hold_port()
    assert host.notes.said("UDP port 68 is held by dhclient (pid 42)") == 1  # rule 54
    host.sockets.port_error = errno.EPERM
    host.interface.hold_port()
    assert host.notes.said("EPERM") == 1


def test_port_68_without_the_capability_is_told_as_that() -> None:
    # rule 96
    host = Host()
    host.bind()
    host.sockets.port_error = errno.EACCES
    host.interface.hold_port()
    assert host.notes.said("UDP port 68 is not permitted: give the agent CAP_NET_BIND_SERVICE") == 1
    assert host.notes.said("held by") == 0


def test_a_link_that_comes_back_gets_the_port_again() -> None:
    host = Host(lease_time=86400)
    host.bind()
    host.interface.hold_port()
    told(host, Kind.GONE)
    host.sockets.port_error = errno.EADDRINUSE
    told(host, Kind.APPEARED)
    assert host.notes.said("UDP port 68 is held by dhclient (pid 42)") == 1


def test_arp_that_cannot_be_used_is_told_once() -> None:
    host = Host()
    host.config = host.config._replace(acd="optimistic")
    host.sockets.errors = {"arp": errno.ENOBUFS}
    host.bind()
    host.loop.run(2)
    assert host.notes.said("ARP cannot be used (ENOBUFS") == 1
    host.sockets.errors = {}
    host.loop.run(10)
    assert f"announce {OURS}" in host.sockets.arp
    assert host.sockets.watched == ()


# -- what comes in -------------------------------------------------------------------------------


def test_malformed_packets_are_counted() -> None:
    host = Host()
    host.bind()
    host.sockets.listener.on_batch(Batch([], ["no cookie", "too short"]))
    assert host.interface.snapshot().drops["malformed"] == 2
    assert host.notes.malformed_count == 2


def test_dropped_messages_are_reported() -> None:
    host = Host()
    host.bind()
    host.receive(reply(host.sockets.sent[0].message, msg.ACK, OURS, options_of(msg.ACK, SERVER, 120)))
    assert len(host.notes.drops) == 1


def test_a_claim_to_a_new_address_is_a_conflict() -> None:
    host = Host()
    host.config = host.config._replace(acd="optimistic")
    host.bind()
    for _ in range(2):  # rule 84
        assert host.addresses != []
        host.sockets.listener.on_claim(Claim(OURS, OTHER_MAC, probe=False, answer=True))
    host.loop.run(5)  # the gateway is silent; it could have been its claim (rule 83)
    assert "DECLINE" in host.sockets.kinds()
    assert host.addresses == []


def test_our_own_interfaces_and_mere_questions_are_no_conflict() -> None:
    host = Host()
    host.config = host.config._replace(acd="optimistic")
    host.own_macs = {MAC, OTHER_MAC}
    host.bind()
    host.sockets.listener.on_claim(Claim(OURS, OTHER_MAC, probe=False))  # rule 71
    host.own_macs = {MAC}
    host.sockets.listener.on_claim(Claim(OURS, OTHER_MAC, probe=True))
    assert host.state == "BOUND"


def test_a_probe_of_somebody_else_counts_before_the_address_is_used() -> None:
    host = Host()
    host.config = host.config._replace(acd="strict")
    host.interface.begin()
    host.loop.run(0.1)
    assert host.state == "PROBING"
    host.sockets.listener.on_claim(Claim(OURS, OTHER_MAC, probe=True))
    host.loop.run(1)  # the gateway is silent; it could have been its claim (rule 83)
    assert host.sockets.kinds()[-1] == "DECLINE"


# -- time ----------------------------------------------------------------------------------------


def test_sleep_is_told_to_the_core_and_a_set_clock_is_not() -> None:
    host = Host(lease_time=86400)
    host.bind()
    applied = len(host.kernel.applied)
    host.interface.time_jumped(Jump(asleep=0.0, stepped=-365 * 86400.0))  # rule 44
    host.interface.time_jumped(Jump(asleep=0.0, stepped=4.9))
    host.loop.run(10)
    assert (host.state, len(host.kernel.applied)) == ("BOUND", applied)
    host.interface.time_jumped(Jump(asleep=500.0, stepped=0.0))
    assert len(host.kernel.applied) == applied + 1  # rule 46
    host.loop.run(10)
    assert host.notes.outcomes[-1].purpose == "resume"


def test_a_clock_set_far_forward_is_how_a_paused_guest_learns_of_its_pause() -> None:
    # rules 44, 45: asked about, and nothing else changes
    host = Host(lease_time=86400)
    host.bind()
    host.loop.run(100)
    host.server.silent = True
    lease = host.interface.snapshot().lease
    host.interface.time_jumped(Jump(asleep=0.0, stepped=365 * 86400.0))
    host.loop.run(60)
    assert (host.state, host.interface.snapshot().lease, host.addresses) == ("BOUND", lease, [OURS])
    assert (host.notes.outcomes[-1].purpose, host.notes.outcomes[-1].result.value) == ("resume", "kept")


def test_a_restored_snapshot_asks_with_fresh_numbers() -> None:
    # rules 11, 46
    host = Host(lease_time=86400)
    host.bind()
    host.loop.run(100)
    host.interface.restored("the VM generation id changed")
    host.loop.run(10)
    assert (host.state, host.notes.outcomes[-1].purpose) == ("BOUND", "restored")
    assert "restored" in [notice.code.value for notice in host.notes.notices]


def test_a_card_that_is_announced_after_a_migration_asks_once() -> None:
    # rule 46
    host = Host(lease_time=86400)
    host.bind()
    host.loop.run(100)
    for _ in range(5):  # as QEMU does it
        told(host, Kind.ANNOUNCED)
        host.loop.run(0.3)
    host.loop.run(60)
    notices = [notice.code.value for notice in host.notes.notices]
    assert notices.count("restored") == 1
    assert (host.state, host.notes.outcomes[-1].purpose) == ("BOUND", "restored")
    told(host, Kind.ANNOUNCED)
    assert [notice.code.value for notice in host.notes.notices].count("restored") == 2


def test_the_gateway_is_found_by_arp_and_kept_with_the_lease() -> None:
    # rule 49
    host = Host(lease_time=86400)
    host.gateway_mac = OTHER_MAC
    host.bind()
    host.loop.run(10)
    assert [(ask.gateway, ask.mac, ask.source) for ask in host.sockets.asked] == [(SERVER, None, OURS)]
    assert host.store.kept is not None
    assert host.store.kept.gateway == Gateway(SERVER, OTHER_MAC)
    assert host.interface.snapshot().gateway == Gateway(SERVER, OTHER_MAC)


def test_a_remembered_lease_is_kept_when_its_gateway_answers() -> None:
    # rules 48, 49
    host = Host()
    host.server.silent, host.gateway_mac = True, OTHER_MAC
    host.store.kept = Binding(lease_of(host.clock), None, Gateway(SERVER, OTHER_MAC), b"\x01" + MAC)
    host.interface.begin()
    host.loop.run(2)
    assert host.addresses == [OURS]
    assert host.notes.outcomes[-1].cause == "no answer; verified by the gateway"


# -- the link ------------------------------------------------------------------------------------


def test_carrier_lost_and_found() -> None:
    host = Host(lease_time=86400)
    host.bind()
    told(host, Kind.CARRIER_DOWN)
    assert host.addresses == [OURS]  # rule 61
    told(host, Kind.CARRIER_UP)
    host.loop.run(1)
    assert host.notes.outcomes[-1].purpose == "link-up"


def test_our_address_deleted_by_somebody_else_is_put_back() -> None:
    host = Host(lease_time=86400)
    host.bind()
    host.kernel.addresses = ()
    told(host, Kind.ADDRESS_REMOVED, address=IPv4Interface("192.0.2.99/24"))
    told(host, Kind.ADDRESS_REMOVED, address=IPv4Interface("192.0.2.50/24"))
    host.loop.run(1)
    assert host.addresses == [OURS]  # rule 60
    assert host.sockets.kinds() == ["DISCOVER", "REQUEST"]


@pytest.mark.parametrize("kind", [Kind.ROUTE_REMOVED, Kind.RESYNC, Kind.MASTER])
def test_removed_routes_are_put_back_together(kind: Kind) -> None:
    host = Host(lease_time=86400)
    host.bind()
    before = host.kernel.routes
    host.kernel.routes = ()
    for _ in range(5):
        told(host, kind)
    applied = len(host.kernel.applied)
    host.loop.run(1)
    assert host.kernel.routes == before
    assert len(host.kernel.applied) == applied + 1


def test_routes_that_go_again_and_again_are_put_back_ever_more_slowly() -> None:
    host = Host(lease_time=86400)
    host.bind()
    before = len(host.kernel.applied)
    for _ in range(600):
        told(host, Kind.ROUTE_REMOVED)
        host.loop.run(0.1)
    assert len(host.kernel.applied) - before < 12
    host.loop.run(120)
    told(host, Kind.ROUTE_REMOVED)
    before = len(host.kernel.applied)
    host.loop.run(0.2)
    assert len(host.kernel.applied) == before + 1


def test_routes_that_cannot_be_put_back_are_tried_again_by_the_core() -> None:
    host = Host(lease_time=86400)
    host.bind()
    host.kernel.fail_all = errno.ENETUNREACH
    host.kernel.routes = ()
    told(host, Kind.ROUTE_REMOVED)
    host.loop.run(0.2)
    assert host.notes.notices[-1].code is NoticeCode.APPLY_FAILED
    host.kernel.fail_all = None
    host.loop.run(30)
    assert host.kernel.routes != ()


def test_the_interface_goes_and_comes_back() -> None:
    host = Host(lease_time=86400)
    host.bind()
    first = host.kernel
    host.interface.links_changed([
        LinkEvent(Kind.ADDRESS_REMOVED, "eth0", 2, address=IPv4Interface("192.0.2.50/24")),
        LinkEvent(Kind.GONE, "eth0", 2),
    ])
    assert host.interface.link is None
    assert first.closed
    assert not host.notes.notices  # nobody deleted the address: it went with the link
    assert host.notes.said("eth0 is gone") == 1
    told(host, Kind.GONE)
    assert host.notes.said("eth0 is gone") == 1

    assert host.link is not None
    host.link = host.link._replace(ifindex=7)
    told(host, Kind.APPEARED)
    assert host.sockets.opened == [("eth0", MAC), ("eth0", MAC)]
    assert host.kernel is not first
    assert host.addresses == [OURS]
    host.loop.run(1)
    assert host.notes.outcomes[-1].purpose == "link-up"  # the lease is verified there


def test_an_interface_with_another_hardware_address_is_another_client() -> None:
    host = Host(lease_time=86400)
    host.bind()
    told(host, Kind.GONE)
    assert host.link is not None
    host.store.kept = None  # a real store says so itself: the identity differs
    host.link = host.link._replace(ifindex=7, mac=OTHER_MAC)
    told(host, Kind.APPEARED)
    host.loop.run(1)
    assert host.sockets.sent[-1].message.chaddr == OTHER_MAC
    assert host.state == "BOUND"


def test_a_changed_hardware_address_on_the_same_interface() -> None:
    host = Host(lease_time=86400)
    host.bind()
    assert host.link is not None
    told(host, Kind.NEW_MAC, mac=MAC)  # old news
    assert host.interface.link == host.link
    host.store.kept = None
    host.link = host.link._replace(mac=OTHER_MAC)
    told(host, Kind.NEW_MAC, mac=OTHER_MAC)
    assert host.notes.said(
        f"eth0: the hardware address changed from {MAC.hex(':')} to {OTHER_MAC.hex(':')}; to a server that is another "
        "client, so a lease of its own is asked for; 192.0.2.50 stays until its lease ends, and is not renewed"
    ) == 1
    host.loop.run(1)
    assert host.sockets.sent[-1].message.chaddr == OTHER_MAC
    assert host.notes.said("is gone") == host.notes.said("is here") == 0, "it was there all the time"


def test_a_changed_hardware_address_before_there_is_a_lease() -> None:
    host = Host()
    host.server.silent = True
    host.interface.begin()
    assert host.link is not None
    host.link = host.link._replace(mac=OTHER_MAC)
    host.sockets.errors = {"open": errno.ENOBUFS}
    told(host, Kind.NEW_MAC, mac=OTHER_MAC)
    assert host.notes.said("so a lease of its own is asked for") == 1
    assert host.notes.said("is not renewed") == 0
    assert host.notes.said("eth0 cannot be served: No buffer space available; trying again") == 1
    host.sockets.errors = {}
    host.loop.run(10)
    assert host.notes.said("eth0 is here again") == 1


def test_a_renamed_interface_is_served_on() -> None:
    host = Host(lease_time=86400)
    host.bind()
    assert host.link is not None
    host.link = host.link._replace(name="ens3")
    told(host, Kind.RENAMED, former="eth0")
    assert host.sockets.opened[-1] == ("ens3", MAC)
    assert host.interface.name == "eth0"
    assert host.addresses == [OURS]
    assert host.notes.said("eth0 was renamed to ens3") == 1


@pytest.mark.parametrize("how", ["removed and added", "another hardware address"])
def test_a_renamed_interface_is_looked_for_by_the_name_it_has(how: str) -> None:
    # rule 63
    host = Host(lease_time=86400)
    host.bind()
    assert host.link is not None
    host.link = host.link._replace(name="ens3")
    told(host, Kind.RENAMED, former="eth0")
    if how == "removed and added":
        told(host, Kind.GONE)
        host.link = host.link._replace(ifindex=7)
        told(host, Kind.APPEARED)
    else:
        host.store.kept = None
        host.link = host.link._replace(mac=OTHER_MAC)
        told(host, Kind.NEW_MAC, mac=OTHER_MAC)
    host.loop.run(1)
    assert host.interface.link == host.link
    assert host.state == "BOUND"


def test_sockets_that_notice_first_that_the_interface_is_gone() -> None:
    host = Host(lease_time=86400)
    host.bind()
    host.sockets.listener.on_gone()
    assert host.interface.link is None
    host.loop.run(10)  # it was only taken away for a moment
    assert host.interface.link is not None
    assert host.addresses == [OURS]


def test_an_interface_that_comes_back_unusable_is_tried_again() -> None:
    host = Host(lease_time=86400)
    host.bind()
    told(host, Kind.GONE)
    host.sockets.errors = {"open": errno.ENOBUFS}
    told(host, Kind.APPEARED)
    told(host, Kind.APPEARED)
    assert host.notes.said("eth0 cannot be served: No buffer space available") == 1
    host.sockets.errors = {}
    host.loop.run(10)
    assert host.interface.link is not None


def test_the_lease_ends_while_the_interface_is_away() -> None:
    host = Host()
    host.bind()
    told(host, Kind.GONE)
    host.loop.run(200)
    assert host.notes.said("cannot be removed") == 0
    told(host, Kind.APPEARED)
    host.loop.run(10)
    assert host.state == "BOUND"
    assert host.addresses == [OURS]


def test_news_of_a_link_that_is_not_there_are_passed_over() -> None:
    host = Host()
    host.link = None
    host.interface.begin()
    for kind in (Kind.CARRIER_DOWN, Kind.ROUTE_REMOVED, Kind.RENAMED, Kind.CARRIER_UP, Kind.ADDRESS_ADDED):
        told(host, kind)
    assert host.interface.link is None
    host.interface.end()


def test_a_link_that_was_set_up_by_somebody_else_stays_as_it_is() -> None:
    host = Host()
    assert host.link is not None
    assert host.link.flags == UP
    host.bind()
    assert host.sockets.opened == [("eth0", MAC)]


# -- ServedLink, on real links ---------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: pathlib.Path) -> Iterator[AgentContext]:
    clock = SystemClock()
    loop = Loop(clock)
    made = AgentContext(Settings(), str(tmp_path), str(tmp_path), Log("stderr"), clock, loop, lambda: None)  # type: ignore[arg-type,return-value]
    yield made
    made.close()
    loop.close()


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with Namespace("served") as machine:
        machine.output(["ip", "link", "add", "hf0", "type", "veth", "peer", "name", "hf1"])
        yield machine


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.root
def test_what_was_made_is_closed(machine: Namespace, context: AgentContext) -> None:
    before = descriptors()
    for matched in (False, True):
        served = machine.run(lambda matched=matched: ServedLink("hf0", context, lambda _: None, matched=matched))
        assert served.ifindex is not None
        with closing(Locks(context.runtime_dir)) as other, pytest.raises(TakenError):
            other.take("hf0")
        machine.run(served.end)
        context.close()
        assert descriptors() == before


@pytest.mark.root
def test_a_lock_that_another_has_leaves_nothing_open(machine: Namespace, context: AgentContext) -> None:
    held = Locks(context.runtime_dir)
    assert held.take("hf0")
    before = descriptors()
    with pytest.raises(AlreadyServedError):
        machine.run(lambda: ServedLink("hf0", context, lambda _: None, matched=False))
    context.close()
    assert descriptors() == before
    held.close()


@pytest.mark.root
def test_no_netlink_gives_the_lock_back(context: AgentContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, messages: object) -> Any:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr("holdfast.runtime.interface.LinkWatch", refuse)
    with pytest.raises(OSError, match="not supported"):
        ServedLink("hf0", context, lambda _: None, matched=False)
    held = Locks(context.runtime_dir)
    assert held.take("hf0")
    held.close()


@pytest.mark.root
def test_a_rename_and_a_removal_are_noticed(machine: Namespace, context: AgentContext) -> None:
    served = machine.run(lambda: ServedLink("hf0", context, lambda _: None, matched=True))
    try:
        assert not served.interface.awaited  # no carrier, and nobody named it
        machine.output(["ip", "link", "set", "hf0", "name", "ens3"])
        wait_until(lambda: machine.run(served.read_watch), 5, "it is told")
        assert served.present_name == "ens3"
        machine.output(["ip", "link", "del", "ens3"])
        wait_until(lambda: machine.run(served.read_watch), 5, "it is told")
        assert served.ifindex is None
    finally:
        machine.run(served.end)


@pytest.mark.root
def test_a_named_interface_is_always_awaited(machine: Namespace, context: AgentContext) -> None:
    served = machine.run(lambda: ServedLink("hf0", context, lambda _: None, matched=False))
    assert served.interface.awaited
    machine.run(served.end)


@pytest.mark.root
def test_a_link_is_looked_at_again_when_the_machine_was_short_of_descriptors(
    machine: Namespace, context: AgentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rule 90
    def refuse(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    asked: list[ServedLink] = []
    served = machine.run(lambda: ServedLink("hf0", context, asked.append, matched=False))
    try:
        served.watch.unsure = True  # as a netlink overrun leaves it, when it cannot look
        with monkeypatch.context() as short:
            short.setattr("holdfast.network.link.find", refuse)
            assert not machine.run(served.read_watch)
        wait_until(lambda: context.loop.run_once(0.05) or asked, 5, "it is looked at again")
        assert asked == [served]
        machine.run(served.read_watch)
        assert served.ifindex is not None
        assert not served.watch.unsure
    finally:
        machine.run(served.end)
