"""A client of an instance's VPN: ``openvpn --config`` with the profile as it came, at somebody's address."""

import re
import subprocess
import threading
import time
from pathlib import Path

from lab import Person

UP = "Initialization Sequence Completed"
ADDRESS = re.compile(r"net_addr_v4_add: ([0-9.]+)/\d+ dev (tun\d+)")


class Tunnel:
    """``with Tunnel(person, profile, folder) as tunnel``: it is being opened; whether it comes up is to be seen."""

    def __init__(self, person: Person, profile: str, folder: Path) -> None:
        number = len(list(folder.iterdir()))
        self.person, self.log = person, folder / f"{number}.log"
        config = folder / f"{number}.ovpn"
        config.touch(mode=0o600)
        config.write_text(profile)
        self._command = person.inside(["openvpn", "--config", str(config)])

    def __enter__(self) -> "Tunnel":
        self.began = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def comes_up(self, seconds: float = 10.0) -> bool:
        """Wait until the tunnel is up; False when it is not in time, or its process has ended."""
        until, tick = time.monotonic() + seconds, threading.Event()
        while UP not in self.log.read_text():
            if time.monotonic() > until or self.process.poll() is not None:
                return False
            tick.wait(0.01)
        return True

    @property
    def address(self) -> str:
        """Its address inside."""
        return self._found(1)

    @property
    def device(self) -> str:
        """Name of its interface."""
        return self._found(2)

    def _found(self, group: int) -> str:
        found = ADDRESS.search(self.log.read_text())
        assert found is not None, self.log.read_text()
        return found[group]
