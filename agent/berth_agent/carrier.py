"""Keeps the process running that carries streams to a machine behind a connector (:mod:`berth_agent.machine`)."""

import os
import sys
import time
from typing import Final

from berth_agent import log
from berth_agent.loop import pause
from berth_agent.paths import Paths

FILE: Final = "machine.json"
COMMAND: Final = (sys.executable, "-m", "berth_agent.machine")
LOOK_EVERY: Final = 1.0


def is_wanted(paths: Paths) -> bool:
    """Whether the lease has such a machine."""
    return os.path.exists(os.path.join(paths.secret, FILE))


async def keep(paths: Paths) -> None:
    """Start the process, and again when it has ended, for as long as the agent serves."""
    while is_wanted(paths):
        # Our own loop, and no shell.
        process = os.posix_spawn(COMMAND[0], COMMAND, os.environ)  # noqa: ASYNC221
        ended, status = 0, 0
        while not ended:
            await pause(time.monotonic() + LOOK_EVERY)
            ended, status = os.waitpid(process, os.WNOHANG)  # noqa: ASYNC222 (it does not wait)
        log.event("the carrier of the machine's streams ended", "error", status=os.waitstatus_to_exitcode(status))
        await pause(time.monotonic() + LOOK_EVERY)
