"""Keep-alive: when an instance's holder was heard last, read live and only when it matters.

The API process renews a Lease at each ping. Nobody watches these: an instance is looked at again when its time
would be up, and the Lease is read then.
"""

from datetime import datetime
from typing import Final

from berth_core import names
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.resources import Instance
from berth_operator.engine.world import World
from berth_operator.instances.keepalive.decide import MOST_SILENCE, quiet_since
from berth_operator.instances.memory import Memory
from berth_operator.kinds import LEASES, PODS
from berth_operator.leadership.availability import Steadiness

API_PODS: Final = {"app.kubernetes.io/name": "berth", names.COMPONENT_LABEL: "api"}


async def quiet(world: World, instance: Instance, memory: Memory, now: datetime) -> datetime | None:
    """Since when a ping is missing, as far as it is known without asking, else as the cluster says now.

    None for an instance that needs none.
    """
    steady = world.clock.by_the_store(world.state(Steadiness).since)
    since = quiet_since(instance, memory.ping, steady or now, now)
    if since is None or now < since + MOST_SILENCE:
        return since
    memory.ping = await _last_ping(world, instance)
    since = quiet_since(instance, memory.ping, since, now)
    if since is None or now < since + MOST_SILENCE:
        return since
    answered = await _answered_since(world) or now
    return quiet_since(instance, memory.ping, max(since, answered), now)


async def forget(world: World, instance: Instance) -> None:
    """Delete the Lease of an instance that has ended."""
    if instance.spec.keep_alive:
        await world.client.delete(LEASES, instance.metadata.namespace, names.keep_alive_lease(instance.public_id))


async def _last_ping(world: World, instance: Instance) -> datetime | None:
    try:
        lease = await world.client.get(LEASES, instance.metadata.namespace, names.keep_alive_lease(instance.public_id))
    except NotFoundError:
        return None
    renewed = (lease.get("spec") or {}).get("renewTime")
    return parse_time(renewed) if renewed else None


async def _answered_since(world: World) -> datetime | None:
    """Since when some replica of the API has been ready for sure; None while none is.

    Replicas that are gone meanwhile are not known: after a rollout this is later than the truth, never earlier.
    """
    pods, _ = await world.client.list(PODS, world.config.namespace, labels=API_PODS)
    return min((since for pod in pods if (since := _ready_since(pod)) is not None), default=None)


def _ready_since(pod: Object) -> datetime | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            return parse_time(condition["lastTransitionTime"])
    return None
