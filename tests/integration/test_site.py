"""The place that the tests are made in: one machine has the server's address, by one hardware address."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Address

import pytest
from tests.support.site import BRIDGE, CLIENT, Site

from holdfast.wire import arp
from holdfast_lab.testbed.fair_time import wait_until

pytestmark = pytest.mark.root

ASKED = 20


def test_one_machine_answers_for_the_server() -> None:
    site = Site()
    try:
        (bridge,) = json.loads(site.on_server("ip", "-j", "link", "show", "dev", BRIDGE))
        (link,) = json.loads(site.on_client("ip", "-j", "link", "show", "dev", CLIENT))
        mac = bytes.fromhex(link["address"].replace(":", ""))
        ask = site.client.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0806)))
        site.client.run(lambda: ask.bind((CLIENT, 0x0806)))
        ask.setblocking(False)
        answers: list[str] = []

        def asked() -> bool:
            question = arp.build_request(mac, IPv4Address("10.77.0.9"), site.address.ip)
            ask.sendto(question, (CLIENT, 0x0806, 0, 1, b"\xff" * 6))
            try:
                while True:
                    answer = arp.parse(ask.recv(100))
                    if answer.spa == site.address.ip:
                        answers.append(answer.sha.hex(":"))
            except BlockingIOError:
                return answers.count(bridge["address"]) >= ASKED

        with ask:
            wait_until(asked, 10, "the server's side answers ARP")
        assert set(answers) == {bridge["address"]}
    finally:
        site.close()
