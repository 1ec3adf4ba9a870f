"""How deployments look to clients. Pure."""

from berth_api.auth.identity import Identity
from berth_api.deployment import ONLINE, Deployment
from berth_api.services.deployments import Detail
from berth_api.shapes import Shape
from berth_core.resources import WorkspaceType


def deployment_info(deployment: Deployment, kind: WorkspaceType | None, description: str, queue_length: int) -> Shape:
    """Shape what lists with ``info`` say of a deployment."""
    spec, status = deployment.resource.spec, deployment.resource.status
    return {
        "type": deployment.type,
        "type_version": spec.type_version,
        "supported_addons": kind.spec.supported_addons if kind is not None else [],
        "desc": description,
        "region": spec.region,
        "icounter": status.instances,
        "created": deployment.resource.metadata.creation_timestamp,
        "queuelen": queue_length,
        "online": deployment.is_online,
    }


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
    if detail.own_instance is not None:
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
