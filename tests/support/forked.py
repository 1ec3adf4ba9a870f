"""Berth's processes, forked from one that has imported them already: an import costs a second of a processor or two.

The fork server of the standard library starts nothing of Berth. Each child has the environment that it is given, runs
``main()`` of its program, and ends as the program would by itself.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Final

PROGRAMS: Final = ("berth_operator", "berth_api", "berth_notifier")
COMMANDS: Final = ("berth_cli.main", "berth_cli.jobs.keys", "berth_cli.jobs.uninstall")
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*(f"{program}.__main__" for program in PROGRAMS), *COMMANDS])
AT_ITS_START: Final = ("LD_", "PYTHON")
"""Variables with these prefixes take effect when a program starts, so a fork has those of the tests themselves."""


def begin() -> None:
    """Begin to import the programs, beside what else a test needs before it starts one."""
    forkserver.ensure_running()


class Forked:
    """A running program, with the part of ``subprocess.Popen`` that tests use."""

    def __init__(self, program: str, environment: Mapping[str, str], log: Path) -> None:
        """Start ``program``, such as ``berth_api``; it writes to ``log``, which is emptied first."""
        log.write_bytes(b"")
        self._process = _CONTEXT.Process(target=_run, args=(program, dict(environment), str(log)), daemon=True)
        self._process.start()
        self._reading = Lock()
        self.pid = self._process.pid or 0
        self.args = [sys.executable, "-m", program]

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        with self._reading:  # of two threads at once one would read it, and the other the end of the pipe
            return self._process.exitcode

    def poll(self) -> int | None:
        """See :attr:`returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired after so many seconds."""
        wait([self._process.sentinel], timeout)
        status = self.returncode
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now, and its status is on its way
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def finished(
    module: str, words: Sequence[str], environment: Mapping[str, str], stdin: str = "", seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``main()`` of a module with a command's words to its end, and return what it printed.

    Raises subprocess.TimeoutExpired after so many seconds.
    """
    with TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("in", "out", "err")]
        for stream, text in zip(streams, (stdin, "", ""), strict=True):
            stream.write_text(text, encoding="utf-8")
        command = _CONTEXT.Process(target=_finish, args=(module, words, dict(environment), streams), daemon=True)
        command.start()
        command.join(seconds)
        if command.exitcode is None:
            command.kill()
            raise subprocess.TimeoutExpired([module, *words], seconds)
        out, err = (stream.read_text(encoding="utf-8") for stream in streams[1:])
        return subprocess.CompletedProcess([module, *words], command.exitcode, out, err)


def _run(program: str, environment: Mapping[str, str], log: str) -> None:
    with open(log, "ab", buffering=0) as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    _main(f"{program}.__main__", [program], environment)


def _finish(module: str, words: Sequence[str], environment: Mapping[str, str], streams: Sequence[Path]) -> None:
    for number, stream in enumerate(streams):
        with open(stream, "ab" if number else "rb", buffering=0) as file:
            os.dup2(file.fileno(), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    _main(module, [module, *words], environment)


def _main(module: str, words: list[str], environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    importlib.import_module(module).main()


Process = Forked | subprocess.Popen[bytes]


def start(program: str, environment: Mapping[str, str], log: Path) -> Process:
    """Start ``program`` forked, or from the beginning where its environment has code or a library of its own."""
    if any(name.startswith(AT_ITS_START) and os.environ.get(name) != value for name, value in environment.items()):
        with log.open("wb") as output:
            return subprocess.Popen([sys.executable, "-m", program], env=environment, stdout=output, stderr=output)
    return Forked(program, environment, log)
