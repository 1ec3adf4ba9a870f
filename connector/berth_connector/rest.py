"""Brings the machine to rest by the host's own command, again and again until that succeeds."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from berth_connector import log

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
_KILLED: Final = 2.0
"""Seconds in which a killed command must be gone."""


async def until_done(command: Sequence[str], seconds: float, environment: Mapping[str, str]) -> None:
    """Run the command until it exits with 0. Without a command the machine is at rest once its sockets are closed."""
    pause = FIRST_PAUSE
    while command:
        problem = await once(command, seconds, environment)
        if problem is None:
            return
        log.event("onDisconnect failed", "error", message=problem, again_in=pause, **environment)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def once(command: Sequence[str], seconds: float, environment: Mapping[str, str]) -> str | None:
    """Run the command; None where it exits with 0, else what went wrong. Cancelled, it takes the command with it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{command[0]} cannot be started: {error}"
    try:
        status = await asyncio.wait_for(process.wait(), seconds)
    except asyncio.TimeoutError:
        return f"{command[0]} did not end within {seconds:g} s"
    finally:
        if process.returncode is None:
            _kill(process.pid)
    return None if status == 0 else f"{command[0]} ended with status {status}"


def _kill(pid: int) -> None:
    """Kill the command and all that it started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended just now
        return
