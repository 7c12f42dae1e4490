"""Guard's nftables table on kernels that remove it by themselves, and on those that do not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.test_guard import tables_here

from holdfast.guard import nflog
from holdfast.guard.nflog import TABLE, Nflog, NflogError, remove_table
from holdfast_lab.testbed.netns import Namespace

pytestmark = pytest.mark.root
GROUP = 6867


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with Namespace("machine") as made:
        yield made


@pytest.fixture
def old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag that this kernel does not know, as NFT_TABLE_F_OWNER before 5.12."""
    monkeypatch.setattr(nflog, "OWNER", 0x40)


def test_the_kernel_removes_it_with_the_socket(machine: Namespace) -> None:
    made = machine.run(lambda: Nflog(GROUP))
    assert TABLE in machine.run(tables_here)
    machine.run(remove_table)  # it is another socket's
    assert TABLE in machine.run(tables_here)
    made.close()
    assert TABLE not in machine.run(tables_here)


@pytest.mark.usefixtures("old_kernel")
def test_an_old_kernel_gets_none_that_nobody_would_remove(machine: Namespace) -> None:
    with pytest.raises(NflogError):
        machine.run(lambda: Nflog(GROUP))
    assert TABLE not in machine.run(tables_here)


@pytest.mark.usefixtures("old_kernel")
def test_on_an_old_kernel_the_unit_removes_it(machine: Namespace) -> None:
    made = machine.run(lambda: Nflog(GROUP, outlived=True))
    assert TABLE in machine.run(tables_here)
    # A guard that was killed left it.
    with pytest.raises(NflogError):  # not made twice
        machine.run(lambda: Nflog(GROUP, outlived=True))
    machine.run(remove_table)
    assert TABLE not in machine.run(tables_here)
    machine.run(remove_table)  # nothing is there
    machine.run(made.close)


@pytest.mark.usefixtures("old_kernel")
def test_on_an_old_kernel_an_orderly_end_removes_it_at_once(machine: Namespace) -> None:
    made = machine.run(lambda: Nflog(GROUP, outlived=True))
    machine.run(made.close)
    assert TABLE not in machine.run(tables_here)
