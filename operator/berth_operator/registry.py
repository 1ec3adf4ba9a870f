"""All subjects of the operator, in the order in which their passes are asked for, and the work queue."""

from functools import partial
from typing import Any, Final

from berth_core.kube.cache import Cache
from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Kind, Object
from berth_operator import networks
from berth_operator.builds import controller as builds
from berth_operator.deployments import controller as deployments
from berth_operator.enforcement import probe
from berth_operator.engine import events, stalled
from berth_operator.engine.cache import view
from berth_operator.engine.clock import Clock
from berth_operator.engine.controllers import Controller, Controllers
from berth_operator.engine.events import Complaint
from berth_operator.engine.readability import reconcile_readability
from berth_operator.engine.resync import reconcile_relist
from berth_operator.engine.workqueue import NOISY_AFTER, Key, WorkQueue
from berth_operator.engine.world import World
from berth_operator.errors import OperatorError
from berth_operator.instances import controller as instances
from berth_operator.instances.expiry import urgency
from berth_operator.kinds import (
    ACCESS,
    EXPIRY,
    HISTORY,
    INSTANCE,
    INSTANCES,
    LATE,
    ORPHAN,
    READABILITY,
    RELIST,
    SLOTS,
)
from berth_operator.leases.taking import sweep_slots
from berth_operator.machines import controller as machines
from berth_operator.machines import slices
from berth_operator.pods.projection import slim
from berth_operator.presence import prober
from berth_operator.queue import controller as queue
from berth_operator.quotas import controller as quotas
from berth_operator.settings.config import Config
from berth_operator.sweeps import archive, stale_writes
from berth_operator.sweeps.expired import sweep_expired
from berth_operator.sweeps.history import sweep_history
from berth_operator.sweeps.orphans import reconcile_orphan, sweep_access
from berth_operator.sweeps.stale_writes import sweep_late

SWEEPS: Final = Controller(
    passes={
        ORPHAN: reconcile_orphan,
        ACCESS: sweep_access,
        EXPIRY: sweep_expired,
        HISTORY: sweep_history,
        SLOTS: sweep_slots,
        LATE: sweep_late,
    },
    sweeps=(ACCESS, EXPIRY, HISTORY, SLOTS, LATE),
    background=(stale_writes.run, archive.run),
)
CONTROLLERS: Final = Controllers(
    (
        instances.CONTROLLER,
        networks.CONTROLLER,
        deployments.CONTROLLER,
        machines.CONTROLLER,
        queue.CONTROLLER,
        builds.CONTROLLER,
        quotas.CONTROLLER,
        SWEEPS,
        Controller(background=(probe.run, prober.run, slices.run)),
        Controller(passes={RELIST: reconcile_relist, READABILITY: reconcile_readability}),
    )
)


def make_world(config: Config, client: Client, clock: Clock, **more: Any) -> World:
    """Return the world of a process, with all subjects. ``more`` are fields of :class:`World`."""
    world = World(config, client, clock, make_caches(), **more)
    world.provide(Controllers, CONTROLLERS)
    world.queue = make_queue(world)
    return world


def make_caches() -> dict[Kind, Cache[Object]]:
    """Return an empty cache for each kind that is watched."""
    return {kind: Cache(partial(_kept, kind), indexes) for kind, indexes in CONTROLLERS.indexes.items()}


def _kept(kind: Kind, obj: Object) -> Object | None:
    return view(kind, slim(kind, obj))


def make_queue(world: World) -> WorkQueue:
    """Return the work queue of a process."""

    async def reconcile(key: Key) -> float | None:
        again_after = await CONTROLLERS.passes[key.sort](world, key)
        if key.sort in CONTROLLERS.objects:
            await stalled.take_back(world, key, CONTROLLERS.objects[key.sort])
        return again_after

    async def on_stuck(key: Key, error: Exception, failures: int) -> None:
        kind = CONTROLLERS.objects.get(key.sort)
        obj = world.cache[kind].get(key.namespace, key.name) if kind else None
        if kind is None or obj is None:
            return
        if failures == NOISY_AFTER:
            await _post_event(world, obj, error)
        else:
            await stalled.tell(world, key, kind, obj, error)

    def urgent(key: Key) -> bool:
        obj = world.cache[INSTANCES].get(key.namespace, key.name) if key.sort == INSTANCE else None
        if obj is None:
            return False
        return urgency.is_half_open(obj) or (world.clock.trusted and urgency.must_end(obj, world.now()))

    return WorkQueue(reconcile, urgent=urgent, on_stuck=on_stuck)


async def _post_event(world: World, obj: Object, error: Exception) -> None:
    """Tell people with ``kubectl describe`` about an object whose passes keep failing."""
    message = str(error) if isinstance(error, ClusterError | OperatorError) else f"{type(error).__name__}: see the logs"
    await events.warn(world, obj, Complaint("ReconcileFailing", "Reconcile", message))
