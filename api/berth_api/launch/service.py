"""POST /new: choose a deployment, take its lease, make the Instance.

A newcomer does not get a free deployment for which another user waits: a request never overtakes earlier waiters
(:mod:`berth_api.launch.admission`).

The lease comes first: its compare-and-swap decides who wins. Before it, where the type has a limit for each user, a
slot is taken (:mod:`berth_core.leases.slots`). A failure after the lease leaves nothing behind. Where the Instance
surely was not made, a tombstone takes its name, and the operator gives the lease back at once. Where that is not sure,
or this process ends in between, the operator does both after missing the Instance for 30 s.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from berth_api import lookups, metrics
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.cache.deployment import Deployment
from berth_api.http.errors import (
    ALL_BUSY,
    ApiError,
    AwayError,
    BadRequestError,
    BusyError,
    MissingError,
    NotPermittedError,
)
from berth_api.idempotency import replay
from berth_api.idempotency.making import create
from berth_api.instances import service as instances
from berth_api.launch import admission, candidates
from berth_api.launch.admission import Live
from berth_api.launch.candidates import Line, Rules
from berth_api.launch.choice import Choice, Refusal
from berth_api.launch.keys import KeyPool
from berth_api.launch.schemas import Launched
from berth_api.reservations import service as reservations
from berth_api.reservations.schemas import Reserved
from berth_api.reservations.wish import Target, Wish, need_fit, wished
from berth_api.state import State
from berth_core import ids, names
from berth_core.keys.ssh import KeyPair
from berth_core.kube import errors as cluster
from berth_core.kube.swap import swap
from berth_core.kube.types import Object
from berth_core.leases import leasing, slots, tombstones
from berth_core.leases.availability import Lease, is_tombstone, under_maintenance
from berth_core.leases.slots import Claimant, Places, Quota
from berth_core.resources import Instance, InstanceSpec, WorkspaceDeployment, WorkspaceType, manifest
from berth_core.resources.instance import Claim
from berth_core.state import is_active

log = structlog.get_logger(__name__)

NONE_MATCHES: Final = "no matching wdeployment found"
MOST_MISSED: Final = 3
"""Deployments that could not be had though the caches show them free; then the caches may be old."""
RETRY_AFTER_MAINTENANCE: Final = 60.0
RETRY_AFTER_UNSURE: Final = 5.0
"""Seconds; the operator needs 30 to clean up."""


@dataclass(frozen=True)
class Claimed:
    """A lease that was taken for the caller."""

    deployment: Deployment
    lease: Lease
    type: WorkspaceType


async def launch(state: State, wish: Wish) -> Launched | Reserved:
    """Get an instance, or a place in the queue where the wish permits it. Raises an ApiError with the reason."""
    access.need_unconstrained(wish.identity)
    access.need_write(wish.identity, Scope.INSTANTIATION)
    if wish.target.type is not None:
        access.need_type(wish.identity, wish.target.type)
    if wish.options.allow_noop and (present := await _present(state, wish)) is not None:
        return Launched(success=True, id=present)
    instance_id = ids.uuid7_at(await state.now())
    user = wish.identity.user

    async def undo(namespace: str, lease: Lease) -> None:
        await _undo(state, namespace, lease, instance_id, user)

    async with Claimant(state.client, _places(state), instance=instance_id, user=user, undo=undo) as claimant:
        try:
            claimed = await _claim(state, wish, claimant)
        except ApiError as error:
            metrics.LAUNCHES.labels("busy" if isinstance(error, BusyError) else "refused").inc()
            raise
        if isinstance(claimed, Reserved):
            metrics.LAUNCHES.labels("reserved").inc()
            return claimed
        pair = await state.part(KeyPool).take() if wish.options.sshkey is None else None
        # The lease counts by itself now, so its slot goes while the Instance is made.
        creation = _make(state, instance_id, claimed, wish, pair)
        await asyncio.gather(creation, claimant.close())
    metrics.LAUNCHES.labels("made").inc()
    return Launched(success=True, id=instance_id, sshkey=pair.private if pair is not None else None)


def _places(state: State) -> Places:
    return Places(state.config.access_namespace, state.config.workspace_namespaces)


async def _claim(state: State, wish: Wish, claimant: Claimant) -> Claimed | Reserved:
    """Take a lease. The caches choose the first attempts; that none can be had is never said without a live round."""
    rules = Rules(state)
    for live in (False, True):
        line = Line(state.client, _places(state), state.reads)
        pool = await candidates.gather(state, wish.target, live=live)
        choice = candidates.chosen(state, wish.identity, pool)
        if live and choice.refusal is Refusal.FORBIDDEN:
            pool = replace(pool, rules=await rules.among(pool.deployments))
            choice = candidates.chosen(state, wish.identity, pool)
        passed, missed = set[tuple[str, str]](), 0
        for deployment in choice.free:
            name = deployment.namespace, deployment.name
            if pool.is_awaited(wish.identity, deployment, line.cached(deployment.namespace)):
                continue
            if not live and state.claims.is_under_way(name):
                passed.add(name)
                continue
            async with state.claims.of(name):
                # With a quota, an attempt in vain would keep another waiter of the user from a turn: it is read anew.
                seen = deployment if Quota.of(pool.type_of(deployment)) is None else None
                claimed = await _try(state, wish, claimant, deployment, Live(line, rules), seen)
            if claimed is not None:
                state.claims.took(name)
                return claimed
            missed += 1
            if not live and missed == MOST_MISSED:
                break
        if passed:
            # Wait for those leases, so that the live round sees the result.
            await state.claims.over(passed)
    if choice.refusal in (Refusal.BUSY, Refusal.MAINTENANCE) and wish.options.reserve:
        kind = pool.type_of(choice.usable[0])
        need_fit(wish, kind)
        await _need_place(state, wish, kind)
        return await reservations.reserve(state, wish, kind, choice.usable)
    raise _refused(choice, wish.target)


async def _try(
    state: State, wish: Wish, claimant: Claimant, deployment: Deployment, live: Live, seen: Deployment | None
) -> Claimed | None:
    """Take the lease of a deployment where the caller may have it; None where it cannot be had.

    The first attempt is at the version of ``seen``, which may come from a cache. Where that is old, the
    compare-and-swap fails, and everything is decided again on a live read.
    """

    async def attempt() -> Claimed | None:
        nonlocal seen
        present, seen = seen or await lookups.deployment_named(state, deployment.namespace, deployment.name), None
        # One that was made again with another type is left to the live round, which looks at the token's types.
        if present is None or present.type != deployment.type:
            return None
        owner = access.owns(wish.identity, present)
        if not present.is_free_for(owner=owner):
            return None
        kind = await admission.admit(state, wish, present, live)
        if kind is None:
            return None
        lease = await _take(claimant, kind, present.resource, now=state.client.clock.now(), owner=owner)
        return Claimed(present, lease, kind) if lease is not None else None

    return await swap(attempt, f"the status of deployment {deployment.name}")


async def _need_place(state: State, wish: Wish, kind: WorkspaceType) -> None:
    """Refuse a reservation to a user at their quota; once a user waits, the quota is checked at their turn."""
    quota = Quota.of(kind)
    if quota is not None:
        leases = await slots.held(state.client, _places(state), quota.type, wish.identity.user)
        if len(leases) >= quota.most:
            raise _has_enough(slots.NoneLeftError(quota, passing=False))


async def _take(
    claimant: Claimant, kind: WorkspaceType, wd: WorkspaceDeployment, *, now: datetime, owner: bool
) -> Lease | None:
    """Take the lease at this version; None where it cannot be had.

    Raises ConflictError where the version is old, NotPermittedError where the user is at their quota.
    """
    metadata = wd.metadata
    try:
        return await claimant.take(Quota.of(kind), metadata.namespace, metadata.name, now=now, seen=wd, owner=owner)
    except slots.NoneLeftError as error:
        raise _has_enough(error) from error
    except (leasing.BusyError, cluster.NotFoundError):
        return None


def _has_enough(error: slots.NoneLeftError) -> NotPermittedError:
    """Return the refusal beyond a quota. It lasts until a lease ends, which may be a remnant of this very request."""
    replay.refuse_for_now()
    return NotPermittedError(str(error))


def _refused(choice: Choice, target: Target) -> ApiError:
    if choice.refusal is Refusal.MAINTENANCE and (maintenance := choice.usable[0].resource.maintenance) is not None:
        sentence = f"workspace deployment is {under_maintenance(maintenance)}. Try again later, or wait with `reserve`."
        return AwayError(sentence, retry_after=RETRY_AFTER_MAINTENANCE)
    by_type = target.type is not None
    answers: dict[Refusal, ApiError] = {
        Refusal.UNKNOWN: MissingError(NONE_MATCHES),
        Refusal.DISSOLVED: MissingError(NONE_MATCHES) if by_type else BadRequestError("workspace deployment dissolved"),
        Refusal.FORBIDDEN: NotPermittedError("the access rules do not permit this instantiation"),
        Refusal.LOCKED_OUT: BadRequestError("workspace deployment is locked out: it takes no new instances"),
        # Offline machines of a type do not count: nothing matches.
        Refusal.OFFLINE: MissingError(NONE_MATCHES)
        if by_type
        else AwayError(f"workspace deployment is offline{_since(choice)}. Try again later.", retry_after=30),
        Refusal.BUSY: BusyError(ALL_BUSY),
    }
    return answers[choice.refusal]


def _since(choice: Choice) -> str:
    absence = choice.usable[0].absence if choice.refusal is Refusal.OFFLINE else None
    return f" ({absence.reason} since {absence.last_transition_time})" if absence is not None else ""


def _spec(wish: Wish, claimed: Claimed, pair: KeyPair | None) -> InstanceSpec:
    lease = claimed.lease
    place = {"deployments": [lease.deployment], "claim": Claim(deployment=lease.deployment, epoch=lease.epoch)}
    keys = {"ssh_keys": [pair.public]} if pair is not None else {}
    return wished(wish, claimed.type).model_copy(update=place | keys)


async def _make(state: State, instance_id: str, claimed: Claimed, wish: Wish, pair: KeyPair | None) -> None:
    """Store the private key, then make the Instance; undo the lease where the Instance surely was not made."""
    namespace, lease, spec = claimed.deployment.namespace, claimed.lease, _spec(wish, claimed, pair)
    made_surely_not = True
    try:
        if pair is not None:
            await instances.store_key(state, instance_id, pair)
        # With the finalizer from the start; else the operator would have to add it before it opens anything.
        body = manifest(
            Instance,
            namespace,
            instance_id,
            spec,
            labels=dict(wish.identity.labels),
            finalizers=[names.FENCE_FINALIZER],
        )
        made_surely_not = False
        await _create(state, body, spec)
    except cluster.ClusterError as error:
        made_surely_not |= not isinstance(error, cluster.UnavailableError) or isinstance(error, replay.TooLateError)
        log.warning("launch failed", instance=instance_id, deployment=lease.deployment, error=error.message)
        metrics.LAUNCHES.labels("failed").inc()
        if made_surely_not:
            await _undo(state, claimed.deployment.namespace, lease, instance_id, spec.user)
        if isinstance(error, cluster.UnavailableError):
            raise AwayError(
                "the cluster cannot be reached. Try again later.", retry_after=RETRY_AFTER_UNSURE
            ) from error
        if isinstance(error, cluster.InvalidError):
            raise BadRequestError(error.message) from error
        raise


async def _create(state: State, body: Object, spec: InstanceSpec) -> None:
    """Make the Instance; an existing one must be the very same, and not a tombstone.

    Raises UnavailableError where the operator took its name first: this request took too long.
    """
    try:
        await create(state.client, Instance, body)
    except cluster.AlreadyExistsError as error:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        try:
            live = Instance.parse(await state.client.get(Instance.api(), namespace, name))
        except cluster.NotFoundError:
            live = None  # it has ended, and was deleted
        mine = live is not None and (live.spec.user, live.spec.claim) == (spec.user, spec.claim)
        if live is None or not mine or is_tombstone(live):
            raise cluster.UnavailableError("the lease was given up before its Instance was made") from error


async def _undo(state: State, namespace: str, lease: Lease, instance_id: str, user: str) -> None:
    """Have the operator give a lease back at once; its Instance surely was not made, nor will be."""
    try:
        await tombstones.bury(state.client, namespace, lease, instance=instance_id, user=user)
    except cluster.ClusterError as error:
        log.warning(
            "lease left to the operator, which takes it back",
            instance=instance_id,
            deployment=lease.deployment,
            error=error.message,
        )


async def _present(state: State, wish: Wish) -> str | None:
    """Return the id of an active instance of the caller's that matches, the latest; None where there is none."""
    instances = await _active_of(state, wish.identity.user, wish.target.type)
    deployments = wish.target.deployments
    matching = [i for i in instances if not deployments or lookups.deployment_id(i) in deployments]
    latest = max(matching, key=lambda i: (i.metadata.creation_timestamp, i.public_id), default=None)
    return latest.public_id if latest is not None else None


async def _active_of(state: State, user: str, type_name: str | None) -> list[Instance]:
    active = [i for i in await lookups.instances(state, user) if is_active(i)]
    if type_name is None:
        return active
    return [i for i in active if await _type_of(state, i) == type_name]


async def _type_of(state: State, instance: Instance) -> str | None:
    cached = lookups.cached_deployment_of(state, instance)
    deployment = cached if cached is not None else await lookups.deployment_of(state, instance)
    return deployment.type if deployment is not None else None
