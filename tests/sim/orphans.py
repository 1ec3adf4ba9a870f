"""Histories of D1: the API's clock is 40 s slow and its creates come up to 0.4 s late, and somebody else insists.

With a slow clock every lease looks old enough to be given back the moment it is taken. The guard of clocks (ADR 0022)
is off in the slow process: it believes its own.
"""

import random
import time
from datetime import UTC, datetime
from typing import Any, Final

from berth_core.kube.clock import StoreClock

from .api import Api
from .faults import Faults
from .judgement import at_peace
from .stage import Setting, Stage
from .users import Users
from .wire import Request

SLOW_SECONDS: Final = 40.0
LATE_SECONDS: Final = 0.4
INSIST_SECONDS: Final = 70.0
BUSY_SECONDS: Final = 8.0


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
    """Play one of D1: two users want one machine, the first through a process whose clock is slow."""
    stage = Stage(seed, Setting(deployments=1, slow=0.05, slow_seconds=0.2), calm=True)
    world = stage.world
    stage.operator()
    slow, right = stage.api(OwnClock()), stage.api()
    slow.loop.skew = -SLOW_SECONDS

    def hold(request: Request) -> float:
        return world.random.uniform(0.0, LATE_SECONDS) if _is_create(request) else 0.0

    slow.network.troubles.holds = [hold]
    _contend(stage, slow, right)
    world.run(80.0)
    at_peace(stage)
    world.over = True
    return stage


def play_late(seed: str) -> Stage:
    """Play one in which a create comes, or its process goes on, when the operator takes the lease for an orphan's."""
    draw = random.Random(f"{seed} setting")
    course = draw.choice(("any", "between", "after"))
    late = draw.choice((draw.uniform(28.0, 34.0), 30.0 + draw.uniform(-0.03, 0.05)))
    hooks, warm = draw.choice((((), True), ((), False), (("reset",), False)))
    stops, machine = draw.random() < 0.5, draw.random() < 0.6
    if course == "between":  # the operator's look and its tombstone; its process has not given it up
        stops, machine, late = True, True, 30.0 + draw.uniform(0.1, 0.9)
    elif course == "after":  # the tombstone, of a lease for which a pod was kept warm
        stops, machine, late, hooks, warm = True, True, draw.uniform(31.0, 34.0), (), True
    stage = Stage(seed, Setting(deployments=1, warm=warm, hooks=hooks, slow=0.05, slow_seconds=0.2))
    world = stage.world
    operator, faults = stage.operator(), Faults(stage)
    slow, right = stage.api(), stage.api()
    if course == "between":
        operator.network.troubles.holds = [lambda request: 1.0 if _is_create(request) else 0.0]

    def hold(request: Request) -> float:
        if not _is_create(request):
            return 0.0
        slow.network.troubles.holds = []
        if stops:
            faults.freeze(slow.loop, late, machine=machine)
        return late + 0.001

    slow.network.troubles.holds = [hold]
    users = _contend(stage, slow, right)
    world.at(50.0, lambda: users.again("ada"))
    world.run(130.0)
    at_peace(stage)
    world.over = True
    return stage


def _is_create(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/instances")


def _contend(stage: Stage, first: Api, second: Api) -> Users:
    """Ada asks the first process, and repeats failed requests; Bob asks the second one until a request succeeds."""
    world, users = stage.world, Users(stage)
    stage.apis.remove(second)

    def insist() -> None:
        if not users.instances.get("bob") and world.now < INSIST_SECONDS:
            stage.call(second, "/new/bench", "bob", {}, told)
            world.at(0.15 if world.now < BUSY_SECONDS else 1.0, insist)

    def told(status: int, body: dict[str, Any]) -> None:
        stage.cluster.say("bob", "was told", str(body.get("id", "")), str(status))
        if status == 200 and body.get("success"):
            stage.oracle.told("bob", body["id"])
            users.instances.setdefault("bob", []).append(body["id"])

    world.run(3.0)
    users.launch("ada", reserve=False, expire=None, again=not stage.calm)
    world.at(0.5, lambda: stage.apis.append(second))
    world.at(1.0, insist)
    return users
