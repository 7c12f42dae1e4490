"""The command line as a whole: usage errors, exit statuses, laziness, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.support.interpreter import unmeasured

from holdfast import __version__, cli
from holdfast.cli import COMMANDS, completions, main, options
from holdfast.cli.exits import EPILOG


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"holdfast {__version__}\n"


def test_help_lists_every_command_and_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert all(f"\n    {status}  " in out for status in range(7))
    assert EPILOG.startswith("\b\nExit status:\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: holdfast {name} ")


def test_nothing_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) in (0, 2)  # click 8.1 and 8.2 differ
    captured = capsys.readouterr()
    assert "Commands:" in captured.out + captured.err


@pytest.mark.parametrize(("argv", "line"), [
    (["sing"], 'holdfast: there is no command "sing"; see `holdfast --help`\n'),
    (["stauts"], 'holdfast: there is no command "stauts"; did you mean "status"?; see `holdfast --help`\n'),
    (["wait-online", "--timeout", "5x"], "holdfast: Invalid value for '--timeout': \"5x\" is no duration; use a number "
     "of seconds, or one such as 90s, 1m30s or 2h; see `holdfast wait-online --help`\n"),
    (["renew"], "holdfast: Missing argument 'IFACE'; see `holdfast renew --help`\n"),
    (["renew", "a", "b"], "holdfast: Got unexpected extra argument (b); see `holdfast renew --help`\n"),
])
def test_wrong_usage_is_one_line_and_status_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err == line


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise cli.click.Abort

    monkeypatch.setattr(cli.command, "main", interrupted)
    assert main(["status"]) == 130


def test_a_broken_pipe_is_a_failure_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli.command, "main", broken)
    with monkeypatch.context() as patched:
        patched.setattr(cli.sys, "stdout", cli.sys.stdout)
        assert main(["status"]) == 1


def test_interfaces_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (3, "wlan0")])
    status = cli.command.get_command(click.Context(cli.command), "status")
    assert status is not None
    (argument,) = (param for param in status.params if param.name == "interfaces")
    context = click.Context(status)
    assert [item.value for item in argument.shell_complete(context, "")] == ["eth0", "wlan0"]
    assert [item.value for item in argument.shell_complete(context, "w")] == ["wlan0"]


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3] / "agent")
    return {**os.environ, "PYTHONPATH": root}


def test_nobody_reading_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from holdfast.cli import main; sys.exit(main(['config', 'show']))"
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, check=False,
                          env=_environment())
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_commands_are_imported_when_they_are_used() -> None:
    program = (
        "import sys, holdfast.cli\n"
        "print([name for name in ('holdfast.cli.commands.status', 'holdfast.settings', 'json', 'holdfast.core',\n"
        "       'pyroute2', 'tomllib', 'platformdirs') if name in sys.modules])\n"
    )
    environment = {**unmeasured(), "PYTHONPATH": _environment()["PYTHONPATH"]}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("words", "wanted"), [("holdfast st", "plain,status\n"), ("holdfast status l", "\n")])
def test_shell_completion(words: str, wanted: str) -> None:
    program = "import sys; from holdfast.cli import main; sys.exit(main())"
    environment = {**_environment(), "_HOLDFAST_COMPLETE": "bash_complete", "COMP_WORDS": words,
                   "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                          env=environment)
    assert done.stdout == wanted  # loopback is never offered


def test_python_m_holdfast_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "holdfast", "--version"], capture_output=True, text=True, check=True,
                          env=_environment())
    assert done.stdout == f"holdfast {__version__}\n"


@pytest.mark.parametrize("shell", completions.SHELLS)
def test_the_completion_scripts_are_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == completions.script(shell)


def test_completion_of_an_unknown_shell_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


def test_the_help_names_this_machine_s_interfaces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options.socket, "if_nameindex", lambda: [(1, "lo"), (2, "enp0s3"), (3, "enp0s8")])
    assert main(["renew", "--help"]) == 0
    assert capsys.readouterr().out.endswith("\n  IFACE on this machine: enp0s3, enp0s8.\n")
    assert main(["config", "--help"]) == 0
    assert "IFACE on this machine" not in capsys.readouterr().out
