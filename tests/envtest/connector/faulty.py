"""The connector, which kills or stops itself at its n-th step: ``python faulty.py kill|stop N ARMED -- ARGUMENTS``.

Steps are counted from when the file ARMED is there: before and after each write to the disk, each connection and each
write to the machine, and each end of a stream.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from berth_connector import __main__, files, machine

_how, _number, _armed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
_count = 0


def step() -> None:
    global _count
    if not os.path.exists(_armed):
        return
    _count += 1
    if _count == _number:
        with open(f"{_armed}.hit", "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL if _how == "kill" else signal.SIGSTOP)


def around(owner: Any, name: str) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        step()
        result = real(*args, **named)
        step()
        return result

    setattr(owner, name, wrapped)


around(os, "fsync")
around(os, "replace")
around(files, "replace")
around(machine.MachineStream, "cut")
around(socket.socket, "connect_ex")
around(socket.socket, "send")
sys.exit(__main__.main(sys.argv[sys.argv.index("--") + 1 :]))
