"""kopf's watches. A handler keeps the object and puts keys into the work queue, nothing else."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import kopf

from berth_core import names
from berth_core.kube.cache import key_of
from berth_core.kube.streams import SILENT_SECONDS
from berth_core.kube.types import Kind
from berth_operator.engine.controllers import Controllers, wake, wake_gone
from berth_operator.engine.login import Login
from berth_operator.engine.readability import judge
from berth_operator.engine.resync import watch_begins
from berth_operator.engine.world import World

SERVER_SECONDS: Final = 290
CHUNK: Final = 100
"""Objects that are listed at once before a watch begins: each has a task of its own while it is dealt with."""
IDLE_SECONDS: Final = 0.05
"""How long such a task waits for more news of its object. It takes more memory than most objects."""


LoginError: Final = kopf.LoginError


async def run(world: World, ready: asyncio.Event) -> None:
    """Watch until cancelled. Raises LoginError in a group where the API server refuses this process's credentials."""
    # kopf would make one from the name of the user, which containers need not have; it exports no type for it.
    identity: Any = world.config.identity
    await kopf.operator(
        registry=registry(world, Login(world.config.kubeconfig, partial(watch_begins, world))),
        settings=settings(world.state(Controllers)),
        standalone=True,
        identity=identity,
        namespaces=list(world.config.workspace_namespaces),
        ready_flag=ready,
    )


def registry(world: World, login: Login) -> kopf.OperatorRegistry:
    """Handlers for every watched kind, and how to log in."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers)(login.open)
    for kind in world.state(Controllers).watches:
        group, _, version = kind.api_version.rpartition("/")
        kopf.on.event(group, version, kind.plural, id=f"keep-{kind.plural}", registry=handlers)(keeper(world, kind))
    return handlers


def settings(controllers: Controllers) -> kopf.OperatorSettings:
    """Only watching: no events posted, no annotations, no discovery of namespaces and kinds that come and go."""
    options = kopf.OperatorSettings()
    options.posting.enabled = False
    options.scanning.disabled = True
    options.watching.server_timeout = SERVER_SECONDS
    options.watching.client_timeout = SERVER_SECONDS + 30
    options.watching.connect_timeout = 5
    options.watching.chunk_size = CHUNK
    options.watching.initial_streaming = False  # Login tells of lists
    options.watching.inactivity_timeout = SILENT_SECONDS
    options.networking.request_timeout = 60
    options.persistence.finalizer = f"{names.GROUP}/unused"
    options.persistence.diffbase_storage = _NoStorage()
    options.queueing.idle_timeout = IDLE_SECONDS
    for kind in controllers.watches:
        if labels := controllers.labels(kind):
            group, _, version = kind.api_version.rpartition("/")
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            options.watching.label_selectors[(group, version, kind.plural)] = selector
    return options


class _NoStorage(kopf.DiffBaseStorage):
    """Spares a copy of the object for each event: only handlers of changes, of which there are none, look at it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def keeper(world: World, kind: Kind) -> Callable[..., Awaitable[None]]:
    """Return the handler of a kind: ``event`` has the ``type``, None for what a list showed, and the ``object``."""
    cache = world.cache[kind]

    async def keep(event: Any, **_: Any) -> None:
        world.last_event = time.monotonic()
        obj = event["object"]
        if event["type"] == "DELETED":
            cache.remove(obj)
            wake_gone(world, kind, obj)
            return
        before = cache.get(*key_of(obj))
        if not cache.hear(obj):
            return
        judge(world, kind, obj)
        after = cache.get(*key_of(obj))
        if after is not None and not world.state(Controllers).concerns_nobody(kind, before, after):
            wake(world, kind, after)

    return keep
