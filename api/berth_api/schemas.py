"""Bodies of requests and answers, for the OpenAPI document. Checks are in options.py, shapes in shapes.py."""

from typing import Literal

from pydantic import BaseModel, Field


class Refusal(BaseModel):
    """Why not."""

    error_message: str
    result_message: str | None = Field(None, description="The same, where something is busy.")
    error: str | None = Field(None, description="The same, where POST /new… fails.")
    request_id: str | None = Field(None, description="With status 500: what to quote.")


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


class Repo(BaseModel):
    """A git repository."""

    url: str
    path: str | None = None


class LaunchRequest(BaseModel):
    """Options of an instance; unknown ones are ignored."""

    sshkey: str | None = Field(None, description="Public key in OpenSSH's form; without it a pair is made.")
    vpn: bool = False
    reserve: bool = Field(False, description="Wait in the queue when all are busy.")
    eurl: str | None = Field(None, description="URL that is told when the turn has come.")
    expire_d: int | None = Field(None, description="Seconds from readiness to the end.", ge=1)
    keepalive: bool = False
    allow_noop: bool = Field(False, description="Answer with an active instance of the caller's that matches.")
    repo: Repo | None = None


class LaunchAnyRequest(LaunchRequest):
    """The same, with the deployments to choose from."""

    wds: list[str] = Field(description="Ids of deployments, all of one type.")


class Launched(BaseModel):
    """An instance that was made."""

    success: bool
    id: str
    sshkey: str | None = Field(None, description="Private key (PKCS#1 PEM) where the request gave no public one.")


class InstanceSummary(BaseModel):
    """An instance in lists."""

    id: str
    status: Literal["INIT", "INIT_FAIL", "READY", "TERMINATING", "TERMINATED"]
    deployment: str
    type: str
    region: str
    starttime: str
    rootuser: str
    endtime: str | None = None


class Instances(BaseModel):
    """A page of instances; the two lists are parallel."""

    workspace_instances: list[str | InstanceSummary]
    workspace_deployments: list[str]
    page_count: int


class Forward(BaseModel):
    """Where ssh answers."""

    ipv4: str
    port: int


class InstanceDetail(InstanceSummary):
    """An instance."""

    wdinfo: DeploymentDetail | None
    expires: str | None = None
    fwd: Forward | None = None
    hostkeys: list[str] | None = Field(None, description="OpenSSH public key lines, ed25519 first.")
    message: str | None = Field(None, description="Why INIT_FAIL.")


class PrivateKey(BaseModel):
    """A private key."""

    key: str = Field(description="PKCS#1 PEM.")


class FirewallRequest(BaseModel):
    """A rule to append."""

    src: str | None = Field(None, description="Address or CIDR; the caller's without it.")
    action: Literal["ACCEPT", "DROP", "REJECT"] = "ACCEPT"


class FirewallRules(BaseModel):
    """Rules in the order in which they count; null while there is no chain yet."""

    rules: list[tuple[str, str]] | None
