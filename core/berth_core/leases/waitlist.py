"""The live list of those who wait.

Whoever takes a lease, API or operator, reads it before: what was written before that read is in it, so that nobody
who waits already is passed by a newcomer. What is written after it came later than the newcomer.
"""

import asyncio
from typing import Final

from berth_core.kube.client import Client
from berth_core.queue.waiters import Waiter, in_turn
from berth_core.reading import readable
from berth_core.resources import Instance, Reservation

NOT_GRANTED: Final = {"status.grant.instance": ""}
NOT_BOUND: Final = {"spec.claim.deployment": "", "status.deployment": "", "status.reason": ""}
"""Nor over: those that ended while they waited are many, and whoever asks for a machine waits for this list."""


async def waiters(client: Client, namespace: str) -> list[Waiter]:
    """List those who wait in a namespace, consistently, in the order in which they are served."""
    (reservations, _), (instances, _) = await asyncio.gather(
        client.list(Reservation.api(), namespace, fields=NOT_GRANTED),
        client.list(Instance.api(), namespace, fields=NOT_BOUND),
    )
    return in_turn([*readable(Reservation, reservations), *readable(Instance, instances)])
