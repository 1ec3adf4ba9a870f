"""A reservation's turn, from the lease that was taken for it to the Instance. Each step can be repeated.

1. The lease is taken, for an instance whose id follows from the reservation's uid (``queue/reconcile.py``).
2. ``status.grant`` says so, by a compare-and-swap: from then on the reservation cannot be given up. Where it was given
   up before, the lease goes back.
3. The Instance is made under that id, with its claim.
4. Where somebody is to be told, the Delivery is made (:mod:`berth_operator.queue.notify`).
5. The condition Fulfilled says that nothing is left to be done, and Notified that the Delivery was made.

The lease comes first (ADR 0009): what is granted is held already, so a grant need never be taken back, and from the
first moment on nobody else can have the deployment.
"""

import asyncio
import time
from typing import Final

import structlog

from berth_core import ids, names
from berth_core.keys.ssh import key_secret, make_key_pair
from berth_core.kube.conditions import Condition, condition, merged
from berth_core.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from berth_core.leases.availability import Lease, is_tombstone
from berth_core.queue import order
from berth_core.queue.waiters import Waiter
from berth_core.resources import Instance, Reservation, WorkspaceDeployment, manifest
from berth_core.resources.base import Returned
from berth_core.resources.instance import Claim, InstanceSpec
from berth_core.resources.reservation import Grant
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import Refusals, refresh, write_status
from berth_operator.kinds import INSTANCES, RESERVATION, RESERVATIONS, SECRETS
from berth_operator.leases import returning
from berth_operator.leases.live import Serving, held_deployment, read_deployment
from berth_operator.leases.taking import beyond_quota
from berth_operator.queue.notify import tell

log = structlog.get_logger(__name__)

ATTEMPTS: Final = 8
CLEARING_SECONDS: Final = 1.0
"""When to look again at warm objects of a lease that goes back."""
SERVED_SECONDS: Final = 2.0
"""For the write that follows its lease; where that failed, the next pass makes up for it."""


async def reconcile_reservation(world: World, key: Key) -> float | None:
    """Finish a turn that has begun; of one that has not, show that it waits."""
    obj = world.cache[RESERVATIONS].get(key.namespace, key.name)
    if obj is None:
        return None
    reservation = Reservation.parse(obj)
    if order.is_settled(reservation) or reservation.metadata.deletion_timestamp:
        return None
    try:
        return await _step(world, reservation)
    except (ConflictError, NotFoundError):
        await refresh(world, RESERVATIONS, key.namespace, key.name)
        if world.cache[RESERVATIONS].get(key.namespace, key.name) is None:
            return None  # it was given up meanwhile
        raise


async def _step(world: World, reservation: Reservation) -> float | None:
    if reservation.status.grant is not None:
        await _fulfil(world, reservation, reservation.status.grant)
        return None
    waiter = Waiter.of(reservation)
    # Where its turn is being taken, that goes on by itself; it may also fail between the lease and the grant.
    is_served = waiter.instance in world.state(Serving)
    wd = None if is_served else await held_deployment(world, waiter)
    if wd is None:
        await _write(world, reservation, [_waits(world, "its turn has not come")])
        return SERVED_SECONDS if is_served else None
    lease = Lease(wd.metadata.name, wd.status.epoch)
    if lease.goes_back(reservation.status.returned):
        gone = await returning.give_back(world, waiter.namespace, lease, waiter.instance)
        return 0.0 if gone else CLEARING_SECONDS
    if beyond := await beyond_quota(world, wd):
        mark = Returned(deployment=lease.deployment, epoch=lease.epoch)
        await _write(world, reservation, [_waits(world, beyond)], returned=mark)
        return 0.0
    await grant(world, reservation, lease)
    return None


def _waits(world: World, why: str) -> Condition:
    return condition(order.WAITING, True, "Waiting", why, now=world.now())


async def grant(world: World, reservation: Reservation, lease: Lease) -> None:
    """Write down the lease of a reservation; give it back where the reservation is gone or has another.

    The lease was read live after the reservation: had it gone back since, the compare-and-swap would fail.
    """
    namespace, name = reservation.metadata.namespace, reservation.metadata.name
    instance = ids.turn_instance(reservation.metadata.uid)
    entry = Grant(deployment=lease.deployment, epoch=lease.epoch, instance=instance)
    for _ in range(ATTEMPTS):
        if not order.waits(reservation):
            break
        if lease.goes_back(reservation.status.returned):
            world.add(RESERVATION, namespace, name)
            return
        try:
            await _write(world, reservation, [], given=entry)
        except (ConflictError, NotFoundError):
            await refresh(world, RESERVATIONS, namespace, name)
        else:
            log.info("granted", reservation=name, instance=instance, deployment=lease.deployment, epoch=lease.epoch)
            world.add(RESERVATION, namespace, name)
            return
        live = world.cache[RESERVATIONS].get(namespace, name)
        if live is None or live["metadata"]["uid"] != reservation.metadata.uid:
            break
        reservation = Reservation.parse(live)
        if await _deployment_of(world, namespace, lease, instance) is None:
            return  # it went back, and another one may be named as going back since
    else:
        raise UnavailableError(f"others kept writing the status of reservation {name}")
    if reservation.status.grant != entry:
        await _hand_over(world, namespace, lease, instance)


