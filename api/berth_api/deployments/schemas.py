"""Types and deployments."""

from pydantic import BaseModel, Field


class WorkspaceTypes(BaseModel):
    """Names of types."""

    workspace_types: list[str]


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


class DeploymentDetail(DeploymentInfo):
    """A deployment."""

    id: str
    lockout: bool | None = Field(None, description="Present when new instances are refused.")
    dissolved: str | None = Field(None, description="When it was taken away for good.")
    instance: str | None = Field(None, description="The caller's own active instance there.")
    heartbeat: str | None = Field(None, description="For superusers: since when it has been as `online` says.")


class Deployments(BaseModel):
    """A page of deployments."""

    workspace_deployments: list[str]
    page_count: int
    info: dict[str, DeploymentInfo] | None = None


class QueueLength(BaseModel):
    """Length of a queue."""

    id: str
    len: int = Field(description="0 when it is free and nobody waits, else 1 + those who wait.")
