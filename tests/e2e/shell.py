"""A shell with a terminal that somebody has open in a workspace, and what it shows."""

import os
import select
import subprocess
import time
from typing import Any

from lab import Person


class Shell:
    """``with Shell(person, info) as shell``: an interactive login over ssh."""

    def __init__(self, person: Person, info: Any) -> None:
        self._command = person.ssh_command(info, "-tt")
        self._shown = ""

    def __enter__(self) -> "Shell":
        # Its standard input stays open: else the shell would end.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def until_it_shows(self, text: str, seconds: float = 10.0) -> None:
        """Read on until a text stands there."""
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        while text not in self._shown:
            readable, _, _ = select.select([self._process.stdout], [], [], max(until - time.monotonic(), 0.0))
            more = os.read(self._process.stdout.fileno(), 4096) if readable else b""
            assert more, f"the shell never showed {text!r} but {self._shown!r}"
            self._shown += more.decode(errors="replace")
