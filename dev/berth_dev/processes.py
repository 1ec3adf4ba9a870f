"""Descriptions of supervised processes, and identities by which processes are found and ended."""

import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

CLOCK_TICK_FIELD = 21


@dataclass(frozen=True)
class ProcessSpec:
    """One process that the supervisor keeps running.

    `wait_for` is a path that must exist before it starts (a socket, say); `namespace` is the
    network namespace (a name in /run/netns) that it runs in, empty for the machine's own.
    """

    name: str
    command: tuple[str, ...]
    namespace: str = ""
    wait_for: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        """The command to start; the process gets SIGTERM when the supervisor dies in any way."""
        prefix = ["setpriv", "--pdeathsig", "TERM", "--"]
        if self.namespace:
            prefix += ["nsenter", f"--net=/run/netns/{self.namespace}", "--"]
        return [*prefix, *self.command]

    def save(self, folder: Path) -> None:
        """Write it to `folder` in one step, so that the supervisor there runs it."""
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{self.name}"
        scratch.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        scratch.rename(folder / f"{self.name}.json")

    @staticmethod
    def load(path: Path) -> "ProcessSpec":
        """Read a file that `save` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return ProcessSpec(**{**fields, "command": tuple(fields["command"])})


@dataclass(frozen=True)
class Identity:
    """A process, without ambiguity: ids are reused, but not with the same start time (clock ticks since boot)."""

    pid: int
    started: int

    @staticmethod
    def of(pid: int) -> "Identity | None":
        """The identity of the process that has `pid` now; None where there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[0] == "Z":
            return None
        return Identity(pid=pid, started=int(fields[CLOCK_TICK_FIELD - 2]))

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is still there."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def save(self, path: Path) -> None:
        """Write a pid file: `<pid> <start time>`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.pid} {self.started}\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "Identity | None":
        """Read a pid file; None where it is missing or was cut short."""
        try:
            pid, started = path.read_text(encoding="utf-8").split()
            return Identity(pid=int(pid), started=int(started))
        except (FileNotFoundError, ValueError):
            return None


def end(processes: Iterable[Identity], *, grace: float) -> None:
    """Send SIGTERM to all of them, and SIGKILL to those still there after `grace` seconds."""
    remaining = [process for process in processes if process.alive()]
    for process in remaining:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while remaining and time.monotonic() < deadline:
        time.sleep(0.02)
        remaining = [process for process in remaining if process.alive()]
    for process in remaining:
        process.send(signal.SIGKILL)
    while any(process.alive() for process in remaining):
        time.sleep(0.02)


def every_pid() -> list[int]:
    """Ids of all processes now."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
