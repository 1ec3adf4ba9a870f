"""A shell that somebody has open in a workspace, and when it was last heard."""

import subprocess
import threading
import time
from typing import Any

from lab import Person

TICKS = "echo aboard; while :; do echo tick; sleep 0.02; done"


class Session:
    """``with Session(person, info) as session``: an ssh connection in which something is said 50 times a second.

    It is made with the person's key and whatever is known of the workspace; whether it gets in is to be seen.
    Times are of ``time.monotonic``.
    """

    def __init__(self, person: Person, info: Any) -> None:
        self._command = person.ssh_command(info, TICKS)
        self._heard = threading.Event()
        self.first_at = float("inf")
        self.last_at = float("-inf")

    def __enter__(self) -> "Session":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def gets_in(self, seconds: float = 10.0) -> bool:
        """Wait for the first word; False when none came, or the connection ended without one."""
        return self._heard.wait(seconds) and self.first_at < float("inf")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            self.last_at = time.monotonic()
            if not self._heard.is_set():
                self.first_at = self.last_at
                self._heard.set()
        self._heard.set()
