"""Announces a turn by a Delivery, which the notifier sends.

The Delivery is made before the reservation says so, and the same write says that nothing is left to be done. So a retry
after a crash in between finds it under the same name. A Delivery that was deleted long after is not made again.
"""

from berth_core.kube.conditions import Condition, condition
from berth_core.queue import order
from berth_core.resources import Reservation
from berth_operator.deliveries import post
from berth_operator.engine.world import World
from berth_operator.queue.delivery import delivery


async def tell(world: World, reservation: Reservation) -> Condition | None:
    """Make the Delivery of a turn that was taken; the condition Notified, None where no webhook is asked for."""
    now = world.now()
    manifest = delivery(reservation, now)
    if manifest is None:
        return None
    if why := await post(world, manifest):
        return condition(order.NOTIFIED, False, "DeliveryRefused", why, now=now)
    message = f"Delivery {manifest['metadata']['name']} reports the outcome"
    return condition(order.NOTIFIED, True, "DeliveryMade", message, now=now)
