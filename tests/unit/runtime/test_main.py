"""runtime.__main__: arguments, one line for each thing that is wrong, exit statuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.network import LinkError
from holdfast.runtime import __main__ as main
from holdfast_lab.testbed import fair_time

SOURCE = Path(main.__file__).resolve().parents[2]


def run(*words: str, state: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The daemon in a process of its own, for what makes it end at once."""
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "STATE_DIRECTORY": str(state / "state"),
           "RUNTIME_DIRECTORY": str(state / "run"), **environ}
    return fair_time.run([sys.executable, "-m", "holdfast.runtime", *words], 30, env=env, text=True)


def test_arguments() -> None:
    given = main.read_arguments(["--config", "a.toml", "--state-dir=/s", "eth0", "--runtime-dir", "/r", "eth1", "eth0"])
    assert given == main.Arguments("a.toml", "/s", "/r", ["eth0", "eth1"])
    assert main.read_arguments([]) == main.Arguments(None, None, None, [])


@pytest.mark.parametrize("words", [["--config"], ["--config="], ["--colour", "eth0"], ["-x"], ["../x"], [""],
                                   ["a b"], [".."], ["name-of-16-bytes"]])
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.read_arguments(words)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "usage:" in said


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionError(errno.EPERM, "Operation not permitted"), 5),
        (LinkError(errno.EPERM, "not permitted to bring up eth0: run as root"), 5),
        (LinkError(errno.EOPNOTSUPP, "lo is not an Ethernet interface"), 4),
        (OSError(errno.ENODEV, "No such device"), 4),
        (OSError(errno.EMFILE, "Too many open files"), 1),
        (OSError(errno.EIO, "Input/output error", "/run/holdfast/eth0.lock"), 1),
    ],
)
def test_errors_of_the_start(error: OSError, status: int) -> None:
    code, text = main.explain(error)
    assert code == status
    assert text
    assert "\n" not in text
    assert not error.filename or error.filename in text


def test_no_interface_is_named(tmp_path: Path) -> None:
    config = tmp_path / "empty.toml"
    config.write_text("")
    done = run("--config", str(config), state=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("holdfast: no interface is named")


def test_a_wrong_configuration_names_file_and_key(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("[defaults]\nmetrik = 1\n")
    done = run("--config", str(config), "eth0", state=tmp_path)
    assert done.returncode == 6
    assert "bad.toml" in done.stderr
    assert "metrik" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interface_that_is_not_ethernet(tmp_path: Path) -> None:
    done = run("lo", state=tmp_path)
    assert done.returncode in (4, 5)
    assert done.stderr.count("\n") == 1


@pytest.mark.root
def test_without_the_rights(tmp_path: Path) -> None:
    """Root without capabilities: one line that says what is missing."""
    folder = str(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "STATE_DIRECTORY": folder, "RUNTIME_DIRECTORY": folder}
    script = 'ip link add hf0 type veth peer name hf1 && ip link set hf0 up && ip link set hf1 up && exec "$@"'
    for dropped, word in (("-net_raw", "CAP_NET_RAW"), ("-net_admin", "CAP_NET_ADMIN")):
        done = fair_time.run(
            ["unshare", "--net", "sh", "-c", script, "sh", "setpriv", "--bounding-set", dropped, "--",
             sys.executable, "-m", "holdfast.runtime", "hf0"], 30, env=env, text=True,
        )
        assert done.returncode == 5, done.stderr
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_rights_are_read_from_proc(tmp_path: Path) -> None:
    status = tmp_path / "status"
    assert main.may_configure(str(status)) == (os.geteuid() == 0)
    status.write_text("Name:\tx\nCapEff:\t0000000000001000\n")
    assert main.may_configure(str(status))
    status.write_text("CapEff:\t0000000000002000\n")
    assert not main.may_configure(str(status))
    status.write_text("CapEff:\tnonsense\n")
    assert main.may_configure(str(status)) == (os.geteuid() == 0)
    status.write_text("")
    assert main.may_configure(str(status)) == (os.geteuid() == 0)
