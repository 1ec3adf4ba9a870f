"""The condition Readable: False while the operator cannot read an object, and leaves it as it is."""

from typing import Final

import structlog

from berth_core.kube.cache import key_of
from berth_core.kube.conditions import condition
from berth_core.kube.errors import InvalidError, NotFoundError, UnreadableError
from berth_core.kube.types import Kind, Object
from berth_core.names import API_VERSION
from berth_core.reading import at
from berth_core.resources import KINDS, Resource
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.kinds import READABILITY

log = structlog.get_logger(__name__)

READABLE: Final = "Readable"
_WITH_STATUS: Final[dict[str, type[Resource]]] = {
    resource.PLURAL: resource for resource in KINDS if "status" in resource.model_fields
}


def judge(world: World, kind: Kind, obj: Object) -> None:
    """Ask for a pass where the status of an object that is in the store does not say whether it can be read."""
    namespace, name = key_of(obj)
    unreadable = world.cache[kind].unreadable_one(namespace, name) is not None
    if kind.plural in _WITH_STATUS and _is_reported(obj) != unreadable:
        world.add(READABILITY, namespace, f"{kind.plural}/{name}")


async def reconcile_readability(world: World, key: Key) -> float | None:
    """Write the condition of one object (``key.name`` is its plural and name)."""
    plural, _, name = key.name.partition("/")
    resource = _WITH_STATUS[plural]
    kind = resource.api()
    obj = world.cache[kind].get(key.namespace, name) or world.cache[kind].unreadable_one(key.namespace, name)
    if obj is None:
        return None
    why = _why_not(resource, obj)
    if _is_reported(obj) == (why is not None):
        return None
    metadata = obj["metadata"]
    generation, now = metadata.get("generation"), world.now()
    verdict = (
        condition(READABLE, False, "Unreadable", why, now=now, generation=generation)
        if why is not None
        else condition(READABLE, True, "Read", "it can be read", now=now, generation=generation)
    )
    body = {
        "apiVersion": API_VERSION,
        "kind": resource.KIND,
        "metadata": {"name": name, "namespace": key.namespace, "uid": metadata["uid"]},
        "status": {"conditions": [verdict.wire()]},
    }
    try:
        # Applied: a merge patch would need the other conditions, which may be what cannot be read.
        live = await world.client.apply(kind, body, subresource="status")
    except (InvalidError, NotFoundError) as error:
        log.warning("condition Readable cannot be written", kind=resource.KIND, name=name, error=error.message)
        return None
    world.cache[kind].put(live)
    return None


def _is_reported(obj: Object) -> bool:
    """Whether the status says that the object cannot be read."""
    conditions = at(obj, "status", "conditions")
    matches = [one for one in conditions if at(one, "type") == READABLE] if isinstance(conditions, list) else []
    return any(at(one, "status") == "False" for one in matches)


def _why_not(resource: type[Resource], obj: Object) -> str | None:
    try:
        resource.parse(obj)
    except UnreadableError as error:
        return str(error)
    return None
