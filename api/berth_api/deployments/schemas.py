"""Types and deployments."""

from typing import Self

from pydantic import BaseModel, Field

from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.cache.deployment import ONLINE, Deployment
from berth_api.cache.info import deployment_info
from berth_api.deployments.service import Detail
from berth_core.kube.conditions import find


class WorkspaceTypes(BaseModel):
    """Names of types."""

    workspace_types: list[str]


class MaintenanceInfo(BaseModel):
    """A time in which only owners get new instances."""

    reason: str
    until: str | None = Field(None, description="When it ends by itself.")


class NetworkInfo(BaseModel):
    """Endpoints of a machine."""

    addresses: list[str] | None = Field(None, description="Networks in CIDR notation; for owners and superusers.")
    ports: list[str] = Field(description="Ports, such as `7400-7500/UDP`; empty for all.")


class MachineInfo(BaseModel):
    """A machine apart from its workspace."""

    network: NetworkInfo


class DeploymentInfo(BaseModel):
    """A deployment in lists."""

    type: str
    type_version: int
    supported_addons: list[str]
    desc: str
    region: str
    icounter: int = Field(description="Completed instances.")
    created: str
    queuelen: int
    online: bool
    maintenance: MaintenanceInfo | None = Field(None, description="Present while only owners get new instances.")
    offline: str | None = Field(
        None, description="Where `online` is false: the reason and since when; for owners a sentence."
    )
    machine: MachineInfo | None = Field(None, description="Present where the machine has endpoints of its own.")


class _Identified(BaseModel):
    id: str


class DeploymentDetail(DeploymentInfo, _Identified):
    """A deployment."""

    lockout: bool | None = Field(None, description="Present when new instances are refused.")
    dissolved: str | None = Field(None, description="When it was taken away for good.")
    instance: str | None = Field(None, description="The caller's own active instance there.")
    heartbeat: str | None = Field(None, description="For superusers: since when it has been as `online` says.")
    grant: str | None = Field(
        None, description="For owners: MachineGrant within which it was registered; absent for an administrator's."
    )

    @classmethod
    def of(cls, detail: Detail, identity: Identity | None) -> Self:
        """Show a deployment to a caller."""
        deployment, kind = detail.deployment, detail.type
        spec = deployment.resource.spec
        description = spec.description or (kind.spec.description if kind is not None else "")
        # A token for one instance must not learn of another.
        own = identity is not None and identity.instance in {None, detail.own_instance}
        info = deployment_info(deployment, kind, description, detail.queue_length)
        owns = identity is not None and identity.instance is None and access.owns(identity, deployment)
        if owns and deployment.absence is not None:
            info["offline"] = deployment.absence.message
        if owns and deployment.resource.network is not None:
            info["machine"]["network"]["addresses"] = deployment.resource.network.addresses
        return cls(
            id=deployment.id,
            **info,
            lockout=spec.lockout or None,
            dissolved=spec.dissolved,
            instance=detail.own_instance if own else None,
            heartbeat=_heartbeat(deployment) if identity is not None and identity.superuser else None,
            grant=spec.grant if owns else None,
        )


def _heartbeat(deployment: Deployment) -> str | None:
    """Since when the machine has been as ``online`` says; None where nothing watches it."""
    spec = deployment.resource.spec
    if spec.heartbeat == "none" and spec.health is None:
        return None
    online = find(deployment.resource.status.conditions, ONLINE)
    return online.last_transition_time if online is not None else None


class Deployments(BaseModel):
    """A page of deployments."""

    workspace_deployments: list[str]
    page_count: int
    info: dict[str, DeploymentInfo] | None = None


class QueueLength(BaseModel):
    """Length of a queue."""

    id: str
    len: int = Field(description="0 when it is free and nobody waits, else 1 + those who wait.")
