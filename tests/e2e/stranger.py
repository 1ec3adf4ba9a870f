"""Somebody who tries to connect all the time, from any network namespace; see gapprobe.py."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROBE = Path(__file__).with_name("gapprobe.py")


class Stranger:
    """Tries for the length of a ``with`` block; one SYN goes to each target every 5 ms."""

    def __init__(self, where: Path | Sequence[str]) -> None:
        """``where`` is a network namespace, or a command that runs the Python program of its last argument there."""
        if isinstance(where, Path):
            where = ["nsenter", f"--net={where}", sys.executable, "-c"]
        command = [*where, PROBE.read_text()]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def tries(self, host: str, port: int) -> None:
        """From now on, there too."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{host} {port}\n")
        self._process.stdin.flush()

    def gives_up(self) -> tuple[list[float], int, float]:
        """Times of successes on the monotonic clock; number of tries; the longest pause between tries, in seconds."""
        *got_in, sum_of_it = self._rest()
        words = sum_of_it.replace(",", "").split()
        return [float(line.split()[-1]) for line in got_in], int(words[1]), float(words[-1])

    def died(self) -> list[float]:
        """Times of successes of one that was killed where it ran."""
        return [float(line.split()[-1]) for line in self._rest()]

    def _rest(self) -> list[str]:
        said, _ = self._process.communicate(timeout=20)
        return said.splitlines()
