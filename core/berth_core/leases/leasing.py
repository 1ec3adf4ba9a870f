"""Taking and giving back the lease of a deployment (docs: design invariants I1 and I2).

A lease is ``WorkspaceDeployment.status.lease``. It is taken and given back by one compare-and-swap of the
status at a resourceVersion that was just read live; CEL rules on the resource refuse everything else. The API
process and the operator both call these functions and nothing else writes the lease.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth_core import overrides
from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.kube.conditions import Condition, condition, merged
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.base import Returned
from berth_core.resources.workspacedeployment import HeldLease

AVAILABLE: Final = "Available"
BEGUN: Final = "Begun"
"""False while something of an earlier deployment of the same name is left; absent where nothing ever was."""
CLEANING: Final = "Cleaning"
QUARANTINED: Final = "Quarantined"
ATTEMPTS: Final = 8
"""Lost compare-and-swaps after which a writer gives up. Only other writers of the same status cause them."""
BACK_OFF_SECONDS: Final = 0.002


class BusyError(Exception):
    """The deployment cannot be had now. ``reason`` is the reason of its Available condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Lease:
    """A lease that was taken: name of the deployment and epoch."""

    deployment: str
    epoch: int

    def goes_back(self, mark: Returned | None) -> bool:
        """Whether the status of whom it was taken for says that it is never used."""
        return mark is not None and (mark.deployment, mark.epoch) == (self.deployment, self.epoch)


def availability(wd: WorkspaceDeployment, *, now: datetime) -> Condition:
    """Return the Available condition that follows from a deployment's spec and status. Pure.

    Reasons: Dissolved, Cleaning, Leased, Deleting, Quarantined, Lockout, IdConflict, OverridesConflict, Offline,
    New, Free; the first that applies.
    """
    truths = {c.type: c for c in wd.status.conditions if c.status == "True"}
    falsehoods = {c.type: c for c in wd.status.conditions if c.status == "False"}
    lease = wd.status.lease
    if wd.spec.dissolved is not None:
        reason, message = "Dissolved", f"taken away for good at {wd.spec.dissolved}"
    elif lease is not None and CLEANING in truths:
        reason, message = CLEANING, truths[CLEANING].message
    elif lease is not None:
        reason, message = "Leased", f"{lease.user} has it since {lease.claimed_at}{_deleted_while_leased(wd)}"
    elif wd.metadata.deletion_timestamp:
        reason, message = "Deleting", "it is being deleted"
    elif QUARANTINED in truths:
        reason, message = QUARANTINED, truths[QUARANTINED].message
    elif wd.spec.lockout:
        reason, message = "Lockout", "spec.lockout refuses new instances"
    elif (conflict := truths.get("IdConflict") or truths.get(overrides.CONFLICT)) is not None:
        reason, message = conflict.type, conflict.message
    elif "Online" in falsehoods:
        reason, message = "Offline", falsehoods["Online"].message
    elif not wd.has_begun:
        reason, message = "New", falsehoods[BEGUN].message if BEGUN in falsehoods else "Berth has not looked at it yet"
    else:
        reason, message = "Free", "can be had now"
    return condition(AVAILABLE, reason == "Free", reason, message, now=now, generation=wd.metadata.generation)


def _deleted_while_leased(wd: WorkspaceDeployment) -> str:
    if not wd.metadata.deletion_timestamp:
        return ""
    return f"; it is being deleted, and goes when that has ended: `berth release {wd.metadata.name}` ends it"


async def take(
    client: Client,
    namespace: str,
    deployment: str,
    *,
    instance: str,
    user: str,
    now: datetime,
    seen: WorkspaceDeployment | None = None,
    after: int | None = None,
) -> Lease:
    """Take the lease of a deployment for an instance (public id). Safe to repeat: the holder gets his lease again.

    Who has just read the deployment live passes it as ``seen``, which saves a read: the first compare-and-swap is at
    its resourceVersion. ``after`` is the epoch at which the caller has judged who may have it: what was read of a
    machine counts until the machine has another holder.

    Raises:
        BusyError: somebody has it or had it since, or it is locked, dissolved, offline or in quarantine.
        berth_core.kube.errors.NotFoundError: no such deployment.
        berth_core.kube.errors.UnavailableError: the cluster cannot be asked, or others kept writing.

    """
    for attempt in range(ATTEMPTS):
        await _let_others_finish(attempt)
        wd, seen = seen or await _read(client, namespace, deployment), None
        held = wd.status.lease
        if held is not None and held.instance == instance:
            return Lease(deployment, wd.status.epoch)
        free = availability(wd, now=now)
        if free.status != "True":
            raise BusyError(free.reason, free.message)
        if after is not None and wd.status.epoch != after:
            raise BusyError("Leased", f"it was free after epoch {after}, and somebody has had it since")
        lease = HeldLease(instance=instance, user=user, claimed_at=timestamp(now))
        epoch = wd.status.epoch + 1
        if await _swap(client, wd, lease, {"epoch": epoch}, now):
            return Lease(deployment, epoch)
    raise errors.UnavailableError(f"others kept writing the status of deployment {deployment}")


async def give_back(
    client: Client,
    namespace: str,
    lease: Lease,
    *,
    instance: str,
    completed: bool,
    now: datetime,
    conditions: Sequence[Condition] = (),
) -> None:
    """Give a lease back; call it only when all that the lease opened was observed gone. Safe to repeat.

    A lease that is not the live one (other holder, later epoch, deployment deleted) is left alone.
    ``completed`` counts the instance as one that was ready. ``conditions`` are written by the same compare-and-swap,
    so that nobody can take a deployment between its lease's end and its quarantine.
    """
    for attempt in range(ATTEMPTS):
        await _let_others_finish(attempt)
        try:
            wd = await _read(client, namespace, lease.deployment)
        except errors.NotFoundError:
            return
        held = wd.status.lease
        if held is None or held.instance != instance or wd.status.epoch != lease.epoch:
            return
        told = wd.status.model_copy(update={"conditions": merged(wd.status.conditions, conditions)})
        wd = wd.model_copy(update={"status": told})
        if await _swap(client, wd, None, {"instances": wd.status.instances + int(completed)}, now):
            return
    raise errors.UnavailableError(f"others kept writing the status of deployment {lease.deployment}")


async def _read(client: Client, namespace: str, deployment: str) -> WorkspaceDeployment:
    return WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, deployment))


async def _let_others_finish(attempt: int) -> None:
    """Wait a little before another try, longer each time, so that writers do not keep stepping on each other."""
    if attempt:
        await asyncio.sleep(random.uniform(0.0, BACK_OFF_SECONDS * 2**attempt))  # noqa: S311 (jitter)


async def _swap(
    client: Client, wd: WorkspaceDeployment, lease: HeldLease | None, fields: Object, now: datetime
) -> bool:
    after = wd.model_copy(update={"status": wd.status.model_copy(update={"lease": lease})})
    conditions = merged(wd.status.conditions, [availability(after, now=now)])
    body = {
        "metadata": {"resourceVersion": wd.metadata.resource_version},
        "status": {
            **fields,
            "lease": lease.wire() if lease else None,
            "conditions": [c.wire() for c in conditions],
        },
    }
    try:
        await client.patch(
            WorkspaceDeployment.api(), wd.metadata.namespace, wd.metadata.name, body, subresource="status"
        )
    except errors.ConflictError:
        return False
    return True
