"""Works a relay: one order, and where the Secret says how, a look whether power is then as it should be."""

import asyncio
from typing import Final

from berth_core.machines.reach import Networks
from berth_keeper import outcome, requesting, setting
from berth_keeper.credentials import Credentials, need
from berth_keeper.outcome import Outcome
from berth_keeper.templates import HttpRelay

ATTEMPT_SECONDS: Final = 15.0
"""Longest attempt, the look at the state included."""
LOOK_SECONDS: Final = 0.5
"""Between looks at the state."""


async def work(credentials: Credentials, do: str, networks: Networks) -> Outcome:
    """Make one attempt. Raises UnusableError where the Secret does not say how."""
    need(credentials, do)
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            if (failure := await _order(credentials, do, networks)) is not None:
                return failure
            if credentials.state is None or do == "cycle":
                return Outcome(outcome.SWITCHED, "the relay took the order")
            return await _seen(credentials, do, networks)
    except TimeoutError:
        return Outcome(outcome.TIMED_OUT, f"the relay did not answer within {ATTEMPT_SECONDS:.0f} s")


async def _seen(credentials: Credentials, do: str, networks: Networks) -> Outcome:
    """Look at the state until it is the one that is wanted, or for half of an attempt."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ATTEMPT_SECONDS / 2
    while True:
        shown = await _look(credentials, networks)
        if isinstance(shown, Outcome):
            return shown
        if shown is (do == "on"):
            return Outcome(outcome.SWITCHED, f"the relay says that power is {do}")
        if loop.time() >= until:
            return Outcome(outcome.STATE_DIFFERS, f"the relay took the order, and does not say that power is {do}")
        await asyncio.sleep(LOOK_SECONDS)


async def _order(credentials: Credentials, do: str, networks: Networks) -> Outcome | None:
    if isinstance(credentials, HttpRelay):
        return await requesting.order(credentials, do, networks)
    return await setting.order(credentials, do, networks)


async def _look(credentials: Credentials, networks: Networks) -> Outcome | bool | None:
    if isinstance(credentials, HttpRelay):
        return await requesting.look(credentials, networks)
    return await setting.look(credentials, networks)
