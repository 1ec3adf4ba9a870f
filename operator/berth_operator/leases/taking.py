"""Leases that the operator takes, within the quotas of their users; and slots whose taker is gone."""

import time
from dataclasses import dataclass, field

import structlog

from berth_core.leases import slots
from berth_core.leases.availability import Lease
from berth_core.leases.slots import Claimant, Places, Quota
from berth_core.reading import readable
from berth_core.resources import Account, WorkspaceDeployment
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import ACCOUNTS
from berth_operator.leases.slots import SlotKey, overdue

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 5.0


@dataclass
class SlotsSeen(TermState):
    """When each slot was first seen, on the monotonic clock."""

    since: dict[SlotKey, float] = field(default_factory=dict)

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.since.clear()


async def take_lease(world: World, wd: WorkspaceDeployment, *, instance: str, user: str, owner: bool = False) -> Lease:
    """Take the lease of a deployment, as it was seen, for an instance (public id). Safe to repeat.

    An ``owner`` gets it under maintenance too.

    Raises:
        berth_core.leases.slots.NoneLeftError: the user has as many of the type as allowed; others' turns go on.
        berth_core.leases.leasing.BusyError, berth_core.kube.errors.ClusterError: as ``leasing.take``.

    """

    async def leave(where: str, lease: Lease) -> None:
        # The pass over the waiter finds it. A process that was paused could take away what another has begun to use.
        log.warning(
            "lease left to the next reconciliation of its holder",
            namespace=where,
            deployment=lease.deployment,
            epoch=lease.epoch,
        )

    namespace, places, quota = wd.metadata.namespace, _places(world), _quota(world, wd.metadata.namespace, wd.spec.type)
    async with Claimant(world.client, places, instance=instance, user=user, undo=leave) as claimant:
        return await claimant.take(
            quota, namespace, wd.metadata.name, now=world.now(), after=wd.status.epoch, owner=owner
        )


async def beyond_quota(world: World, wd: WorkspaceDeployment) -> str:
    """Why the lease of a deployment, as just read, must not be used; empty where it is within its user's quota.

    The process that took it may have stood still between its slot and the lease.
    """
    lease, quota = wd.status.lease, _quota(world, wd.metadata.namespace, wd.spec.type)
    if lease is None or quota is None:
        return ""
    try:
        await slots.need_room(world.client, _places(world), quota, user=lease.user, instance=lease.instance)
    except slots.NoneLeftError as error:
        return str(error)
    return ""


def _places(world: World) -> Places:
    return Places(world.config.access_namespace, world.config.workspace_namespaces)


def _quota(world: World, namespace: str, type_name: str) -> Quota | None:
    type_ = world.type_named(namespace, type_name)
    return Quota.of(type_) if type_ is not None else None


async def sweep_slots(world: World, _key: Key) -> float | None:
    """Drop slots that have been there for so long that their taker must be gone."""
    access = world.config.access_namespace
    objects, _ = await world.client.list(ACCOUNTS, access, fields={"status.taking": "true"})
    present = {
        (account.metadata.name, slot.instance)
        for account in readable(Account, objects)
        for slot in account.status.slots
    }
    memory = world.state(SlotsSeen)
    memory.since, due = overdue(present, memory.since, time.monotonic())
    for account, instances in due.items():
        await slots.drop(world.client, access, account, instances)
        log.warning("dropped slots whose taker is gone", account=account, instances=sorted(instances))
    return SWEEP_SECONDS
