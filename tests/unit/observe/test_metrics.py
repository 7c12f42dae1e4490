"""The textfile: the exposition format, timestamps, replacement as a whole."""

from __future__ import annotations

import os
import re
import subprocess
from ipaddress import IPv4Address
from math import inf
from pathlib import Path as File

import pytest

from holdfast.core.actions import DropReason
from holdfast.core.lease import Lease
from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.observe import metrics
from holdfast.observe.metrics import Facts, Textfile, render

LEASE = Lease(IPv4Address("10.0.0.5"), IPv4Address("10.0.0.1"), 100.0, 160.0, 205.0, 220.0, 120.0, {})
LAST = Outcome(Purpose.T1, Result.RENEWED, Via.BROADCAST, 2, 1.03, None, None, None, 120.0, -54.2, "", 1, 160.0, 161.0)
FACTS = Facts("eth0", "BOUND", now=170.0, wall=1_700_000_170.0, lease=LEASE, last_success=161.0, last=LAST,
              drops={"xid": 3}, results={"renewed": 1}, paths={"broadcast": 1}, notices={"foreign-nak": 2})


def _samples(facts: Facts) -> dict[str, str]:
    lines = [line for line in render(facts).splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines}


def test_every_fact_about_time_is_a_timestamp() -> None:  # rule 75
    samples = _samples(FACTS)
    assert samples['holdfast_updated_timestamp_seconds{interface="eth0"}'] == "1700000170.000"
    assert samples['holdfast_lease_expiry_timestamp_seconds{interface="eth0"}'] == "1700000220.000"
    assert samples['holdfast_lease_renewal_timestamp_seconds{interface="eth0"}'] == "1700000160.000"
    assert samples['holdfast_last_success_timestamp_seconds{interface="eth0"}'] == "1700000161.000"
    assert samples['holdfast_last_outcome_timestamp_seconds{interface="eth0"}'] == "1700000161.000"
    assert samples['holdfast_last_outcome_lease_left_seconds{interface="eth0"}'] == "0.000"


def test_counters_state_and_labels() -> None:
    samples = _samples(FACTS)
    assert samples['holdfast_state{interface="eth0",state="BOUND"}'] == "1"
    assert sum(int(value) for name, value in samples.items() if name.startswith("holdfast_state")) == 1
    assert samples['holdfast_dropped_total{interface="eth0",reason="xid"}'] == "3"
    assert samples['holdfast_outcomes_total{interface="eth0",result="renewed"}'] == "1"
    assert samples['holdfast_answers_total{interface="eth0",path="broadcast"}'] == "1"
    assert samples['holdfast_notices_total{interface="eth0",code="foreign-nak"}'] == "2"
    assert samples['holdfast_lease_valid{interface="eth0"}'] == "1"
    assert samples['holdfast_last_outcome_latency_seconds{interface="eth0"}'] == "1.030"


def test_what_is_counted_is_there_before_it_happens() -> None:
    """Prometheus' increase() does not see the first one of a counter that begins at 1."""
    samples = _samples(FACTS)
    for result in Result:
        assert samples[f'holdfast_outcomes_total{{interface="eth0",result="{result.value}"}}'] == (
            "1" if result is Result.RENEWED else "0")
    assert samples['holdfast_notices_total{interface="eth0",code="address-restored"}'] == "0"
    for via in Via:
        assert f'holdfast_answers_total{{interface="eth0",path="{via.value}"}}' in samples
    for reason in (*(each.value for each in DropReason), "malformed"):
        assert f'holdfast_dropped_total{{interface="eth0",reason="{reason}"}}' in samples


def test_the_lease_names_its_server_so_that_a_fleet_can_be_read_by_server() -> None:
    name = 'holdfast_lease_info{interface="eth0",address="10.0.0.5",server="10.0.0.1"}'
    assert _samples(FACTS)[name] == "1"
    anonymous = _samples(FACTS._replace(lease=LEASE._replace(server_id=None)))
    assert anonymous['holdfast_lease_info{interface="eth0",address="10.0.0.5",server=""}'] == "1"


