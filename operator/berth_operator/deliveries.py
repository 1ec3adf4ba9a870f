"""Makes Deliveries, of which one user has only so many: the notifier sends them, and deletes those that are over."""

import time
from typing import Final

import structlog

from berth_core.kube.errors import AlreadyExistsError, ForbiddenError, InvalidError
from berth_core.kube.types import Object
from berth_operator.engine.world import World
from berth_operator.engine.writes import Refusals
from berth_operator.kinds import DELIVERIES

log = structlog.get_logger(__name__)

MOST: Final = 1000
"""Of one user in a namespace, those that are over among them."""
LONGEST: Final = 900


async def post(world: World, delivery: Object) -> str:
    """Make a Delivery, unless it is there; return why there will be none, empty where there is one. Safe to repeat.

    Without a Delivery a turn or a build is still over, and says so, without a webhook. Raises ClusterError.
    """
    namespace, name, user = delivery["metadata"]["namespace"], delivery["metadata"]["name"], delivery["spec"]["user"]
    deliveries, _ = await world.client.list(DELIVERIES, namespace, fields={"spec.user": user}, metadata_only=True)
    if any(one["metadata"]["name"] == name for one in deliveries):
        return ""
    if len(deliveries) >= MOST:
        return f"{user} has {len(deliveries)} Deliveries already: see to the receivers, which do not take them"
    try:
        await world.client.create(DELIVERIES, namespace, delivery)
    except AlreadyExistsError:
        log.info("told before", delivery=name)
    except (InvalidError, ForbiddenError) as error:
        # A quota may refuse at first what it lets in a moment later.
        if isinstance(error, ForbiddenError) and not world.state(Refusals).confirmed(name, time.monotonic()):
            raise
        return f"the cluster refuses the Delivery: {error.message}"[:LONGEST]
    world.state(Refusals).forget(name)
    return ""