async def _deployment_of(world: World, namespace: str, lease: Lease, instance: str) -> WorkspaceDeployment | None:
    """Return the deployment of a lease, read live, where an instance holds that lease."""
    wd = await read_deployment(world, namespace, lease.deployment)
    lease_now = wd.status.lease if wd is not None else None
    if wd is None or lease_now is None or (lease_now.instance, wd.status.epoch) != (instance, lease.epoch):
        return None
    return wd


async def _fulfil(world: World, reservation: Reservation, granted: Grant) -> None:
    """Make the Instance, unless it was made before, and say so."""
    namespace, now = reservation.metadata.namespace, world.now()
    claim = Claim(deployment=granted.deployment, epoch=granted.epoch)
    problem: tuple[str, str] | None = None
    instance = await _instance(world, namespace, granted.instance)
    if instance is not None and is_tombstone(instance):
        problem = "LeaseLost", f"the lease of {granted.deployment} went back before its instance was made"
    elif instance is not None and instance.spec.claim != claim:
        problem = "NameTaken", f"there is another Instance named {granted.instance}"
    elif instance is None:
        lease = Lease(granted.deployment, granted.epoch)
        if await _deployment_of(world, namespace, lease, granted.instance) is None:
            # It ended and was deleted before this was written down, or an administrator took the lease away.
            problem = "LeaseLost", f"the lease of {granted.deployment} is not its own any more"
        else:
            problem = await _make(world, reservation, granted.instance, claim)
    reason, message = problem or ("Fulfilled", f"its instance {granted.instance} has {granted.deployment}")
    shown = [
        condition(order.WAITING, False, reason, message, now=now),
        condition(order.FULFILLED, not problem, reason, message, now=now),
    ]
    if problem is None and (notified := await tell(world, reservation)) is not None:
        shown.append(notified)
    await _write(world, reservation, shown)
    if problem is not None:
        await _hand_over(world, namespace, Lease(granted.deployment, granted.epoch), granted.instance)
    log.info("turn taken", reservation=reservation.metadata.name, instance=granted.instance, reason=reason)


async def _make(world: World, reservation: Reservation, name: str, claim: Claim) -> tuple[str, str] | None:
    """Make the Instance; where the cluster refuses it for good, return reason and message."""
    namespace = reservation.metadata.namespace
    request = reservation.spec.instance
    keys = request.ssh_keys or [await _public_key(world, name)]
    spec: InstanceSpec = request.model_copy(
        update={
            "user": reservation.spec.user,
            "workspace_type": None,
            "deployments": [claim.deployment],
            "claim": claim,
            "ssh_keys": keys,
            "terminate": False,
        }
    )
    try:
        # A token's label comes along: ending the objects that a token made ends this one too.
        labels = {key: value for key, value in reservation.metadata.labels.items() if key == names.TOKEN_LABEL}
        body = manifest(Instance, namespace, name, spec, labels=labels, finalizers=[names.FENCE_FINALIZER])
        answer = await world.client.create(INSTANCES, namespace, body)
    except UnavailableError:
        raise
    except (InvalidError, ForbiddenError) as error:
        # A policy, a quota or a webhook may refuse at first what it lets in when its API server has read everything.
        if isinstance(error, ForbiddenError) and not world.state(Refusals).confirmed(name, time.monotonic()):
            raise
        return "InstanceRefused", f"the cluster refuses spec.instance: {error.message}"[:1024]
    world.state(Refusals).forget(name)
    world.cache[INSTANCES].put(answer)
    return None


async def _public_key(world: World, instance: str) -> str:
    """Make a key pair for a user who brought no key, and keep it for them; return the public key."""
    pair = await asyncio.to_thread(make_key_pair)
    namespace = world.config.access_namespace
    try:
        await world.client.create(SECRETS, namespace, key_secret(namespace, instance, pair))
    except AlreadyExistsError:
        # Made before a crash. Only its metadata is asked for: the private key is not ours to see.
        name = names.instance_object(instance)
        (secret,), _ = await world.client.list(SECRETS, namespace, fields={"metadata.name": name}, metadata_only=True)
        return str(secret["metadata"]["annotations"][names.PUBLIC_KEY_ANNOTATION])
    return pair.public


async def _instance(world: World, namespace: str, name: str) -> Instance | None:
    try:
        return Instance.parse(await world.client.get(INSTANCES, namespace, name))
    except NotFoundError:
        return None


async def _hand_over(world: World, namespace: str, lease: Lease, instance: str) -> None:
    """Have a lease without a waiter go back, where it is still held."""
    if (wd := await _deployment_of(world, namespace, lease, instance)) is not None:
        returning.hand_over(world, wd)


async def _write(
    world: World,
    reservation: Reservation,
    conditions: list[Condition],
    *,
    given: Grant | None = None,
    returned: Returned | None = None,
) -> None:
    """Write the status where it differs."""
    status = reservation.status
    generation = reservation.metadata.generation
    entries = [c.model_copy(update={"observed_generation": generation}) for c in conditions]
    new = status.model_copy(
        update={
            "queued": status.queued or order.queued(reservation.metadata),
            "grant": given or status.grant,
            "returned": returned or status.returned,
            "observed_generation": generation,
            "conditions": merged(status.conditions, entries),
        }
    )
    await write_status(world, reservation, status, new)
