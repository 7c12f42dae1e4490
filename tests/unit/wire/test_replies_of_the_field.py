"""The replies that clouds and servers give, read (tests/fixtures/replies: made with scapy, not captured)."""

from __future__ import annotations

import importlib.util
from ipaddress import IPv4Address as Address
from ipaddress import IPv4Network as Network
from typing import Any

import pytest
from tests.support.fixtures import REPLIES, REPLY_CHADDR, REPLY_XID, load_reply, reply_names

from holdfast.wire import message as msg
from holdfast.wire import options as opt

INFINITE = 0xFFFFFFFF
ON_LINK = Address(0)


def read(name: str) -> msg.Message:
    return msg.decode(load_reply(name))


def routes(name: str, code: int = opt.CLASSLESS_STATIC_ROUTE) -> dict[str, str]:
    pairs = opt.classless_routes(read(name).options[code])
    return {str(destination): str(gateway) for destination, gateway in pairs}


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("build_replies", REPLIES / "build_replies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_generator_writes() -> None:
    built = generator()
    assert sorted(built.REPLIES) == reply_names()
    assert (built.XID, built.CHADDR) == (REPLY_XID, REPLY_CHADDR)
    for name, reply in built.REPLIES.items():
        assert (REPLIES / f"{name}.hex").read_text(encoding="ascii") == built.render(reply), name


@pytest.mark.parametrize("name", reply_names())
def test_every_reply_reads_as_a_reply_to_us(name: str) -> None:
    reply = read(name)
    assert (reply.op, reply.htype, reply.xid, reply.chaddr) == (msg.BOOTREPLY, 1, REPLY_XID, REPLY_CHADDR)
    assert reply.message_type in {msg.OFFER, msg.ACK, msg.NAK}
    assert msg.decode(msg.encode(reply)) == reply


def test_azure() -> None:
    reply = read("azure-ack")
    assert (reply.lease_time, reply.renewal_time, reply.rebinding_time) == (INFINITE,) * 3
    assert reply.server_id == Address("168.63.129.16")
    assert reply.options[opt.AZURE_ENDPOINT] == Address("168.63.129.16").packed
    assert opt.CLASSLESS_STATIC_ROUTE not in reply.options
    assert routes("azure-ack", opt.CLASSLESS_STATIC_ROUTE_MS) == {
        "0.0.0.0/0": "10.0.0.1",
        "168.63.129.16/32": "10.0.0.1",
        "169.254.169.254/32": "10.0.0.1",
    }


def test_gcp() -> None:  # rule 65
    reply = read("gcp-ack")
    assert reply.server_id == Address("169.254.169.254")
    assert opt.address(reply.options[opt.SUBNET_MASK]) == Address("255.255.255.255")
    assert opt.uint16(reply.options[opt.INTERFACE_MTU]) == 1460
    assert opt.hostname(reply.options[opt.HOST_NAME]) == "vm-1.c.example-project.internal"
    assert opt.domain_search(reply.options[opt.DOMAIN_SEARCH]) == (
        "c.example-project.internal",
        "google.internal",
    )
    assert opt.classless_routes(reply.options[opt.CLASSLESS_STATIC_ROUTE]) == (
        (Network("10.128.0.1/32"), ON_LINK),
        (Network("0.0.0.0/0"), Address("10.128.0.1")),
    )


def test_aws() -> None:
    reply = read("aws-ack")
    assert (reply.lease_time, reply.renewal_time, reply.rebinding_time) == (3600, None, None)
    assert opt.uint16(reply.options[opt.INTERFACE_MTU]) == 9001
    assert opt.domain_names(reply.options[opt.DOMAIN_NAME]) == ("us-east-2.compute.internal", "example.com")


def test_hetzner() -> None:  # rule 65
    assert routes("hetzner-ack") == {"172.31.1.1/32": "0.0.0.0", "0.0.0.0/0": "172.31.1.1"}
    assert len(opt.addresses(read("hetzner-ack").options[opt.DOMAIN_NAME_SERVER])) == 2


def test_nova_network() -> None:
    reply = read("nova-network-ack")
    assert (reply.lease_time, reply.renewal_time, reply.rebinding_time) == (120, 60, 105)
    assert reply.server_id == Address("10.4.7.1")
    nak = read("nova-network-nak-other-server")
    assert (nak.message_type, nak.server_id) == (msg.NAK, Address("10.4.7.2"))
    assert nak.error_text == "lease not found"


def test_neutron() -> None:  # rule 65
    expected = {"10.1.0.0/24": "0.0.0.0", "169.254.169.254/32": "10.0.0.2", "0.0.0.0/0": "10.0.0.1"}
    assert routes("neutron-ack") == expected
    assert routes("neutron-ack", opt.CLASSLESS_STATIC_ROUTE_MS) == expected
    assert read("neutron-ack").lease_time == 86400
    assert read("neutron-nak").error_text == "address not available"


def test_ovn() -> None:
    reply = read("ovn-ack")
    assert (reply.lease_time, reply.renewal_time, reply.rebinding_time) == (43200, None, None)


def test_the_ovs_dhcp_extension() -> None:
    assert read("ovs-dhcp-extension-ack").lease_time == INFINITE


def test_a_relay_with_an_off_link_server() -> None:
    reply = read("relay-ack")
    assert (reply.giaddr, reply.hops) == (Address("192.0.2.1"), 1)
    assert reply.server_id == Address("198.51.100.53")


def test_a_server_without_an_identifier() -> None:
    assert read("no-server-id-ack").server_id is None
