"""Histories of D1: the API's clock is 40 s slow and its creates come up to 0.4 s late, and somebody else insists.

With a slow clock every lease looks old enough to be given back the moment it is taken. The guard of clocks (ADR 0022)
is off in the slow process: it believes its own.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

from berth_core.clock import StoreClock

from .stage import Setting, Stage
from .wire import Request

SLOW_SECONDS: Final = 40.0
LATE_SECONDS: Final = 0.4


class OwnClock(StoreClock):
    """This machine's clock, taken for the store's."""

    @property
    def is_known(self) -> bool:
        return True

    def bounds(self) -> tuple[float, float]:
        now = self.now().timestamp()
        return now, now

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)


def play(seed: str) -> Stage:
    """Play one: two users want one machine, the first through a process whose clock is slow."""
    stage = Stage(seed, Setting(deployments=1, slow=0.05, slow_seconds=0.2))
    world = stage.world
    stage.operator()
    slow, right = stage.api(OwnClock()), stage.api()
    slow.loop.skew = -SLOW_SECONDS

    def hold(request: Request) -> float:
        made = request.method == "POST" and request.path.endswith("/instances")
        return world.random.uniform(0.0, LATE_SECONDS) if made else 0.0

    slow.network.troubles.hold = hold
    second: list[str] = []

    def told(user: str, status: int, body: dict[str, Any]) -> None:
        stage.cluster.say(user, "was told", str(body.get("id", "")), str(status))
        if status == 200 and body.get("success"):
            stage.oracle.told(user, body["id"])
            if user == "bob":
                second.append(body["id"])

    def insist() -> None:
        if not second and world.now < 60.0:
            stage.call(right, "/new/bench", "bob", {}, lambda status, body: told("bob", status, body))
            world.at(0.15, insist)

    world.run(3.0)
    stage.call(slow, "/new/bench", "ada", {}, lambda status, body: told("ada", status, body))
    world.at(1.0, insist)
    world.run(80.0)
    stage.world.over = True
    return stage
