"""Histories in which the leader's machine is paused between a user's slot and the lease, until the slot is dropped.

Meanwhile the user takes another lease. No clock of the paused machine has noticed anything.
"""

import random
from typing import Final

from berth_core.slots import KEPT_SECONDS

from .actions import lock_out
from .faults import Faults
from .judgement import at_peace
from .stage import Setting, Stage
from .users import Users
from .wire import Request

PAUSE_SECONDS: Final = KEPT_SECONDS + 20.0
"""Somebody else leads after 7 s, and looks for slots every 5 s."""


def play(seed: str) -> Stage:
    """Play one: Ada waits with a Reservation or an Instance, and asks over HTTP when her slot is gone."""
    draw = random.Random(f"{seed} setting")
    stage = Stage(seed, Setting(deployments=2, quota=draw.choice((1, 1, None)), warm=draw.random() < 0.3))
    world, users, faults = stage.world, Users(stage), Faults(stage)
    paused, other = stage.operator(), stage.operator()
    stage.api()
    world.run(3.0)
    paused, other = (paused, other) if paused.leads else (other, paused)
    arrives = draw.choice((0.0, PAUSE_SECONDS + 0.001))

    def hold(request: Request) -> float:
        if request.method != "PATCH" or not ((request.body or {}).get("status") or {}).get("lease"):
            return 0.0
        paused.network.troubles.hold = None
        faults.freeze(paused.loop, PAUSE_SECONDS, machine=True)
        for machine in stage.machines:
            lock_out(stage, machine, PAUSE_SECONDS - 3.0)
        # Nobody leads when machines can be had again, so that Ada's own request is faster than her turn.
        world.at(PAUSE_SECONDS - 4.0, lambda: faults.freeze(other.loop, 4.0 + draw.uniform(0.0, 1.0), machine=False))
        world.at(PAUSE_SECONDS - 2.0, lambda: users.launch("ada", reserve=False, expire=None, again=False))
        return arrives

    paused.network.troubles.hold = hold
    waits = stage.instance if draw.random() < 0.5 else stage.reservation
    waits("ada")
    world.run(3.0 + PAUSE_SECONDS + 60.0)
    at_peace(stage)
    for name in users.instances.get("ada", ()):
        users.end("ada", name)
    world.run(world.now + 30.0)
    if not stage.oracle.used:
        stage.cluster.violated("I4: a lease of a former leader did not come into use when there was room")
    world.over = True
    return stage
