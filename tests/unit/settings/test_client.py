"""Settings of one interface -> core.config.ClientConfig."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path
from random import Random

import pytest

from holdfast.core import requests
from holdfast.core.client import Client
from holdfast.core.config import DEFAULT_REQUEST_LIST, ClientConfig
from holdfast.core.events import Start
from holdfast.settings import SettingsError
from holdfast.settings.client import client_config
from holdfast.settings.model import InterfaceSettings
from holdfast.wire.options import IPV6_ONLY

MAC = bytes.fromhex("525400123456")
FROM_MAC = b"\x01" + MAC


def test_defaults_give_the_defaults_of_the_protocol() -> None:
    assert client_config(InterfaceSettings(), MAC) == ClientConfig(chaddr=MAC, client_id=FROM_MAC)


@pytest.mark.parametrize(("name", "value"), [
    ("acd", "strict"), ("nak", "halt"), ("on_expiry", "hold"), ("rapid_commit", True), ("broadcast_flag", True),
    ("anonymize", True), ("start_delay", True), ("discover_ceiling", 7.0),
])
def test_what_both_have_is_the_same_setting_with_one_default(name: str, value: object) -> None:
    protocol = ClientConfig(chaddr=MAC)
    assert getattr(InterfaceSettings(), name) == getattr(protocol, name) != value
    assert getattr(client_config(InterfaceSettings()._replace(**{name: value}), MAC), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(("configured", "stored", "wanted"), [
    (None, None, FROM_MAC),
    (None, b"\x00adopted", b"\x00adopted"),
    (None, b"", None),
    ("mac", b"\x00adopted", FROM_MAC),
    ("none", b"\x00adopted", None),
    ("00aabb", b"\x00adopted", b"\x00\xaa\xbb"),
])
def test_client_id_is_the_configured_one_else_the_stored_one_else_the_mac(  # rule 8
    configured: str | None, stored: bytes | None, wanted: bytes | None
) -> None:
    assert client_config(InterfaceSettings(client_id=configured), MAC, 1, stored).client_id == wanted


def test_ipv6_only_is_asked_for_when_the_machine_can_do_without_ipv4() -> None:
    # rule 67
    assert IPV6_ONLY not in client_config(InterfaceSettings(), MAC).request_list
    assert IPV6_ONLY in client_config(InterfaceSettings(ipv6_only=True), MAC).request_list


def test_what_happens_at_the_end_of_a_lease() -> None:
    # rule 40
    assert client_config(InterfaceSettings(), MAC).on_expiry == "remove"
    assert client_config(InterfaceSettings(on_expiry="hold"), MAC).on_expiry == "hold"


def test_client_id_of_another_hardware_type() -> None:
    assert client_config(InterfaceSettings(), b"\x01\x02", 32).client_id == b"\x20\x01\x02"


def test_duid_is_stable_belongs_to_the_machine_and_does_not_show_its_id(tmp_path: Path) -> None:
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("0123456789abcdef0123456789abcdef\n")
    settings = InterfaceSettings(client_id="duid")
    value = client_config(settings, MAC, machine_id=str(machine_id)).client_id
    assert value is not None
    assert (value[:1], value[1:5], value[5:7], len(value)) == (b"\xff", MAC[-4:], b"\x00\x04", 23)
    assert value == client_config(settings, MAC, machine_id=str(machine_id)).client_id
    assert bytes.fromhex("0123456789abcdef") not in value
    machine_id.write_text("1123456789abcdef0123456789abcdef\n")
    assert client_config(settings, MAC, machine_id=str(machine_id)).client_id != value


@pytest.mark.parametrize("content", [None, "uninitialized\n", "", "00ff\n"])
def test_duid_without_a_machine_id_is_a_settings_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "machine-id"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match="needs a machine-id"):
        client_config(InterfaceSettings(client_id="duid"), MAC, machine_id=str(path))


def test_texts_become_options() -> None:
    settings = InterfaceSettings(hostname="vm1", vendor_class="é", user_class=("one", "two"), request=(43, 1))
    config = client_config(settings, MAC)
    assert (config.hostname, config.vendor_class, config.user_class) == ("vm1", b"\xc3\xa9", b"\x03one\x03two")
    assert config.request_list == (*DEFAULT_REQUEST_LIST, 43)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("vm-1.example", "vm-1.example"),
        ("caf\u00e9", None),  # the kernel takes any bytes; sent as they are they would be an error at each DISCOVER
        ("caf\udcc3\udca9", None),
        ("my_vm", None),
        ("(none)", None),
        ("localhost", None),  # an image that has no name yet
        ("localhost.localdomain", None),
        ("", None),
    ],
)
def test_system_is_this_machines_name_when_it_is_one(
    name: str, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rule 73's measure for our own name too
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", name, "6.1", "#1", "x86_64")))
    config = client_config(InterfaceSettings(hostname="@system"), MAC)
    assert config.hostname == sent
    Client(config, rng=Random(1)).handle(Start(None), 0.0)


def test_anonymity_leaves_no_name_no_class_and_the_present_mac() -> None:  # rule 69
    settings = InterfaceSettings(
        anonymize=True, hostname="vm1", vendor_class="v", user_class=("u",), client_id="00aabb"
    )
    config = client_config(settings, MAC, 1, b"\x00adopted")
    assert config == ClientConfig(chaddr=MAC, client_id=FROM_MAC, anonymize=True)


def test_the_rest_is_passed_on() -> None:
    settings = InterfaceSettings(acd="off", nak="halt", rapid_commit=True, broadcast_flag=True,
                                 start_delay=True, discover_ceiling=30.0)
    config = client_config(settings, MAC)
    assert (config.acd, config.nak, config.rapid_commit, config.broadcast_flag, config.start_delay,
            config.discover_ceiling) == ("off", "halt", True, True, True, 30.0)


def test_servers_as_networks() -> None:
    config = client_config(InterfaceSettings(allow_servers=("192.0.2.0/24",), deny_servers=("192.0.2.9",)), MAC)
    assert config.allow_servers == ((0xC0000200, 0xFFFFFF00),)
    assert config.deny_servers == ((0xC0000209, 0xFFFFFFFF),)


def test_what_a_lease_must_have_and_how_long_it_lasts() -> None:
    config = client_config(InterfaceSettings(require=(6, 3), lease_time_limit=300, default_lease_time=600), MAC)
    assert (config.required, config.lease_time_limit, config.default_lease_time) == ((6, 3), 300, 600)
    assert client_config(InterfaceSettings(default_lease_time=0xFFFFFFFF), MAC).default_lease_time == inf
    config = client_config(InterfaceSettings(), MAC)
    assert (config.required, config.lease_time_limit, config.default_lease_time) == ((), None, None)


def test_options_that_are_sent() -> None:
    config = client_config(InterfaceSettings(fqdn="Host.example", send_options=("224=site A", "43=hex:01:04")), MAC)
    assert config.send == ((81, b"\x05\0\0\x04host\x07example\0"), (224, b"site A"), (43, b"\x01\x04"))
    assert client_config(InterfaceSettings(fqdn="host"), MAC).send == ((81, b"\x05\0\0\x04host"),)
    message = requests.discover(config, 1, 0, None)
    assert (message.options[224], message.options[81][:3]) == (b"site A", b"\x05\0\0")
    private = requests.discover(config._replace(anonymize=True), 1, 0, None)
    assert not {43, 81, 224} & set(private.options)


def test_what_the_protocol_sends_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    config = client_config(InterfaceSettings(hostname="one", send_options=("12=two",)), MAC)
    assert requests.discover(config, 1, 0, None).options[12] == b"one"
