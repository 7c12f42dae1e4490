"""A connection of Ansible's into a booted container: by the words that Nspawn.entering() gives."""

from __future__ import annotations

import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: nsenter
short_description: into a container of the tests
description: Runs commands by a given prefix.
options:
  prefix:
    description: The words before the command.
    type: list
    elements: str
    required: true
    vars:
      - name: nsenter_prefix
"""


class Connection(ConnectionBase):  # type: ignore[misc]
    """Each command is a process of its own; there is nothing to be kept open."""

    transport = "nsenter"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _run(self, command: list[str], told: bytes | None = None) -> tuple[int, bytes, bytes]:
        words = [*self.get_option("prefix"), *command]
        done = subprocess.run(words, input=told, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run one command."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the container."""
        with open(in_path, "rb") as file:
            status, _, said = self._run(["/bin/sh", "-c", 'cat >"$1"', "sh", out_path], file.read())
        assert status == 0, said

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of it."""
        status, content, said = self._run(["cat", in_path])
        assert status == 0, said
        with open(out_path, "wb") as file:
            file.write(content)

    def reset(self) -> None:
        """Nothing to close."""

    def close(self) -> None:
        """Nothing to close."""
        self._connected = False

