"""POST /new: choose a deployment, take its lease, make the Instance.

The lease comes first: its compare-and-swap decides who wins. What can fail after it fails so that nothing stays:
where the Instance surely was not made the lease is given back here, and where that is not sure, or this process
ends in between, the operator gives back a lease whose Instance does not exist after 30 s.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from berth_api import metrics, repeats
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.choose import Choice, Refusal, choose
from berth_api.deployment import Deployment, oldest
from berth_api.errors import (
    ALL_BUSY,
    ApiError,
    AwayError,
    BadRequestError,
    BusyError,
    MissingError,
    NotPermittedError,
)
from berth_api.keys import KeyPair
from berth_api.options import LaunchOptions
from berth_api.peer import Address
from berth_api.services import instances, lookups
from berth_api.state import State
from berth_core import errors as cluster
from berth_core import ids, leasing
from berth_core.leasing import Lease
from berth_core.resources import Instance, InstanceSpec, WorkspaceType, manifest
from berth_core.resources.instance import Claim
from berth_core.state import is_active

log = structlog.get_logger(__name__)

NONE_MATCHES: Final = "no matching wdeployment found"
RETRY_AFTER_UNSURE: Final = 5.0
"""Seconds; the operator has tidied up after 30."""


@dataclass(frozen=True)
class Target:
    """What is asked for: any deployment of a type, or any of some ids."""

    type: str | None = None
    deployments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """Who wants what, how, and from where."""

    identity: Identity
    target: Target
    options: LaunchOptions
    address: Address


@dataclass(frozen=True)
class Candidates:
    """Deployments that match, and their types by namespace and name."""

    deployments: Sequence[Deployment]
    types: dict[tuple[str, str], WorkspaceType]

    def type_of(self, deployment: Deployment) -> WorkspaceType:
        """Type of one of the deployments."""
        return self.types[deployment.namespace, deployment.type]


@dataclass(frozen=True, repr=False)
class Launched:
    """An instance that is the caller's; ``private_key`` where we made one for it."""

    instance: str
    private_key: str | None = None


