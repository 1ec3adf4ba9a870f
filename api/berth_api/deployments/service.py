"""Types and deployments."""

from collections.abc import Mapping
from dataclasses import dataclass

from berth_api import lookups
from berth_api.auth.identity import Identity
from berth_api.cache import listing
from berth_api.cache.deployment import Deployment
from berth_api.cache.listing import Page, Row
from berth_api.http.errors import MissingError
from berth_api.state import State
from berth_core import state as words
from berth_core.resources import WorkspaceType


@dataclass(frozen=True)
class Detail:
    """A deployment with all facts of its page; ``own_instance`` is the id of the caller's active instance there."""

    deployment: Deployment
    type: WorkspaceType | None
    queue_length: int
    own_instance: str | None = None


def type_names(state: State, *, with_dissolved: bool) -> list[str]:
    """Names of the types; ``with_dissolved`` adds types that are kept for their history only."""
    state.caches.need_fresh()
    names = {t.spec.type_name for t in state.caches.types if with_dissolved or not t.spec.retired}
    return sorted(names.union(state.caches.rows.dissolved) if with_dissolved else names)


def listed_ids(state: State, query: Mapping[str, str], suffix: str | None) -> Page[str]:
    """Filter, sort and page the ids of deployments as the query asks; ``suffix`` is the type in the path."""
    state.caches.need_fresh()
    return state.caches.rows.ids(listing.filters(query, suffix), query)


def listed(state: State, query: Mapping[str, str], suffix: str | None) -> Page[Row]:
    """Filter, sort and page the deployments as the query asks; ``suffix`` is the type in the path."""
    state.caches.need_fresh()
    return state.caches.rows.page(listing.filters(query, suffix), query)


async def detail(state: State, deployment_id: str, identity: Identity | None) -> Detail:
    """Read one deployment, live. Raises MissingError."""
    deployment = await existing(state, deployment_id)
    return await detail_of(state, deployment, identity)


async def detail_of(state: State, deployment: Deployment, identity: Identity | None) -> Detail:
    """Add the facts of a deployment's page."""
    own = await _own_instance(state, deployment, identity)
    return Detail(deployment, await lookups.type_of(state, deployment), queue_length(state, deployment), own)


async def existing(state: State, deployment_id: str) -> Deployment:
    """Read a deployment, live. Raises MissingError."""
    deployment = await lookups.deployment(state, deployment_id)
    if deployment is None:
        raise MissingError("no workspace deployment found with given ID")
    return deployment


def queue_length(state: State, deployment: Deployment) -> int:
    """Queue length of a deployment that was read live."""
    state.caches.need_fresh()
    return state.caches.queues().length(deployment.resource)


async def _own_instance(state: State, deployment: Deployment, identity: Identity | None) -> str | None:
    lease = deployment.resource.status.lease
    if identity is None or lease is None or lease.user != identity.user:
        return None
    instance = await lookups.instance(state, lease.instance)
    return lease.instance if instance is not None and words.is_active(instance) else None
