"""Keeping an instance: keep-alive pings, and a later end."""

from datetime import datetime
from typing import Final

import structlog

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.http.errors import MissingError
from berth_api.keepalive import expiry
from berth_api.keepalive.expiry import Extension
from berth_api.keepalive.renewals import Renewals
from berth_api.state import State
from berth_core import names
from berth_core.kube import errors as cluster
from berth_core.kube.swap import swap
from berth_core.kube.types import LEASES, Object
from berth_core.queue.order import applies, waits
from berth_core.resources import Instance, WorkspaceDeployment
from berth_core.resources.workspacetype import Limits

log = structlog.get_logger(__name__)

SILENCE_SECONDS: Final = 60
"""Time without a ping after which the operator ends the instance."""


def keeps(state: State, identity: Identity, instance_id: str) -> bool:
    """Whether a ping keeps an instance of the caller's, by the cache. Other pings count against the token's limit."""
    endings = state.caches.endings.by("id", instance_id)
    return any(one.is_kept_alive and access.may_use(identity, instance_id, one.user) for one in endings)


async def ping(state: State, identity: Identity, instance_id: str, monotonic_now: float) -> None:
    """Renew the keep-alive of an instance.

    While the cluster is out of reach, nothing is written and nothing is refused: old clients give up for good on an
    error, and silence counts only from when pings can be recorded again.
    """
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.CHANGE)
    try:
        instance = await lookups.instance_for(state, identity, instance_id)
        if not instance.spec.keep_alive:
            raise MissingError("keep-alive was not asked for when this instance was made")
        access.need_active(instance)
        if not state.part(Renewals).is_recent(instance_id, monotonic_now):
            await _renew(state, instance)
            state.part(Renewals).remember(instance_id, monotonic_now)
    except (cluster.UnavailableError, cluster.ConflictError) as error:
        log.warning("keep-alive not renewed", instance=instance_id, error=error.message)


async def extend(state: State, identity: Identity, instance_id: str, expire_d: int) -> str | None:
    """Put off the end of an instance to ``expire_d`` seconds from now.

    Returns the new end, None for an instance that is not ready yet. Raises an ApiError that says what is possible.
    """
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.CHANGE)

    async def attempt() -> str | None:
        instance = await lookups.instance_for(state, identity, instance_id)
        access.need_active(instance)
        wish = await _extension(state, identity, instance, expire_d)
        seconds = expiry.extended(wish, await state.now())
        try:
            changed = await _write(state, instance, seconds)
        except cluster.NotFoundError as error:
            raise access.instance_missing() from error
        end = expiry.expires(changed, wish.limits)
        log.info("extended", instance=instance_id, expire_after=seconds, expires=end)
        return end

    return await swap(attempt, f"instance {instance_id}")


async def _extension(state: State, identity: Identity, instance: Instance, expire_d: int) -> Extension:
    deployment = await lookups.deployment_of(state, instance)
    kind = await lookups.type_of(state, deployment) if deployment is not None else None
    if kind is not None:
        access.expire_after(identity, kind, expire_d)
    return Extension(
        instance=instance,
        limits=kind.spec.limits if kind is not None else Limits(),
        expire_d=expire_d,
        longest=identity.expire_d,
        others_wait=deployment is not None and _others_wait(state, deployment.resource, instance.spec.user),
    )


def _others_wait(state: State, deployment: WorkspaceDeployment, user: str) -> bool:
    """Whether another user waits for the deployment."""
    state.caches.need_fresh()
    if state.caches.queues().applying(deployment) == 0:
        return False
    others = (r for r in state.caches.reservations if r.spec.user != user and waits(r))
    return any(applies(reservation, deployment) for reservation in others)


async def _write(state: State, instance: Instance, seconds: int) -> Instance:
    metadata = instance.metadata
    body: Object = {
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "spec": {"expireAfter": seconds},
    }
    return Instance.parse(await state.client.patch(Instance.api(), metadata.namespace, metadata.name, body))


async def _renew(state: State, instance: Instance) -> None:
    """Record a ping now. By compare-and-swap, so that a late write does not undo a later one."""
    namespace, name = instance.metadata.namespace, names.keep_alive_lease(instance.public_id)
    spec = {"renewTime": _micro_time(state.client.clock.now())}
    try:
        lease = await state.client.get(LEASES, namespace, name)
    except cluster.NotFoundError:
        await state.client.create(LEASES, namespace, _lease(instance, name, spec))
    else:
        version = {"resourceVersion": lease["metadata"]["resourceVersion"]}
        await state.client.patch(LEASES, namespace, name, {"metadata": version, "spec": spec})


def _lease(instance: Instance, name: str, spec: Object) -> Object:
    # blockOwnerDeletion would need a further right, and nothing waits for this Lease.
    owner = {key: value for key, value in instance.reference().items() if key != "blockOwnerDeletion"}
    return {
        "apiVersion": LEASES.api_version,
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": instance.metadata.namespace,
            "labels": {names.INSTANCE_LABEL: instance.public_id, names.MANAGED_BY_LABEL: names.MANAGED_BY},
            "ownerReferences": [owner],
        },
        "spec": {"leaseDurationSeconds": SILENCE_SECONDS, **spec},
    }


def _micro_time(moment: datetime) -> str:
    """Format a time as the API server's MicroTime: always six digits of a second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
