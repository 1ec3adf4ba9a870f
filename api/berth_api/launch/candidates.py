"""Deployments that could serve a wish for an instance, with their types, access rules and waiters."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.cache.coalescing import Reads
from berth_api.cache.deployment import Deployment, holder_of
from berth_api.http.errors import BadRequestError
from berth_api.launch.choice import Choice
from berth_api.reservations.wish import Target
from berth_api.state import State
from berth_core.kube.client import Client
from berth_core.leases import slots, waitlist
from berth_core.leases.slots import Places, Quota
from berth_core.queue.waiters import Waiter, ahead_of
from berth_core.resources import AccessRule, WorkspaceType


@dataclass(frozen=True)
class Candidates:
    """Matching deployments, their types by namespace and type, and a function that finds the access rules of each."""

    deployments: Sequence[Deployment]
    types: Mapping[tuple[str, str], WorkspaceType]
    rules: Callable[[Deployment], Sequence[AccessRule]]

    def type_of(self, deployment: Deployment) -> WorkspaceType:
        """Type of one of the deployments."""
        return self.types[deployment.namespace, deployment.type]

    def permitted(self, identity: Identity, deployment: Deployment) -> bool:
        """Whether the caller may have one of the deployments."""
        return access.may_instantiate(identity, self.type_of(deployment), deployment, self.rules(deployment))

    def is_awaited(self, identity: Identity, deployment: Deployment, waiters: Sequence[Waiter]) -> bool:
        """Whether another user waits for one of the deployments and may have it."""
        kind, rules = self.type_of(deployment), self.rules(deployment)
        return ahead_of(identity.user, waiters, kind, deployment.resource, rules)


class Line:
    """Waiters for one wish's deployments, listed live at the first use, once for each namespace."""

    def __init__(self, client: Client, places: Places, reads: Reads) -> None:
        self._client = client
        self._places = places
        self._reads = reads
        self._waiters: dict[str, Sequence[Waiter]] = {}

    def cached(self, namespace: str) -> Sequence[Waiter]:
        """Waiters of a namespace; none where it was not listed yet."""
        return self._waiters.get(namespace, ())

    async def waiters(self, namespace: str) -> Sequence[Waiter]:
        """Waiters of a namespace."""
        if namespace not in self._waiters:
            read = partial(waitlist.waiters, self._client, namespace)
            self._waiters[namespace] = await self._reads.of(("waiters", namespace), read)
        return self._waiters[namespace]

    async def able(self, namespace: str, kind: WorkspaceType) -> Sequence[Waiter]:
        """Waiters that may have another lease of a type. Waiters at their quota do not block newcomers."""
        waiters, quota = await self.waiters(namespace), Quota.of(kind)
        if quota is None or not waiters:
            return waiters
        users = sorted({waiter.user for waiter in waiters})
        per_user = await asyncio.gather(*(slots.held(self._client, self._places, quota.type, user) for user in users))
        able = {user for user, leases in zip(users, per_user, strict=True) if len(leases) < quota.most}
        self._waiters[namespace] = [waiter for waiter in waiters if waiter.user in able]
        return self._waiters[namespace]


class Rules:
    """Access rules of deployments for one wish: listed live at the first use, once for each deployment."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rules: dict[tuple[str, str], Sequence[AccessRule]] = {}

    async def of(self, deployment: Deployment) -> Sequence[AccessRule]:
        """Rules of a deployment."""
        name = deployment.namespace, deployment.name
        if name not in self._rules:
            self._rules[name] = await lookups.rules_of(self._state, deployment)
        return self._rules[name]

    async def among(self, deployments: Sequence[Deployment]) -> Callable[[Deployment], Sequence[AccessRule]]:
        """Function that finds the rules of each deployment; for several deployments, one list a namespace is read."""
        if len(deployments) == 1:
            only = await self.of(deployments[0])
            return lambda _: only
        by_deployment = await lookups.rules_among(self._state, deployments)
        return lambda deployment: by_deployment.get((deployment.namespace, deployment.name), ())


async def gather(state: State, target: Target, *, live: bool) -> Candidates:
    """Find the deployments that match the target, in the caches or live; none when one of several ids is unknown.

    Callers that ask live for one target at the same moment share the result. Live rules are listed only where the
    caches may lack some (:mod:`berth_api.launch.admission`).
    """
    if live:
        return await state.reads.of(("candidates", target), partial(_gather_live, state, target))
    deployments = _cached(state, target)
    types = await _types(state, deployments, live=False)
    return Candidates(_served(deployments, types), types, state.caches.rules_of)


async def _gather_live(state: State, target: Target) -> Candidates:
    # The caches mostly know which types the deployments have, since these never change: so both are read side by side.
    deployments, types = await asyncio.gather(_live(state, target), _types(state, _cached(state, target), live=True))
    types |= await _types(state, [d for d in deployments if (d.namespace, d.type) not in types], live=True)
    served = _served(deployments, types)
    if all(map(state.caches.are_current, types.values())):
        return Candidates(served, types, state.caches.rules_of)
    return Candidates(served, types, await Rules(state).among(served))


async def _types(
    state: State, deployments: Sequence[Deployment], *, live: bool
) -> dict[tuple[str, str], WorkspaceType]:
    types: dict[tuple[str, str], WorkspaceType] = {}
    for deployment in {(d.namespace, d.type): d for d in deployments}.values():
        if (kind := await lookups.type_of(state, deployment, live=live)) is not None:
            types[deployment.namespace, deployment.type] = kind
    return types


def _served(deployments: Sequence[Deployment], types: Mapping[tuple[str, str], WorkspaceType]) -> list[Deployment]:
    """Leave out deployments whose type was deleted, which nobody can have."""
    return [d for d in deployments if (d.namespace, d.type) in types]


def chosen(state: State, identity: Identity, candidates: Candidates) -> Choice:
    """Choose for this caller. Raises BadRequestError where the token or the mixture of types does not permit it."""
    if len({d.type for d in candidates.deployments}) > 1:
        raise BadRequestError("all deployments in `wds` must be of one type")
    for type_name in {d.type for d in candidates.deployments}:
        access.need_type(identity, type_name)
    retired = any(kind.spec.retired for kind in candidates.types.values())
    return Choice(
        candidates.deployments,
        gone=lambda d: d.is_dissolved or (retired and candidates.type_of(d).spec.retired),
        permitted=lambda d: candidates.permitted(identity, d),
        length=lambda d: state.caches.queues().length(d.resource),
        owned=lambda d: access.owns(identity, d),
    )


def _cached(state: State, target: Target) -> list[Deployment]:
    deployments = list(state.caches.deployments.by("type", target.type)) if target.type is not None else []
    for deployment_id in target.deployments:
        claimants = state.caches.deployments.by("id", deployment_id)
        if not claimants:
            return []
        deployments.append(holder_of(claimants))
    return deployments


async def _live(state: State, target: Target) -> list[Deployment]:
    deployments = await lookups.deployments_of(state, target.type) if target.type is not None else []
    for deployment_id in target.deployments:
        one = await lookups.deployment(state, deployment_id)
        if one is None:
            return []
        deployments.append(one)
    return deployments
