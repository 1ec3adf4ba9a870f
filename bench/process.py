"""A process of the bench: its use of the machine."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A running process."""

    pid: int

    def resident(self) -> tuple[float, float]:
        """Resident memory in MB: now, and its maximum so far."""
        lines = (line.split() for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        found = {words[0]: int(words[1]) for words in lines if words and words[0] in {"VmRSS:", "VmHWM:"}}
        return found["VmRSS:"] / 1024, found["VmHWM:"] / 1024

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
