"""How resources look to clients. Pure."""

from typing import Any

from berth_api.auth.identity import Identity
from berth_api.deployment import ONLINE, Deployment
from berth_api.services.deployments import Detail
from berth_api.services.instances import Held
from berth_core.resources import WorkspaceType
from berth_core.state import Word, is_active

ROOT_USER = "root"

Shape = dict[str, Any]


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


def instance_detail(held: Held, detail: Detail | None, identity: Identity) -> Shape:
    """Shape the page of one instance."""
    status = held.instance.status
    shape: Shape = {
        "id": held.instance.public_id,
        "deployment": held.deployment,
        "type": held.type,
        "region": held.region,
        "status": held.state.value,
        "starttime": held.start_time,
        "rootuser": ROOT_USER,
        "wdinfo": deployment_detail(detail, identity) if detail is not None else None,
    }
    active = is_active(held.instance)
    if status.end_time is not None:
        shape["endtime"] = status.end_time
    if status.expire_time is not None:
        shape["expires"] = status.expire_time
    if status.address is not None and active:
        shape["fwd"] = {"ipv4": status.address.ipv4, "port": status.address.port}
    if status.host_keys and active:
        shape["hostkeys"] = status.host_keys
    if held.state is Word.INIT_FAIL and status.message:
        shape["message"] = status.message
    return shape


def instance_summary(held: Held) -> Shape:
    """Shape what lists with ``details`` say of an instance."""
    return {
        "id": held.instance.public_id,
        "status": held.state.value,
        "deployment": held.deployment,
        "type": held.type,
        "region": held.region,
        "starttime": held.start_time,
        "rootuser": ROOT_USER,
        "endtime": held.instance.status.end_time,
    }
