"""A leader is stopped at one of its writes, another takes over and comes to the end, and then the first goes on."""

import asyncio
import re
import signal
import time
import urllib.request
from collections.abc import Awaitable
from dataclasses import dataclass

from forked import Process

from .proxy import FaultProxy
from .scenarios import Scenario
from .stage import Replica, Stage
from .waiting import until

LEADING = re.compile(r"^berth_operator_leading (\S+)$", re.MULTILINE)
REFUSED = 409
"""One write may have been between its check and the wire when the process was stopped. No check ends that; the version
that it names does."""
STRUCK_SECONDS = 30.0
TAKEN_OVER_SECONDS = 40.0
NOTICED_SECONDS = 10.0
SETTLED_SECONDS = 100.0
"""In which all is well again: one that has begun to lead looks every minute for what another wrote too late."""


@dataclass(frozen=True)
class Point:
    """Where a process is stopped: the number of a write, and whether the API server hears of that only afterwards.

    A write that is held stands for one that was about to be sent, or was on its way for so long.
    """

    write: int
    held: bool

    def __str__(self) -> str:
        return f"a pause {'before' if self.held else 'after'} write {self.write}"

    def stop(self, proxy: FaultProxy, process: Process) -> None:
        """Stop a process when it comes there."""
        strike = proxy.hold_at if self.held else proxy.strike_after
        strike(self.write, lambda: process.send_signal(signal.SIGSTOP))


@dataclass(frozen=True)
class Pause:
    """A scenario whose leader is stopped at a point for at least this number of seconds."""

    scenario: Scenario
    point: Point
    seconds: float

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.point}"


async def paused(stage: Stage, pause: Pause, pair: tuple[Replica, Replica], wanted: list[str]) -> None:
    """Play a scenario with a pause of its leader; in the end it is the one that waits, and all is as it was wanted."""
    leader, heir = pair
    await pause.scenario.before(stage)
    await stage.silent(leader, quiet=0.4)
    pause.point.stop(leader.proxy, leader.process)
    acting = asyncio.ensure_future(pause.scenario.act(stage))
    over = asyncio.ensure_future(_after(acting, pause.scenario.over(stage)))
    try:
        await asyncio.wait_for(leader.proxy.struck.wait(), STRUCK_SECONDS)
        stopped = time.monotonic()
        await stage.leads(heir, seconds=TAKEN_OVER_SECONDS)
        await over
        await stage.comes_to(wanted, heir, after=f"{pause}, while it lasts,")
        await asyncio.sleep(max(0.0, stopped + pause.seconds - time.monotonic()))
    finally:
        over.cancel()
        before, under_way = len(leader.proxy.writes), leader.proxy.under_way
        leader.process.send_signal(signal.SIGCONT)
        leader.proxy.let_go()
    port = stage.operators.ports[leader.number]
    await until(lambda: does_not_lead(port), f"after {pause} it notices that it does not lead", NOTICED_SECONDS)
    await stage.settled(leader)
    late = leader.proxy.writes[before:]
    done = [write for write in late if write.status != REFUSED]
    assert len(done) <= under_way, f"after {pause} more than what was under way was written: {late}"
    assert len(late) <= under_way + 1, f"after {pause} more was sent than it had begun to send: {late}"
    await stage.comes_to(wanted, heir, after=str(pause), seconds=SETTLED_SECONDS)
    assert await stage.is_led_by(heir), f"after {pause} another leads"


async def does_not_lead(port: int) -> bool:
    """Whether the operator that listens there says that it does not lead; False where it says nothing in time."""
    address = f"http://127.0.0.1:{port}/metrics"
    try:
        answer = await asyncio.to_thread(urllib.request.urlopen, address, None, 5)
        found = LEADING.search(answer.read().decode())
    except OSError:
        return False
    return found is not None and float(found[1]) == 0


async def _after(acting: "asyncio.Future[None]", over: Awaitable[None]) -> None:
    await acting
    await over
