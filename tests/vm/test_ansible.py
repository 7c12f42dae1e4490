"""packaging/ansible: the role against a booted guest: checked, applied, applied again, configured, and undone."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from tests.support.distribution import Distribution
from tests.support.firstboot import FirstBoot
from tests.support.guests import LINK, ROOT, Nspawn, Terms, layer

from holdfast_lab.testbed import fair_time

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

FOLDER = ROOT / "packaging" / "ansible"
#: What ansible.builtin.apt needs in the guest.
PACKAGES = ("python3-apt",)


class Managed(Nspawn):
    """A guest as Ansible manages them."""

    def _lower(self) -> str:
        return f"{layer(*PACKAGES)}:{super()._lower()}"


class Controller:
    """Runs the role on one guest."""

    def __init__(self, guest: Managed, folder: Path, package: Path) -> None:
        self._folder = folder
        self._variables = {"ansible_become": False, "holdfast_package": str(package)}
        (folder / "ansible.cfg").write_text("[defaults]\n")
        host = {"ansible_connection": "nsenter", "nsenter_prefix": guest.entering(),
                "ansible_python_interpreter": "/usr/bin/python3"}
        (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": {"guest": host}}}))

    def play(self, *options: str, succeeds: bool = True, **variables: object) -> tuple[dict[str, int], str]:
        """The figures of Ansible's last line, and all that it said."""
        given = json.dumps({**self._variables, **variables})
        playbook = self._folder / "playbook.yml"
        playbook.write_text("- {hosts: all, roles: [holdfast]}\n")
        words = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory",
                 str(self._folder / "inventory.json"), "--extra-vars", given, "--diff", *options, str(playbook)]
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self._folder), "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self._folder / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(FOLDER / "roles"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests/support/ansible"),
        }
        done = fair_time.run(words, 300, text=True, env=environment)
        assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
        found = re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2])
        return {name: int(figure) for name, figure in found}, done.stdout


def test_the_role_takes_over_configures_and_gives_back(distribution: Distribution, tmp_path: Path) -> None:
    with Managed("ifupdown", terms=Terms(lease_time=600)) as guest:
        guest.wait_booted()
        boot = FirstBoot(guest)
        controller = Controller(guest, tmp_path, distribution.deb)

        controller.play("--check")
        assert guest.run(["holdfast", "--version"]).returncode != 0, "a check installs nothing"

        figures, said = controller.play()
        assert figures["changed"] >= 3, said
        boot.assert_serves()

        figures, said = controller.play()
        assert figures["changed"] == 0, said

        _, said = controller.play(succeeds=False, holdfast_config="[agent]\nmetrics_dir = 7\n")
        assert "metrics_dir" in said
        assert guest.run(["test", "-e", "/etc/holdfast/holdfast.d/50-ansible.toml"]).returncode != 0
        configuration = '[agent]\nmetrics_dir = "/run/holdfast/metrics"\n'
        figures, said = controller.play(holdfast_config=configuration)
        assert figures["changed"] == 2, said  # the file, and the restart
        guest.wait(lambda: "holdfast_lease_valid" in guest.shell("cat /run/holdfast/metrics/*.prom", check=False), 30,
                   "the agent writes metrics")
        boot.assert_serves()
        queries_work(guest)

        figures, said = controller.play(holdfast_state="absent")
        assert figures["changed"] >= 2, said
        assert guest.run(["holdfast", "--version"]).returncode != 0
        guest.wait(lambda: guest.run(["pgrep", "-x", "dhclient"]).returncode == 0, 30, "the former client serves again")
        assert guest.addresses() == [boot.address]
        boot.assert_no_gap()


def queries_work(guest: Managed) -> None:
    """Each query of docs/operations.md is one that journalctl takes, and those about what has happened find it."""
    section = (ROOT / "docs" / "operations.md").read_text().split("\n## Journal\n")[1].split("\n## ")[0]
    queries = [query.replace("eth0", LINK) for query in re.findall(r"\| `(journalctl [^`]+)`", section)]
    assert len(queries) > 12
    said = {query: guest.run(["sh", "-c", f"{query} --no-pager"]) for query in queries}
    assert {query: done.stderr for query, done in said.items() if done.returncode not in (0, 1) or done.stderr} == {}
    (timed,) = [done.stdout for query, done in said.items() if "HOLDFAST_LATENCY" in query]
    assert float(json.loads(timed.splitlines()[0])["HOLDFAST_LATENCY"]) >= 0
    (servers,) = [done.stdout for query, done in said.items() if query.endswith("-F DHCP_SERVER")]
    assert servers.split()
