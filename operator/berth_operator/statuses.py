"""How far a build is, is told to its project's receiver by Deliveries, which the notifier sends.

The Delivery is made before the build says so (condition Told), under a name that follows from what it tells: a crash
in between finds it there, and one that was deleted long after is not made again.
"""

import structlog

from berth_core import builds, conditions
from berth_core.conditions import Condition, condition
from berth_core.errors import AlreadyExistsError, InvalidError
from berth_core.resources import Build, Project
from berth_operator.build.commit_status import commit_status
from berth_operator.kinds import DELIVERIES
from berth_operator.world import World

log = structlog.get_logger(__name__)


async def tell(world: World, build: Build, project: Project) -> Condition | None:
    """Make the Delivery of how far a build is; the condition Told, None where nothing is to be told.

    ``build`` has the status that it will have. Raises ClusterError; then it is to be called again.
    """
    wanted = commit_status(build, project)
    if wanted is None:
        return None
    namespace, name = build.metadata.namespace, wanted["metadata"]["name"]
    message, before = f"Delivery {name} says how it went", conditions.find(build.status.conditions, builds.TOLD)
    if before is not None and before.message.endswith(message):
        return before
    holds, reason = True, "DeliveryMade"
    try:
        await world.client.create(DELIVERIES, namespace, wanted)
    except AlreadyExistsError:
        log.info("told before", build=build.metadata.name, delivery=name)
    except InvalidError as error:
        holds, reason = False, "DeliveryRefused"
        message = f"the cluster refuses it: {error.message}"[:900] + f". Delivery {name} says how it went"
    return condition(builds.TOLD, holds, reason, message, now=world.now())
