"""Histories in which one write of the leader fails; it is made up for soon, and not at the next look at everything."""

import random
from typing import Final

from .judgement import at_peace
from .stage import Setting, Stage
from .traps import write_of
from .wire import Request

SOON_SECONDS: Final = 9.0
LATE_SECONDS: Final = 3.0
"""The operator has looked again, since it heard of its lease, before the slot is dropped."""
REFUSED_SECONDS: Final = 0.3


def play(seed: str) -> Stage:
    """Play one in which the lease for a Reservation is taken, its slot is dropped late, and the grant is refused."""
    draw = random.Random(f"{seed} setting")
    stage = Stage(seed, Setting(deployments=1, quota=draw.choice((1, 2)), slow=0.0))
    world, operator = stage.world, stage.operator()
    world.run(3.0)
    troubles = operator.network.troubles

    def hold(request: Request) -> float:
        write = write_of(request)
        if stage.oracle.leases and write == "PATCH accounts/status":
            return LATE_SECONDS
        if stage.oracle.leases and write == "PATCH reservations/status":
            troubles.holds = []
            troubles.refuse = 1.0
            world.at(REFUSED_SECONDS, lambda: setattr(troubles, "refuse", 0.0))
        return 0.0

    troubles.holds = [hold]
    stage.reservation("ada")
    world.run(3.0 + SOON_SECONDS)
    if troubles.holds or not stage.oracle.used:
        stage.cluster.violated("I4: a grant that was refused is not written again soon")
    world.run(70.0)
    at_peace(stage)
    world.over = True
    return stage
