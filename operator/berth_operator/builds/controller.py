"""Kinds that builds rest on: how their objects are found, and which keys their changes concern."""

from collections.abc import Iterable
from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_operator.builds.cleanup import reconcile_remains
from berth_operator.builds.reconcile import reconcile_build, reconcile_places
from berth_operator.engine.cache import index_by, public_id
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.world import World
from berth_operator.kinds import (
    BUILD,
    BUILD_REMAINS,
    BUILDS,
    INSTANCES,
    JOBS,
    PLACES,
    PODS,
    PROJECTS,
    SERVICES,
)


def _build(world: World, obj: Object, gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    if gone:
        world.add(BUILD_REMAINS, namespace, public_id(obj))
    elif _is_over(obj):
        return
    else:
        world.add(BUILD, namespace, name)
    world.add(PLACES, namespace, "")


def _child(world: World, obj: Object, _gone: bool) -> None:
    build_id, namespace = (obj["metadata"].get("labels") or {}).get(names.BUILD_LABEL), obj["metadata"]["namespace"]
    if not build_id:
        return
    owners = world.cache[BUILDS].by("id", build_id, namespace)
    for owner in owners:
        world.add(BUILD, namespace, owner["metadata"]["name"])
    if not owners:
        world.add(BUILD_REMAINS, namespace, build_id)


def _is_over(obj: Object) -> bool:
    status = obj.get("status") or {}
    return bool(status.get("endTime")) and status.get("attempt") == obj["spec"].get("attempt", 1)


def _active(obj: Object) -> Iterable[str]:
    return () if _is_over(obj) else ("yes",)


_LABEL: Final = {"build": index_by("metadata", "labels", names.BUILD_LABEL)}
CONTROLLER: Final = Controller(
    watches=(
        Watch(PROJECTS),
        Watch(BUILDS, _build, {"id": lambda obj: (public_id(obj),), "active": _active}),
        Watch(INSTANCES, _child, _LABEL),
        Watch(PODS, _child, _LABEL),
        Watch(SERVICES, _child),
        Watch(JOBS, _child, _LABEL),
    ),
    passes={BUILD: reconcile_build, PLACES: reconcile_places, BUILD_REMAINS: reconcile_remains},
    objects={BUILD: BUILDS},
)