async def launch(state: State, wish: Wish) -> Launched:
    """Get an instance. Raises an ApiError that says why there is none."""
    access.need_unconstrained(wish.identity)
    access.need_write(wish.identity, Scope.INSTANTIATION)
    if wish.target.type is not None:
        access.need_type(wish.identity, wish.target.type)
    if wish.options.allow_noop and (present := await _present(state, wish)) is not None:
        return Launched(present)
    instance_id = ids.uuid7(time.time_ns() // 1_000_000)
    try:
        deployment, lease, kind = await _claim(state, wish, instance_id)
    except ApiError as error:
        metrics.LAUNCHES.labels("busy" if isinstance(error, BusyError) else "refused").inc()
        raise
    pair = await state.keys.take() if wish.options.sshkey is None else None
    spec = _spec(wish, lease, kind, pair)
    await _make(state, instance_id, deployment, lease, spec, pair)
    metrics.LAUNCHES.labels("made").inc()
    return Launched(instance_id, pair.private if pair is not None else None)


async def _claim(state: State, wish: Wish, instance_id: str) -> tuple[Deployment, Lease, WorkspaceType]:
    """Take a lease. The caches say what to try first; a refusal always rests on a live read."""
    choice = Choice((), Refusal.UNKNOWN)
    for live in (False, True):
        candidates = await _candidates(state, wish.target, live=live)
        choice = _choice(wish.identity, candidates)
        for deployment in choice.free:
            kind = candidates.type_of(deployment)
            await _need_fitting(state, wish, kind)
            lease = await _take(state, deployment, instance_id, wish.identity.user)
            if lease is not None:
                return deployment, lease, kind
    raise _refused(choice.refusal, wish.target)


async def _candidates(state: State, target: Target, *, live: bool) -> Candidates:
    """Deployments that match the target; none when one of several ids is unknown."""
    found: list[Deployment] = []
    if target.type is not None:
        cached = state.caches.deployments.by("type", target.type)
        found = await lookups.deployments_of(state, target.type) if live else cached
    for deployment_id in target.deployments:
        known = state.caches.deployments.by("id", deployment_id)
        one = await lookups.deployment(state, deployment_id) if live else oldest(known) if known else None
        if one is None:
            return Candidates((), {})
        found.append(one)
    types: dict[tuple[str, str], WorkspaceType] = {}
    for deployment in found:
        key = deployment.namespace, deployment.type
        if key not in types and (kind := await lookups.type_of(state, deployment)) is not None:
            types[key] = kind
    # A deployment whose type was taken away cannot be had by anyone.
    return Candidates([d for d in found if (d.namespace, d.type) in types], types)


def _choice(identity: Identity, candidates: Candidates) -> Choice:
    if len({d.type for d in candidates.deployments}) > 1:
        raise BadRequestError("all deployments in `wds` must be of one type")
    for type_name in {d.type for d in candidates.deployments}:
        access.need_type(identity, type_name)
    served = [d for d in candidates.deployments if d.is_dissolved or not candidates.type_of(d).spec.retired]
    if candidates.deployments and not served:
        return Choice((), Refusal.DISSOLVED)
    return choose(served, lambda d: access.may_instantiate(identity, candidates.type_of(d), d))


async def _need_fitting(state: State, wish: Wish, kind: WorkspaceType) -> None:
    """Refuse what the type's limits do not allow. The count of instances is not a lock: requests at once may pass."""
    access.expire_after(wish.identity, kind, wish.options.expire_d)
    most = kind.spec.limits.max_per_user
    if most is None:
        return
    active = await _active_of(state, wish.identity.user, kind.spec.type_name)
    if len(active) >= most:
        raise NotPermittedError(f"no more than {most} active instances of this type for one user")


async def _take(state: State, deployment: Deployment, instance_id: str, user: str) -> Lease | None:
    try:
        return await leasing.take(
            state.client,
            deployment.namespace,
            deployment.name,
            instance=instance_id,
            user=user,
            now=datetime.now(UTC),
        )
    except (leasing.BusyError, cluster.NotFoundError):
        return None


def _refused(refusal: Refusal, target: Target) -> ApiError:
    by_type = target.type is not None
    answers: dict[Refusal, ApiError] = {
        Refusal.UNKNOWN: MissingError(NONE_MATCHES),
        Refusal.DISSOLVED: MissingError(NONE_MATCHES) if by_type else BadRequestError("workspace deployment dissolved"),
        Refusal.FORBIDDEN: NotPermittedError("the access rules do not permit this instantiation"),
        Refusal.LOCKED_OUT: BadRequestError("workspace deployment is locked out: it takes no new instances"),
        Refusal.OFFLINE: MissingError(NONE_MATCHES)
        if by_type
        else AwayError("workspace deployment is offline. Try again later.", retry_after=30),
        Refusal.BUSY: BusyError(ALL_BUSY),
    }
    return answers[refusal]


def _spec(wish: Wish, lease: Lease, kind: WorkspaceType, pair: KeyPair | None) -> InstanceSpec:
    options = wish.options
    key = options.sshkey if pair is None else pair.public
    return InstanceSpec(
        deployments=[lease.deployment],
        claim=Claim(deployment=lease.deployment, epoch=lease.epoch),
        user=wish.identity.user,
        requester_address=str(wish.address),
        ssh_keys=[key] if key is not None else [],
        vpn=options.vpn,
        expire_after=access.expire_after(wish.identity, kind, options.expire_d),
        keep_alive=options.keepalive,
        repo=options.repo,
    )


async def _make(
    state: State, instance_id: str, deployment: Deployment, lease: Lease, spec: InstanceSpec, pair: KeyPair | None
) -> None:
    """Store the private key, then make the Instance; undo what is known to be half done."""
    made_surely_not = True
    try:
        if pair is not None:
            await instances.store_key(state, instance_id, pair.private)
        body = manifest(Instance, deployment.namespace, instance_id, spec, labels=repeats.labels())
        made_surely_not = False
        await state.client.create(Instance.api(), deployment.namespace, body)
    except cluster.ClusterError as error:
        made_surely_not |= not isinstance(error, cluster.UnavailableError)
        log.warning("launch failed", instance=instance_id, deployment=lease.deployment, error=error.message)
        metrics.LAUNCHES.labels("failed").inc()
        if made_surely_not:
            await _undo(state, instance_id, deployment, lease, with_key=pair is not None)
        if isinstance(error, cluster.UnavailableError):
            raise AwayError(
                "the cluster cannot be reached. Try again later.", retry_after=RETRY_AFTER_UNSURE
            ) from error
        if isinstance(error, cluster.InvalidError):
            raise BadRequestError(error.message) from error
        raise


async def _undo(state: State, instance_id: str, deployment: Deployment, lease: Lease, *, with_key: bool) -> None:
    try:
        await leasing.give_back(
            state.client, deployment.namespace, lease, instance=instance_id, completed=False, now=datetime.now(UTC)
        )
        if with_key:
            await instances.delete_key(state, instance_id)
    except cluster.ClusterError as error:
        log.warning("left to the operator", instance=instance_id, deployment=lease.deployment, error=error.message)


async def _present(state: State, wish: Wish) -> str | None:
    """Return the id of an active instance of the caller's that matches, the latest; None where there is none."""
    found = await _active_of(state, wish.identity.user, wish.target.type)
    wanted = wish.target.deployments
    matching = [i for i in found if not wanted or _deployment_id(i) in wanted]
    return max((i.public_id for i in matching), default=None)


async def _active_of(state: State, user: str, type_name: str | None) -> list[Instance]:
    active = [i for i in await lookups.instances(state, user) if is_active(i)]
    if type_name is None:
        return active
    of_type = {(d.namespace, d.name) for d in state.caches.deployments.by("type", type_name)}
    return [i for i in active if (i.metadata.namespace, lookups.deployment_name(i)) in of_type]


def _deployment_id(instance: Instance) -> str:
    return ids.deployment_id(instance.metadata.namespace, lookups.deployment_name(instance) or "")
