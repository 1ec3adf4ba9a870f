"""Marks on types, by which a replica's cache knows that it has seen the others' writes (docs/adr/0014)."""

import uuid

from berth_api import lookups
from berth_api.state import State
from berth_core.kube import errors as cluster
from berth_core.resources import WorkspaceType


async def mark(state: State, kind: WorkspaceType) -> None:
    """Tell all replicas that a rule or a reservation of a type was made or deleted, before the caller is answered.

    Raises ClusterError.
    """
    body = {"status": {"admissionMark": uuid.uuid4().hex}}
    try:
        await state.client.patch(
            WorkspaceType.api(), kind.metadata.namespace, kind.metadata.name, body, subresource="status"
        )
    except cluster.NotFoundError:
        return  # nothing of a deleted type can be had


async def mark_of(state: State, namespace: str, name: str) -> None:
    """Tell all replicas that something about a deployment's type has changed; as :func:`mark`."""
    deployment = await lookups.deployment_named(state, namespace, name)
    kind = await lookups.type_of(state, deployment) if deployment is not None else None
    if kind is not None:
        await mark(state, kind)
