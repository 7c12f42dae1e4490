"""The systemd units and what belongs to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.observe import ids
from holdfast.publish import publisher
from holdfast.runtime import __main__ as daemon

SYSTEMD = Path(__file__).parents[3] / "packaging" / "systemd"


def settings(unit: str, section: str = "Service") -> list[str]:
    """The lines of a section that are no comments."""
    text = (SYSTEMD / unit).read_text()
    body = re.search(rf"^\[{section}\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    return [line for line in body[1].splitlines() if line and not line.startswith("#")]


def test_both_units_of_the_agent_are_the_same_but_for_the_interface() -> None:
    one, every = settings("holdfast@.service"), settings("holdfast.service")
    assert [line.removesuffix(" %i") for line in one] == every
    unit = [line for line in settings("holdfast@.service", "Unit") if not line.startswith("ConditionPathExists=!")]
    assert unit[1:] == settings("holdfast.service", "Unit")[1:]


def test_the_agent_is_a_user_with_three_capabilities() -> None:
    lines = settings("holdfast.service")
    assert "User=holdfast" in lines
    for kind in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert f"{kind}=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE" in lines


def test_a_crash_loop_never_ends_and_a_useless_start_is_not_repeated() -> None:
    assert "StartLimitIntervalSec=0" in settings("holdfast.service", "Unit")
    lines = settings("holdfast.service")
    assert "Restart=always" in lines
    assert f"RestartPreventExitStatus={daemon.WRONG_USAGE} {daemon.ALREADY_SERVED}" in lines


def test_the_boot_does_not_wait_for_a_lease_but_for_the_unit_that_says_so() -> None:
    assert "Type=notify" in settings("holdfast.service")  # READY comes before a lease: tests/unit/runtime
    assert settings("holdfast-wait-online.service", "Install") == ["WantedBy=network-online.target"]
    for unit in ("holdfast.service", "holdfast-wait-online.service"):
        before = " ".join(line for line in settings(unit, "Unit") if line.startswith("Before="))
        assert {"network-online.target", "cloud-init.service", "cloud-init-network.service"} <= set(
            before.replace("Before=", "").split()
        )


def test_the_root_can_be_written_when_the_agent_starts() -> None:
    """Kernels mount it read-only; what else is ordered after its remounting may be masked or not be there."""
    after = " ".join(line for line in settings("holdfast.service", "Unit") if line.startswith("After="))
    assert "systemd-remount-fs.service" in after


def test_name_servers_are_waited_for_beside_the_boot() -> None:
    lines = settings("holdfast-dns.service")
    assert "Type=exec" in lines  # no job that is-system-running waits for
    assert f"ExecStart=/usr/lib/holdfast/dns --spool /run/holdfast/dns --wait {publisher.MAX_WAIT}" in lines
    assert publisher.MAX_WAIT < publisher.TIME_LIMIT
    assert f"RuntimeMaxSec={publisher.TIME_LIMIT + 30}" in lines
    after = [word for line in settings("holdfast-dns.service", "Unit") if line.startswith("After=")
             for word in line.removeprefix("After=").split()]
    # Not D-Bus: cloud-init's network stage needs names before.
    assert after == ["systemd-remount-fs.service", "systemd-resolved.service", "holdfast-wait-online.service"]


def test_what_waits_for_names_publishes_them_as_the_publisher_may() -> None:
    def sandbox(unit: str) -> set[str]:
        own = ("Type=", "ExecStart", "Restart", "RuntimeMax", "TimeoutStart", "RemainAfterExit", "Environment",
               "CPUQuota")
        mounts = ("ProtectControlGroups", "ProtectKernel", "ProtectHome", "ProtectProc", "SystemCallFilter=~",
                  "ReadOnlyPaths", "ReadWritePaths=-", "NoExecPaths", "ExecPaths", "TemporaryFileSystem")
        return {line for line in settings(unit) if not line.startswith((*own, *mounts))}

    assert sandbox("holdfast-wait-online.service") == sandbox("holdfast-dns.service")
    assert "ExecStart=/usr/bin/holdfast wait-online --publish" in settings("holdfast-wait-online.service")
    # What it cannot publish yet is repeated, and what changes while it runs is not lost: it starts this afterwards.
    assert "Wants=holdfast-dns.service" in settings("holdfast-wait-online.service", "Unit")
    for unit in ("holdfast-dns.service", "holdfast-dns.path"):
        assert any(line.startswith("After=") and "holdfast-wait-online.service" in line
                   for line in settings(unit, "Unit"))


@pytest.mark.parametrize("unit", ["holdfast.service", "holdfast@.service"])
def test_what_waits_for_a_lease_leaves_the_first_packet_alone(unit: str) -> None:
    assert "Before=holdfast-wait-online.service" in settings(unit, "Unit")


def test_nothing_is_enabled_by_the_package() -> None:
    preset = (SYSTEMD / "90-holdfast.preset").read_text().splitlines()
    told = {line.split()[1] for line in preset if not line.startswith("#")}
    installable = {unit.name for unit in SYSTEMD.glob("*.service") if "[Install]" in unit.read_text()}
    assert told == installable
    assert all(line.startswith(("disable ", "#")) for line in preset)


def catalog() -> dict[str, str]:
    """Identifier -> the rest of its entry."""
    pieces = re.split(r"^-- ([0-9a-f]{32})\n", (SYSTEMD / "holdfast.catalog").read_text(), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def kinds() -> dict[str, str]:
    """Identifier -> name, of every kind of entry that the agent writes."""
    single = {name: kind for name, kind in vars(ids).items() if isinstance(kind, ids.Kind)}
    return {kind.message_id: name for name, kind in {**single, **ids.RESULTS, **ids.NOTICES}.items()}


def test_the_catalog_explains_every_kind_of_entry_and_no_other() -> None:
    have, want = catalog(), kinds()
    assert {want.get(identifier, identifier) for identifier in have} == set(want.values())
    assert len(have) == len(want)


@pytest.mark.parametrize("identifier", catalog())
def test_an_entry_of_the_catalog_is_whole(identifier: str) -> None:
    head, _, body = catalog()[identifier].partition("\n\n")
    assert [line.split(":")[0] for line in head.splitlines()] == ["Subject", "Defined-By", "Support"]
    assert body.strip()
    # Fields of the journal that are there: what is between "@" is filled in by journalctl.
    assert set(re.findall(r"@([A-Z_]+)@", head + body)) <= {
        "INTERFACE", "DHCP_STATE", "DHCP_ADDRESS", "DHCP_SERVER", "HOLDFAST_FORMER_STATE", "HOLDFAST_CAUSE",
        "HOLDFAST_DROP_REASON", "HOLDFAST_LEASE_TIME", "HOLDFAST_PATH", "HOLDFAST_ATTEMPTS", "HOLDFAST_SECONDS_LEFT",
        "HOLDFAST_FORMER_ADDRESS",
    }
