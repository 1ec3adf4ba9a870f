"""Relays: how they are found, and which keys their changes concern."""

from typing import Final

from berth_core.kube.types import Object
from berth_operator.engine.cache import index_by
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.world import World
from berth_operator.kinds import DEPLOYMENT, DEPLOYMENTS, INSTANCE, INSTANCES, RELAYS
from berth_operator.relays import presence


def _relay(world: World, obj: Object, _gone: bool) -> None:
    namespace, deployment = obj["metadata"]["namespace"], obj["spec"]["deployment"]
    world.add(DEPLOYMENT, namespace, deployment)
    held = world.cache[DEPLOYMENTS].get(namespace, deployment)
    lease = ((held or {}).get("status") or {}).get("lease")
    if lease is not None:
        for instance in world.cache[INSTANCES].by("id", lease["instance"], namespace):
            world.add(INSTANCE, namespace, instance["metadata"]["name"])


CONTROLLER: Final = Controller(
    watches=(Watch(RELAYS, _relay, {"deployment": index_by("spec", "deployment")}),),
    background=(presence.run,),
)
