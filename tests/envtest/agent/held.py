"""Holds an agent's nftables transactions, before the kernel has them or after, by a library of our own under its own.

``LD_PRELOAD`` puts ``sendmsg`` of ``held.c`` before libc's, so that libnftables waits in it as it would in the kernel.
"""

import subprocess
from pathlib import Path
from typing import Literal

from .pod import Pod

SOURCE = Path(__file__).with_name("held.c")
Moment = Literal["before", "after"]


class Hold:
    """Transactions of a pod's agents, from the next one that starts, wait from ``begin`` to ``end``."""

    def __init__(self, pod: Pod, moment: Moment) -> None:
        library = pod.folder / "held.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE], check=True)
        self._file = pod.folder / "held"
        pod.variables |= {"LD_PRELOAD": str(library), f"HELD_{moment.upper()}": str(self._file)}

    def begin(self) -> None:
        self._file.touch()

    def end(self) -> None:
        self._file.unlink()
