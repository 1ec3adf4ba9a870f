"""How deployments look to clients. Pure."""

from berth_api.auth.identity import Identity
from berth_api.cache.deployment import ONLINE, Deployment
from berth_api.cache.info import deployment_info
from berth_api.deployments.service import Detail
from berth_api.http.answers import Shape


def deployment_detail(detail: Detail, identity: Identity | None) -> Shape:
    """Shape the page of one deployment."""
    deployment, kind = detail.deployment, detail.type
    spec = deployment.resource.spec
    description = spec.description or (kind.spec.description if kind is not None else "")
    shape: Shape = {"id": deployment.id}
    shape |= deployment_info(deployment, kind, description, detail.queue_length)
    if spec.lockout:
        shape["lockout"] = True
    if spec.dissolved is not None:
        shape["dissolved"] = spec.dissolved
    # A token for one instance must not learn of another.
    if detail.own_instance is not None and identity is not None and identity.instance in {None, detail.own_instance}:
        shape["instance"] = detail.own_instance
    if identity is not None and identity.superuser and (heartbeat := _heartbeat(deployment)) is not None:
        shape["heartbeat"] = heartbeat
    return shape


def _heartbeat(deployment: Deployment) -> str | None:
    """Since when the machine has been as ``online`` says; None where nothing watches it."""
    if deployment.resource.spec.heartbeat == "none":
        return None
    found = [c for c in deployment.resource.status.conditions if c.type == ONLINE]
    return found[0].last_transition_time if found else None
