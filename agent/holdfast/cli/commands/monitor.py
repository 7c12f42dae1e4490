"""``holdfast monitor``: what happens, as it happens, until Ctrl-C."""

from __future__ import annotations

import json
import select
from typing import Any, Mapping

import click

from holdfast.cli.asking import agents, ask
from holdfast.cli.exits import NO_AGENT, CliError
from holdfast.cli.interrupt import until_interrupted
from holdfast.cli.options import config_option, folders_of, interface_argument
from holdfast.cli.output import echo, echo_line, styled
from holdfast.cli.times import local_time
from holdfast.control.client import ControlError, NotPermittedError, Stream
from holdfast.settings.model import Settings

#: Milliseconds between two looks for agents that were started meanwhile.
LOOK_EVERY = 500
_COLOURS = {"state": "cyan", "transition": "blue", "outcome": "green", "notice": "yellow"}


@click.command("monitor", short_help="Print what happens, as it happens.")
@interface_argument(required=False, nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on a line for each event, for programs.")
@config_option
def command(interfaces: tuple[str, ...], as_json: bool, config: str | None) -> None:
    """Print every change of state, outcome and notice of IFACE, or of every interface, until Ctrl-C. An agent that is
    restarted is followed."""
    settings = folders_of(config)
    if not interfaces and not agents(settings):
        raise CliError(NO_AGENT, "no agent is running; start one with `holdfast run IFACE`")
    for name in interfaces:
        ask(settings, name, "Monitor")  # says what is wrong with the name
    follower = Follower(settings, frozenset(interfaces), as_json)
    try:
        with until_interrupted() as interrupted:
            while not interrupted():
                follower.look()
                follower.wait()
    finally:
        follower.close()


class Follower:
    """The streams of all agents; none of them is waited for alone."""

    def __init__(self, settings: Settings, names: frozenset[str], as_json: bool) -> None:
        self._settings, self._names, self._as_json = settings, names, as_json
        self._streams: dict[str, Stream] = {}

    def look(self) -> None:
        """Open a stream to each agent that has none. CliError when that is not permitted."""
        for name, path in agents(self._settings).items():
            if name in self._streams or (self._names and name not in self._names):
                continue
            try:
                self._streams[name] = Stream(path, "Monitor", {"interface": name}, timeout=5.0)
            except NotPermittedError:
                ask(self._settings, name, "Monitor")
                raise
            except ControlError:
                continue  # left over from a crash, or about to start

    def close(self) -> None:
        """Hang up."""
        for stream in self._streams.values():
            stream.close()

    def wait(self) -> None:
        """Print what comes, for half a second at most."""
        poll = select.poll()
        by_fd = {stream.fileno(): (name, stream) for name, stream in self._streams.items()}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(LOOK_EVERY):
            name, stream = by_fd[fd]
            try:
                for answer in stream.receive_all():
                    self._print(answer["event"])
            except ControlError:
                stream.close()
                del self._streams[name]
                if not self._as_json:
                    echo(f"{name}: the agent has ended; waiting for it", dim=True)

    def _print(self, event: Mapping[str, Any]) -> None:
        if self._as_json:
            echo_line(json.dumps(event))
            return
        text = f"{local_time(event['time'])}  {event['interface']}: {event['text']}"
        echo(text, style=styled(event["interface"], _COLOURS.get(event["kind"], "white")))
