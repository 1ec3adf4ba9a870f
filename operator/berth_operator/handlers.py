"""What kopf watches for us. A handler keeps the object and puts keys into the work queue, nothing else."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import kopf

from berth_core import names
from berth_core.client import Kind, Object
from berth_operator.kinds import TYPES, WATCHED
from berth_operator.queueing import Key
from berth_operator.relist import SETTLE_SECONDS
from berth_operator.wake import wake
from berth_operator.world import RELIST, World

SERVER_SECONDS: Final = 290
INACTIVITY_SECONDS: Final = 90.0
"""The API server sends a bookmark about once a minute: a watch that is silent for longer is broken."""

Login = Callable[[], kopf.ConnectionInfo]


def registry(world: World, login: Login) -> kopf.OperatorRegistry:
    """Handlers for every watched kind, and how to log in."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(lambda **_: login())
    for kind in WATCHED:
        group, _, version = kind.api_version.rpartition("/")
        kopf.on.event(group, version, kind.plural, id=f"keep-{kind.plural}", registry=made)(_keep(world, kind))
    return made


def settings() -> kopf.OperatorSettings:
    """Only watching: no events posted, no annotations, no discovery of namespaces and kinds that come and go."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.watching.server_timeout = SERVER_SECONDS
    made.watching.client_timeout = SERVER_SECONDS + 30
    made.watching.connect_timeout = 5
    made.watching.inactivity_timeout = INACTIVITY_SECONDS
    made.networking.request_timeout = 60
    made.persistence.finalizer = f"{names.GROUP}/unused"
    made.persistence.diffbase_storage = _NothingKept()
    made.queueing.idle_timeout = 1.0
    for kind, labels in WATCHED.items():
        if labels:
            group, _, version = kind.api_version.rpartition("/")
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            made.watching.label_selectors[(group, version, kind.plural)] = selector
    return made


class _NothingKept(kopf.DiffBaseStorage):
    """Spares a copy of the object for each event: only handlers of changes, of which there are none, look at it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def only_marked(known: Object, obj: Object) -> bool:
    """Whether a type differs in what concerns the API's replicas alone. Else each reservation would wake it."""
    return _without_mark(known) == _without_mark(obj)


def _without_mark(obj: Object) -> tuple[Object, Object]:
    """Labels and annotations of a type decide nothing; what else there is of it counts with its generation."""
    status = {name: value for name, value in (obj.get("status") or {}).items() if name != "admissionMark"}
    metadata = {name: obj["metadata"].get(name) for name in ("uid", "generation", "deletionTimestamp")}
    return metadata, status


def _keep(world: World, kind: Kind) -> Callable[..., Awaitable[None]]:
    async def keep(event: Any, **_: Any) -> None:
        world.last_event = time.monotonic()
        obj = dict(event["object"])
        obj["metadata"] = dict(obj["metadata"])
        if event["type"] == "DELETED":
            world.store.remove(kind, obj)
            wake(world, kind, obj, gone=True)
            return
        known = world.store.get(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if world.store.put(kind, obj) and not (kind == TYPES and known is not None and only_marked(known, obj)):
            wake(world, kind, obj)
        if event["type"] is None:
            # The watch began anew. What vanished meanwhile is not among its events: a list shows it.
            world.queue.add_after(Key(RELIST, "", kind.plural), SETTLE_SECONDS)

    return keep