@pytest.mark.parametrize("facts", [
    FACTS, FACTS._replace(lease=None, last=None, last_success=None),
    FACTS._replace(lease=LEASE._replace(t1_at=inf, expires_at=inf, lease_time=inf)),
], ids=["bound", "nothing", "endless"])
def test_promtool_has_no_complaint(facts: Facts) -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=render(facts), capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_sample_has_a_time_of_its_own() -> None:
    # rule 75: node_exporter's textfile collector skips a file that has one
    samples = [line for line in render(FACTS).splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"\S+\{[^}]*\} \S+", line) for line in samples)


def test_each_family_is_explained_once_before_its_samples() -> None:
    lines = render(FACTS).splitlines()
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    current = ""
    for line in lines:
        if line.startswith("#"):
            current = line.split()[2]
        else:
            assert re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\}) [-+.0-9A-Za-z]+', line)
            assert line.startswith(current + "{")


def test_without_a_lease_nothing_is_claimed_about_it() -> None:
    facts = FACTS._replace(lease=None, last=None, last_success=None)
    samples = _samples(facts)
    assert samples['holdfast_lease_valid{interface="eth0"}'] == "0"
    assert not any("expiry" in name or "last" in name for name in samples)


def test_an_address_that_is_held_is_no_lease() -> None:
    # rules 40, 75
    held = LEASE._replace(ended_at=FACTS.now - 10.0, expires_at=FACTS.now + 20.0)
    samples = _samples(FACTS._replace(lease=held))
    assert samples['holdfast_lease_valid{interface="eth0"}'] == "0"
    assert samples['holdfast_address_held{interface="eth0"}'] == "1"
    assert float(samples['holdfast_lease_expiry_timestamp_seconds{interface="eth0"}']) == FACTS.wall - 10.0
    assert _samples(FACTS)['holdfast_address_held{interface="eth0"}'] == "0"


def test_a_lease_without_end_and_an_outcome_without_answer() -> None:
    endless = LEASE._replace(t1_at=inf, expires_at=inf, lease_time=inf)
    samples = _samples(FACTS._replace(lease=endless, last=LAST._replace(latency=None)))
    assert samples['holdfast_lease_expiry_timestamp_seconds{interface="eth0"}'] == "+Inf"
    assert 'holdfast_last_outcome_latency_seconds{interface="eth0"}' not in samples


def test_label_values_are_escaped() -> None:
    assert 'interface="a\\"\\\\\\n"' in render(FACTS._replace(interface='a"\\\n'))


def test_the_file_is_replaced_as_a_whole_and_anyone_may_read_it(tmp_path: File) -> None:
    textfile = Textfile(str(tmp_path), "eth0")
    textfile.write(FACTS)
    textfile.write(FACTS._replace(state="RENEWING"))
    assert [path.name for path in tmp_path.iterdir()] == ["holdfast_eth0.prom"]
    assert (tmp_path / "holdfast_eth0.prom").stat().st_mode & 0o777 == 0o644
    assert 'state="RENEWING"} 1' in (tmp_path / "holdfast_eth0.prom").read_text()


def test_a_failed_write_leaves_the_former_file_and_no_draft(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    textfile = Textfile(str(tmp_path), "eth0")
    textfile.write(FACTS)
    before = (tmp_path / "holdfast_eth0.prom").read_text()

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(metrics.os, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        textfile.write(FACTS._replace(state="INIT"))
    assert [path.name for path in tmp_path.iterdir()] == ["holdfast_eth0.prom"]
    assert (tmp_path / "holdfast_eth0.prom").read_text() == before
    with pytest.raises(FileNotFoundError):
        Textfile(str(tmp_path / "none"), "eth0").write(FACTS)


@pytest.mark.parametrize("trap", ["symbolic link", "hard link", "fifo"])
def test_whoever_owns_the_folder_cannot_make_us_write_elsewhere_or_wait(tmp_path: File, trap: str) -> None:
    # The collector's folder is often its own user's, and we are root.
    victim, folder = tmp_path / "shadow", tmp_path / "collector"
    folder.mkdir()
    victim.write_text("secret")
    victim.chmod(0o600)
    draft = folder / ".holdfast_eth0.prom.tmp"
    if trap == "symbolic link":
        draft.symlink_to(victim)
    elif trap == "hard link":
        draft.hardlink_to(victim)
    else:
        os.mkfifo(draft)
    Textfile(str(folder), "eth0").write(FACTS)
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("secret", 0o600)
    assert not (folder / "holdfast_eth0.prom").is_symlink()
    assert "holdfast_state" in (folder / "holdfast_eth0.prom").read_text()
