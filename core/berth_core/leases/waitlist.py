"""The live list of waiters.

API and operator read it before they take a lease. It has every waiter that was written before the read, so no
newcomer passes an earlier waiter. Later writes come after the newcomer.
"""

import asyncio
from typing import Final

from berth_core.kube.client import Client
from berth_core.queue.waiters import Waiter, in_turn
from berth_core.reading import readable
from berth_core.resources import Instance, Reservation

NOT_GRANTED: Final = {"status.grant.instance": ""}
NOT_BOUND: Final = {"spec.claim.deployment": "", "status.deployment": "", "status.reason": ""}
"""Instances without a lease that do not end. Ended ones are many, and every request for a machine reads this list."""


async def waiters(client: Client, namespace: str) -> list[Waiter]:
    """List the waiters in a namespace, read consistently, in the order in which they are served."""
    (reservations, _), (instances, _) = await asyncio.gather(
        client.list(Reservation.api(), namespace, fields=NOT_GRANTED),
        client.list(Instance.api(), namespace, fields=NOT_BOUND),
    )
    return in_turn([*readable(Reservation, reservations), *readable(Instance, instances)])
