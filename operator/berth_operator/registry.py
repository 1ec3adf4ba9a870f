"""Which pass belongs to which sort of key, and what happens with a key that keeps failing."""

from collections.abc import Awaitable, Callable
from typing import Final

from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Kind
from berth_operator.builds.cleanup import reconcile_remains
from berth_operator.builds.places import reconcile_places
from berth_operator.builds.reconcile import reconcile_build
from berth_operator.deployments.reconcile import reconcile_deployment, reconcile_type
from berth_operator.engine import events
from berth_operator.engine.errors import OperatorError
from berth_operator.engine.events import Complaint
from berth_operator.engine.resync import reconcile_relist
from berth_operator.engine.workqueue import Key, WorkQueue
from berth_operator.instances.expiry import urgency
from berth_operator.instances.reconcile import reconcile_instance
from berth_operator.kinds import BUILDS, DEPLOYMENTS, INSTANCES, RESERVATIONS, TYPES
from berth_operator.leases.taking import sweep_slots
from berth_operator.queue.reconcile import reconcile_turn
from berth_operator.queue.reservations import reconcile_reservation
from berth_operator.readability import reconcile_readability
from berth_operator.sweeps.expired import sweep_expired
from berth_operator.sweeps.history import sweep_history
from berth_operator.sweeps.orphans import reconcile_orphan, sweep_access
from berth_operator.sweeps.stale_writes import sweep_late
from berth_operator.warm.reconcile import reconcile_warm
from berth_operator.world import (
    ACCESS,
    BUILD,
    BUILD_REMAINS,
    DEPLOYMENT,
    EXPIRY,
    HISTORY,
    INSTANCE,
    LATE,
    ORPHAN,
    PLACES,
    READABILITY,
    RELIST,
    RESERVATION,
    SLOTS,
    TURN,
    TYPE,
    WARM,
    World,
)

Pass = Callable[[World, Key], Awaitable[float | None]]

PASSES: Final[dict[str, Pass]] = {
    INSTANCE: reconcile_instance,
    DEPLOYMENT: reconcile_deployment,
    TYPE: reconcile_type,
    ORPHAN: reconcile_orphan,
    RESERVATION: reconcile_reservation,
    TURN: reconcile_turn,
    ACCESS: sweep_access,
    EXPIRY: sweep_expired,
    HISTORY: sweep_history,
    RELIST: reconcile_relist,
    SLOTS: sweep_slots,
    LATE: sweep_late,
    WARM: reconcile_warm,
    BUILD: reconcile_build,
    PLACES: reconcile_places,
    BUILD_REMAINS: reconcile_remains,
    READABILITY: reconcile_readability,
}
_KINDS: Final[dict[str, Kind]] = {
    INSTANCE: INSTANCES,
    DEPLOYMENT: DEPLOYMENTS,
    TYPE: TYPES,
    RESERVATION: RESERVATIONS,
    WARM: DEPLOYMENTS,
    BUILD: BUILDS,
}


def make_queue(world: World) -> WorkQueue:
    """Work queue of a process."""

    async def reconcile(key: Key) -> float | None:
        return await PASSES[key.sort](world, key)

    async def on_stuck(key: Key, error: Exception) -> None:
        await _post_event(world, key, error)

    def urgent(key: Key) -> bool:
        found = world.store.get(INSTANCES, key.namespace, key.name) if key.sort == INSTANCE else None
        return found is not None and world.clock.trusted and urgency.must_end(found, world.now())

    return WorkQueue(reconcile, urgent=urgent, on_stuck=on_stuck)


async def _post_event(world: World, key: Key, error: Exception) -> None:
    """Tell people with ``kubectl describe`` about an object whose passes keep failing."""
    kind = _KINDS.get(key.sort)
    obj = world.store.get(kind, key.namespace, key.name) if kind else None
    if kind is None or obj is None:
        return
    message = str(error) if isinstance(error, ClusterError | OperatorError) else f"{type(error).__name__}: see the logs"
    await events.warn(world, obj, Complaint("ReconcileFailing", "Reconcile", message))
