"""The condition Stalled: True while the cluster refuses, again and again, what the passes over an object write."""

from typing import Final

from berth_core.kube.conditions import Condition, condition, merged
from berth_core.kube.errors import ForbiddenError, InvalidError
from berth_core.kube.types import Kind, Object
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.kinds import BUILD, DEPLOYMENT, GRANT, INSTANCE, RESERVATION, TYPE

STALLED: Final = "Stalled"
SORTS: Final = frozenset({BUILD, DEPLOYMENT, GRANT, INSTANCE, RESERVATION, TYPE})
"""Sorts of keys whose pass says that it goes on: one for each kind, since another's success would deny it."""
LONGEST_WORDS: Final = 900


async def tell(world: World, key: Key, kind: Kind, obj: Object, error: Exception) -> None:
    """Say on the object of a key what refuses its passes, where the cluster does."""
    if key.sort not in SORTS or not isinstance(error, ForbiddenError | InvalidError):
        return
    message = f"the cluster refuses it: {error.message[:LONGEST_WORDS]}; correct the policy, quota or right that does"
    told = _stalled(obj)
    if told is None or (told["status"], told["message"]) != ("True", message):
        await _write(world, kind, obj, condition(STALLED, True, "ClusterRefuses", message, now=world.now()))


async def take_back(world: World, key: Key, kind: Kind) -> None:
    """Say that it goes on, where the object of a key whose pass has succeeded says otherwise."""
    obj = world.cache[kind].get(key.namespace, key.name)
    told = _stalled(obj) if key.sort in SORTS and obj is not None else None
    if obj is not None and told is not None and told["status"] == "True":
        await _write(world, kind, obj, condition(STALLED, False, "Proceeds", "it goes on", now=world.now()))


def _conditions(obj: Object) -> list[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _stalled(obj: Object) -> Object | None:
    return next((one for one in _conditions(obj) if one["type"] == STALLED), None)


async def _write(world: World, kind: Kind, obj: Object, said: Condition) -> None:
    metadata = obj["metadata"]
    known = map(Condition.model_validate, _conditions(obj))
    conditions = [one.wire() for one in merged(list(known), [said])]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": {"conditions": conditions}}
    live = await world.client.patch(kind, metadata["namespace"], metadata["name"], body, subresource="status")
    world.cache[kind].put(live)
