"""Who wants to know of a turn is told by a Delivery, which the notifier sends.

The Delivery is made before the reservation says so, and the same write says that nothing is left to be done. So a crash
in between makes it again under the same name, which finds it there; and one that was deleted long after is not made
again.
"""

import structlog

from berth_core import queue
from berth_core.conditions import Condition, condition
from berth_core.errors import AlreadyExistsError, InvalidError
from berth_core.resources import Reservation
from berth_operator.build.delivery import delivery
from berth_operator.kinds import DELIVERIES
from berth_operator.world import World

log = structlog.get_logger(__name__)


async def tell(world: World, reservation: Reservation) -> Condition | None:
    """Make the Delivery of a turn that was taken; the condition Notified, None where nobody wants to be told."""
    now = world.now()
    wanted = delivery(reservation, now)
    if wanted is None:
        return None
    namespace, name = reservation.metadata.namespace, wanted["metadata"]["name"]
    try:
        await world.client.create(DELIVERIES, namespace, wanted)
    except AlreadyExistsError:
        log.info("told before", reservation=reservation.metadata.name, delivery=name)
    except InvalidError as error:
        # Nobody gains by a turn that never ends: the instance is there, and says so without a webhook.
        message = f"the cluster refuses the Delivery: {error.message}"[:1024]
        return condition(queue.NOTIFIED, False, "DeliveryRefused", message, now=now)
    return condition(queue.NOTIFIED, True, "DeliveryMade", f"Delivery {name} says how it went", now=now)
