"""One pass over the waiters for a type: takes leases for them, in the order of their turns.

The waiters are listed live, so that no later waiter passes an earlier one (invariant I3). Of one list as many turns are
decided as there are free deployments, in their order, and these leases are taken side by side. The next list decides
about those that could not be had.
"""

from collections.abc import Sequence
from typing import Final

from berth_core import state
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.leases import slots, waitlist
from berth_core.leases.slots import Quota
from berth_core.queue.waiters import Waiter
from berth_core.reading import report
from berth_core.resources import Account, Instance, Reservation, WorkspaceDeployment
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import together
from berth_operator.kinds import INSTANCE, INSTANCES
from berth_operator.leases.claiming import claim
from berth_operator.queue import reservations, waiting
from berth_operator.queue.selection import next_turns
from berth_operator.queue.waiting import PassedOver

MOST_TURNS: Final = 16
"""Turns that are taken side by side: each needs some requests at once."""
MOST_LISTS: Final = 8
"""Lists of one pass, so that no pass lasts for long."""
TELL_SECONDS: Final = 0.2
"""When a waiter that saw a free deployment and did not get it is told that it waits."""
QUOTA_SECONDS: Final = 1.0
"""When to look again where a slot that may go unused stood in the way."""

Turn = tuple[Waiter, WorkspaceDeployment]
Tried = set[tuple[str, str, str]]
"""Instance, and uid and version of a deployment: a deployment that could not be had in this pass, as it was then."""


async def reconcile_turn(world: World, key: Key) -> float | None:
    """Give free deployments of a type (``key.name``) to the waiters whose turn it is."""
    tried: Tried = set()
    for _ in range(MOST_LISTS):
        offered, turns = await _next_turns(world, key.namespace, key.name, tried)
        if not turns:
            _tell(world, key)
            return None
        await together(*(_take_turn(world, key, turn, offered, tried) for turn in turns))
    return 0.0


async def _next_turns(
    world: World, namespace: str, type_name: str, tried: Tried
) -> tuple[list[WorkspaceDeployment], list[Turn]]:
    """Return what is free, and the next turns by a live list of the waiters; none where there is none."""
    if not waiting.anybody(world, namespace):
        world.state(PassedOver).retain(namespace, ())
        return [], []
    offered = waiting.offered(world, namespace, type_name)
    if not offered:
        return [], []
    waiters = await waitlist.waiters(world.client, namespace)
    world.state(PassedOver).retain(namespace, {waiter.instance for waiter in waiters})

    def permitted(waiter: Waiter, wd: WorkspaceDeployment) -> bool:
        return _try(waiter, wd) not in tried and waiting.permitted(world, waiter, wd)

    # Asked after the list: a waiter on the list may have been given a lease before.
    able = (w for w in waiters if not waiting.holds_lease(world, w))
    kind = world.type_named(namespace, type_name)
    by_quota = kind is not None and Quota.of(kind) is not None
    turns = next_turns(able, offered, permitted, most=MOST_TURNS, one_each=by_quota)
    tried.update(_try(waiter, wd) for waiter, wd in turns)
    return offered, turns


async def _take_turn(world: World, key: Key, turn: Turn, offered: Sequence[WorkspaceDeployment], tried: Tried) -> None:
    """Take the lease of a turn, where it can be had, and go on to what follows from it."""
    (waiter, wd), namespace = turn, key.namespace
    _pass_over(world, waiter, "")
    try:
        lease = await claim(world, waiter, wd)
    except slots.NoneLeftError as error:
        # The user has as many of the type as allowed: the next one's turn. A lease that ends brings this one again.
        tried.update(_try(waiter, other) for other in offered)
        _pass_over(world, waiter, str(error))
        if error.passing:
            world.queue.add_after(key, QUOTA_SECONDS)
        return
    except UnreadableError as error:
        report(error)
        own = offered if error.kind == Account.KIND else [wd]
        tried.update(_try(waiter, other) for other in own)
        _pass_over(world, waiter, str(error))
        return
    if lease is None:
        return
    if isinstance(waiter.resource, Reservation):
        await reservations.grant(world, waiter.resource, lease)
    else:
        world.add(INSTANCE, namespace, waiter.name)


def _try(waiter: Waiter, wd: WorkspaceDeployment) -> tuple[str, str, str]:
    return waiter.instance, wd.metadata.uid, wd.metadata.resource_version


def _pass_over(world: World, waiter: Waiter, why: str) -> None:
    """Remember, for what an Instance says of itself, why its turn came to nothing."""
    if isinstance(waiter.resource, Instance):
        world.state(PassedOver)[waiter.resource.metadata.namespace, waiter.instance] = why


def _tell(world: World, key: Key) -> None:
    """Let those Instances that got nothing say that they wait."""
    for obj in world.cache[INSTANCES].by("waiting", "yes", key.namespace):
        if key.name in waiting.types_for(world, key.namespace, obj["spec"]) and not _says_that_it_waits(obj):
            world.queue.add_after(Key(INSTANCE, key.namespace, obj["metadata"]["name"]), TELL_SECONDS)


def _says_that_it_waits(obj: Object) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == state.BOUND and c["status"] == "False" for c in conditions)
