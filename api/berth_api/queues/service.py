"""Waiting times for deployments, from the public lists."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.cache.deployment import Deployment, holder_of
from berth_api.http.bodies import MOST_DEPLOYMENTS
from berth_api.http.errors import BadRequestError, MissingError
from berth_api.queues.schemas import QueueState, QueueStates
from berth_api.state import State
from berth_core.kube.model import parse_time


def wanted_ids(query: Mapping[str, str]) -> tuple[str, ...]:
    """Read the comma list ``wds``, without repetitions. Raises BadRequestError."""
    words = (word.strip().lower() for word in query.get("wds", "").split(","))
    distinct = tuple(dict.fromkeys(word for word in words if word))
    if not distinct:
        raise BadRequestError("parameter `wds` is required: a comma list of deployment ids")
    if len(distinct) > MOST_DEPLOYMENTS:
        raise BadRequestError(f"parameter `wds` takes at most {MOST_DEPLOYMENTS} ids")
    return distinct


def of_type(state: State, identity: Identity, type_name: str, now: datetime) -> QueueStates:
    """Queues of the deployments of a type that the caller may instantiate. Raises MissingError for an unknown type."""
    access.need_unconstrained(identity)
    state.caches.need_fresh()
    deployments = state.caches.deployments.by("type", type_name)
    if not deployments and not state.caches.types.by("name", type_name):
        raise MissingError("no workspace type found with given name")
    return _queues(state, identity, deployments, now)


def of_deployments(state: State, identity: Identity, deployment_ids: Iterable[str], now: datetime) -> QueueStates:
    """Queues of the wanted deployments that the caller may instantiate. Raises MissingError for an unknown id."""
    access.need_unconstrained(identity)
    state.caches.need_fresh()
    return _queues(state, identity, [_deployment(state, deployment_id) for deployment_id in deployment_ids], now)


def _deployment(state: State, deployment_id: str) -> Deployment:
    deployments = state.caches.deployments.by("id", deployment_id)
    if not deployments:
        raise MissingError("no workspace deployment found with given ID")
    return holder_of(deployments)


def _queues(state: State, identity: Identity, deployments: Iterable[Deployment], now: datetime) -> QueueStates:
    queues = state.caches.queues()
    permitted = sorted((d for d in deployments if _may_have(state, identity, d)), key=lambda d: d.id)
    return QueueStates(
        {d.id: QueueState(qlen=queues.length(d.resource), rem=_remaining(state, d, now)) for d in permitted}
    )


def _may_have(state: State, identity: Identity, deployment: Deployment) -> bool:
    kind = state.caches.type_named(deployment.namespace, deployment.type)
    if deployment.is_dissolved or kind is None or kind.spec.retired:
        return False
    if identity.types is not None and deployment.type not in identity.types:
        return False
    rules = state.caches.rules_of(deployment)
    return access.may_instantiate(identity, kind, deployment, rules)


def _remaining(state: State, deployment: Deployment, now: datetime) -> int | None:
    lease = deployment.resource.status.lease
    if lease is None:
        return None
    ends = [parse_time(e.expires) for e in state.caches.endings.by("id", lease.instance) if e.expires is not None]
    return None if not ends else max(0, math.ceil((ends[0] - now).total_seconds()))
