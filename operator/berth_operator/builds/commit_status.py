"""Reports a build's progress to its project's receiver by Deliveries, which the notifier sends.

The Delivery is made before the build's condition Told, under a name that follows from its content. A retry after a
crash finds it there, and a Delivery that was deleted long after is not made again.
"""

from berth_core import builds
from berth_core.kube import conditions
from berth_core.kube.conditions import Condition, condition
from berth_core.resources import Build, Project
from berth_operator.builds.manifests.commit_status import commit_status
from berth_operator.deliveries import post
from berth_operator.engine.world import World


async def tell(world: World, build: Build, project: Project) -> Condition | None:
    """Make the Delivery of how far a build is; the condition Told, None where nothing is to be told.

    ``build`` has the status that it will have. Raises ClusterError; then it is to be called again.
    """
    delivery = commit_status(build, project)
    if delivery is None:
        return None
    message = f"Delivery {delivery['metadata']['name']} reports the outcome"
    before = conditions.find(build.status.conditions, builds.TOLD)
    if before is not None and before.message.endswith(message):
        return before
    if why := await post(world, delivery):
        return condition(builds.TOLD, False, "DeliveryRefused", f"{why}. {message}", now=world.now())
    return condition(builds.TOLD, True, "DeliveryMade", message, now=world.now())
