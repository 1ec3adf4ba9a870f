"""Taking and giving back the lease of a deployment (docs: design invariants I1 and I2).

A lease is ``WorkspaceDeployment.status.lease``. It is taken and given back by one compare-and-swap of the
status at the resourceVersion that the decision rests on; CEL rules on the resource refuse everything else. The API
process and the operator both call these functions and nothing else writes the lease.
"""

from collections.abc import Sequence
from datetime import datetime

from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.kube.conditions import Condition, merged
from berth_core.kube.model import timestamp
from berth_core.kube.swap import swap
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease, availability
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.workspacedeployment import HeldLease


class BusyError(Exception):
    """The deployment cannot be had now. ``reason`` is the reason of its Available condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


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
    owner: bool = False,
) -> Lease:
    """Take the lease of a deployment for an instance (public id). Idempotent: the holder gets its lease again.

    The deployment is read live, and again while others write it. A caller that has decided on one version of it, which
    may be from a cache, passes that as ``seen``: then there is one attempt, at its resourceVersion. ``after`` is the
    epoch at which the caller has decided who may have the deployment: the decision is void once the deployment has had
    another holder. An ``owner`` gets it under maintenance too.

    Raises:
        BusyError: somebody has it or had it since, or it is locked, dissolved, offline, in quarantine or in
            maintenance.
        berth_core.kube.errors.ConflictError: it has changed since ``seen``, so the caller has to decide anew.
        berth_core.kube.errors.NotFoundError: no such deployment.
        berth_core.kube.errors.UnavailableError: the cluster cannot be reached, or others kept writing.

    """

    async def attempt() -> Lease:
        wd = seen or await _read(client, namespace, deployment)
        holder = wd.status.lease
        if holder is not None and holder.instance == instance:
            return Lease(deployment, wd.status.epoch)
        free = availability(wd, now=now, owner=owner or user in wd.spec.owners)
        if free.status != "True":
            raise BusyError(free.reason, free.message)
        if after is not None and wd.status.epoch != after:
            raise BusyError("Leased", f"it was free after epoch {after}, and somebody has had it since")
        lease = HeldLease(instance=instance, user=user, claimed_at=timestamp(now), on_end=wd.ends)
        epoch = wd.status.epoch + 1
        await _swap(client, wd, lease, {"epoch": epoch}, now)
        return Lease(deployment, epoch)

    if seen is not None:
        return await attempt()
    return await swap(attempt, f"the status of deployment {deployment}")


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
    """Give a lease back. Call it only once everything that the lease opened was observed gone. Idempotent.

    The deeds that it owes (``status.lease.onEnd``) are done by then, or ``conditions`` have a quarantine. A lease that
    nobody used owes none.

    A lease that is not the live one (other holder, later epoch, deployment deleted) is left alone.
    ``completed`` counts the instance as one that was ready. ``conditions`` are written by the same compare-and-swap,
    so that nobody can take a deployment between its lease's end and its quarantine.
    """

    async def attempt() -> None:
        try:
            wd = await _read(client, namespace, lease.deployment)
        except errors.NotFoundError:
            return
        holder = wd.status.lease
        if holder is None or holder.instance != instance or wd.status.epoch != lease.epoch:
            return
        status = wd.status.model_copy(update={"conditions": merged(wd.status.conditions, conditions)})
        wd = wd.model_copy(update={"status": status})
        fields: Object = {"instances": wd.status.instances + int(completed)}
        if holder.on_end:
            fields["settled"] = lease.epoch
        await _swap(client, wd, None, fields, now)

    await swap(attempt, f"the status of deployment {lease.deployment}")


async def _read(client: Client, namespace: str, deployment: str) -> WorkspaceDeployment:
    return WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, deployment))


async def _swap(
    client: Client, wd: WorkspaceDeployment, lease: HeldLease | None, fields: Object, now: datetime
) -> None:
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
    await client.patch(WorkspaceDeployment.api(), wd.metadata.namespace, wd.metadata.name, body, subresource="status")
