"""A small supervisor: runs the processes of its folder, restarts ended ones; one thread, no sockets.

The folder is the interface. `processes/NAME.json` describes a process to run, `pids/NAME` identifies
the running one, `logs/NAME.log` has its output. Deleting a description ends its process.
All processes die with the supervisor, whatever ends it (parent-death signal).
"""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from berth_dev.processes import Identity, ProcessSpec, end

POLL = 0.1
FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
STEADY = 30.0
LOG_LIMIT = 50 << 20


@dataclass
class Running:
    """One process under supervision; `delay` is the pause before its next restart, in seconds."""

    spec: ProcessSpec
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    next_start: float = 0.0
    delay: float = FIRST_DELAY


class Supervisor:
    """Keeps the processes described in `folder` running until `stopping` is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopping = False
        self._running: dict[str, Running] = {}
        for name in ("processes", "pids", "logs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._log = _logger(folder / "logs" / "supervisor.log")

    def stop(self, *_: object) -> None:
        """Ask `run` to end everything and return; usable as a signal handler."""
        self.stopping = True

    def run(self) -> None:
        """Supervise until stopped, then end everything, the youngest first."""
        while not self.stopping:
            self.tick(time.monotonic())
            time.sleep(POLL)
        self.end_all()

    def tick(self, now: float) -> None:
        """Compare the folder with the processes once; `now` is monotonic seconds."""
        wanted = {path.stem: path for path in sorted((self.folder / "processes").glob("*.json"))}
        for name in [name for name in self._running if name not in wanted]:
            self._end(self._running.pop(name))
        for name, path in wanted.items():
            if name not in self._running:
                self._running[name] = Running(spec=ProcessSpec.load(path))
            self._look_after(self._running[name], now)

    def end_all(self) -> None:
        """End every process: the nodes' before the control plane's, since they were added later."""
        for running in reversed(list(self._running.values())):
            self._end(running, grace=3)
        self._running.clear()

    def _look_after(self, running: Running, now: float) -> None:
        popen = running.popen
        if popen is not None:
            if popen.poll() is None:
                if running.delay > FIRST_DELAY and now - running.started > STEADY:
                    running.delay = FIRST_DELAY
                return
            running.popen = None
            running.next_start = now + running.delay
            self._log.warning("ended", name=running.spec.name, code=popen.returncode, restart_in=running.delay)
            running.delay = min(running.delay * 2, LONGEST_DELAY)
        if now >= running.next_start and self._may_start(running.spec):
            self._start(running, now)

    def _may_start(self, spec: ProcessSpec) -> bool:
        return not spec.wait_for or Path(spec.wait_for).exists()

    def _start(self, running: Running, now: float) -> None:
        spec = running.spec
        log = self.folder / "logs" / f"{spec.name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.rename(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            running.popen = subprocess.Popen(
                spec.argv(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **spec.environment},
                start_new_session=True,
            )
        running.started = now
        if identity := Identity.of(running.popen.pid):
            identity.save(self.folder / "pids" / spec.name)
        self._log.info("started", name=spec.name, pid=running.popen.pid)

    def _end(self, running: Running, *, grace: float = 5) -> None:
        (self.folder / "pids" / running.spec.name).unlink(missing_ok=True)
        if running.popen is None or running.popen.poll() is not None:
            return
        if identity := Identity.of(running.popen.pid):
            end([identity], grace=grace)
        running.popen.wait()
        self._log.info("stopped", name=running.spec.name, code=running.popen.returncode)


def supervise(folder: Path) -> None:
    """Run a supervisor on `folder` in this process until SIGTERM or SIGINT."""
    supervisor = Supervisor(folder)
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    if own := Identity.of(os.getpid()):
        own.save(folder / "supervisor.pid")
    supervisor.run()
    (folder / "supervisor.pid").unlink(missing_ok=True)


def _logger(path: Path) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(path.open("a", encoding="utf-8")),
        processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
    )
    return logger
