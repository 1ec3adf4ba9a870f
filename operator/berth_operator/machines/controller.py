"""MachineGrants: what wakes them, and how deployments and grants are found by each other."""

from collections.abc import Iterable
from typing import Final

from berth_core.kube.types import Object
from berth_operator.engine.cache import index_by
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.world import World
from berth_operator.kinds import DEPLOYMENTS, GRANT, GRANTS, TYPES
from berth_operator.machines import grants


def _grant(world: World, obj: Object, _gone: bool) -> None:
    world.add(GRANT, obj["metadata"]["namespace"], obj["metadata"]["name"])


def _deployment(world: World, obj: Object, gone: bool) -> None:
    grants.note(world, obj, gone=gone)


def _type(world: World, obj: Object, _gone: bool) -> None:
    namespace = obj["metadata"]["namespace"]
    for grant in world.cache[GRANTS].by("type", obj["spec"]["typeName"], namespace):
        _grant(world, grant, False)


def _types(grant: Object) -> Iterable[str]:
    return set(grant["spec"]["types"])


CONTROLLER: Final = Controller(
    watches=(
        Watch(GRANTS, _grant, {"type": _types}),
        Watch(DEPLOYMENTS, _deployment, {grants.BY_GRANT: index_by("spec", "grant")}),
        Watch(TYPES, _type),
    ),
    passes={GRANT: grants.reconcile_grant},
    objects={GRANT: GRANTS},
)
