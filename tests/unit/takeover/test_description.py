"""What `--dry-run` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.takeovers import Mortal, OldClient, foreign_lease, furnish, place

from holdfast.takeover import plan
from holdfast.takeover.description import describe
from holdfast.takeover.host import Host
from holdfast.takeover.model import ForeignLease, Found


def test_all_of_it(tmp_path: Path) -> None:
    host = Mortal(tmp_path)
    furnish(host)
    before = host.tree()
    text = "\n".join(describe(host, plan.make(host, place(), foreground=True, dry=True, adapters=(OldClient(),))))
    assert host.tree() == before
    lines = text.splitlines()
    assert lines[0] == "client        oldclient: pid 100"
    assert "lease         192.0.2.9/24, from /var/lib/old/lease" in lines
    assert "times left    T1 1200 s, T2 2550 s, end 3000 s" in lines
    assert "client-id     01:6f:6c:64" in lines
    assert "option 1      ffffff00  subnet-mask" in lines
    assert "   4. write /run/old/off (mode 0644)" in lines
    assert "              off" in lines
    assert "   6. stop oldclient by SIGKILL: pid 100" in lines
    at = lines.index("  10. change /etc/old/own.conf (mode 0644)")
    assert lines[at + 1:at + 4] == [f"{' ' * 14}@@ -1 +1 @@", f"{' ' * 14}-mine = yes", f"{' ' * 14}+mine = no"]


def test_what_is_yet_to_be_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: OldClient, host: Host, found: Found) -> ForeignLease:
        del found
        return foreign_lease(host.boottime(), client_id=None)

    monkeypatch.setattr(OldClient, "read", read)
    host = Mortal(tmp_path)
    furnish(host)
    text = "\n".join(describe(host, plan.make(host, place(), foreground=True, dry=True, adapters=(OldClient(),))))
    assert "client-id     not known yet" in text
    assert "1. make oldclient renew once, and hear on the wire what it sends (a dry run does not)" in text


def test_names_and_classes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    def read(_: OldClient, host: Host, found: Found) -> ForeignLease:
        del found
        return replace(foreign_lease(host.boottime()), hostname="guest", vendor_class=b'lab"\x01')

    monkeypatch.setattr(OldClient, "read", read)
    host = Mortal(tmp_path)
    furnish(host)
    text = "\n".join(describe(host, plan.make(host, place(), foreground=True, dry=True, adapters=(OldClient(),))))
    assert 'hostname = "@system"' in text
    assert "vendor_class =" not in text, "what cannot be written into the file safely is left out"
    assert 'vendor class  lab"\\x01' in text


def test_what_is_lost_is_said_in_the_managers_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    told = ("the host name that the server gives (option 12) is not set", "10-own is not run for DHCPv4 any more")
    own = OldClient.own
    monkeypatch.setattr(OldClient, "own", lambda *given: replace(own(*given), lost=told))
    host = Mortal(tmp_path)
    furnish(host)
    lines = describe(host, plan.make(host, place(), foreground=True, dry=True, adapters=(OldClient(),)))
    assert [line for line in lines if line in told] == list(told)
    assert "hooks.d" not in "\n".join(lines)
