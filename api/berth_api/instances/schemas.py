"""Instances, and requests for them."""

from typing import Literal

from pydantic import BaseModel, Field

from berth_api.deployments.schemas import DeploymentDetail
from berth_api.http.schemas import ClonePath, GitUrl, HttpUrl, SshKey
from berth_api.vpn.schemas import VpnStatus


class Repo(BaseModel):
    """A git repository."""

    url: GitUrl = Field(
        description="https, http or git URL of up to 2048 characters, without user, password or query: what everyone"
        " may read."
    )
    path: ClonePath | None = Field(
        None,
        description="Where it is put, up to 255 characters: absolute, or below /root; without it a folder there of the"
        " repository's name.",
    )


class LaunchRequest(BaseModel):
    """Options of an instance; unknown ones are ignored."""

    sshkey: SshKey | None = Field(None, description="Public key in OpenSSH's form; without it a pair is made.")
    vpn: bool | None = Field(False, description="Whether a VPN runs beside it.")
    reserve: bool | None = Field(False, description="Wait in the queue when all are busy.")
    eurl: HttpUrl | None = Field(
        None, description="http(s) URL that is told when the turn has come; up to 2048 characters."
    )
    expire_d: int | None = Field(None, description="Seconds from readiness to the end.", ge=1, le=2**31 - 1)
    keepalive: bool | None = Field(False, description="End it when no ping came for 60 seconds.")
    allow_noop: bool | None = Field(False, description="Answer with an active instance of the caller's that matches.")
    repo: Repo | None = Field(None, description="A git repository that is cloned into it.")


class LaunchAnyRequest(LaunchRequest):
    """Options of an instance, with the deployments to choose from; unknown options are ignored."""

    wds: list[str] = Field(description="Ids of deployments, all of one type.", min_length=1, max_length=256)


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
    """Address and port of ssh."""

    ipv4: str
    port: int


class Progress(BaseModel):
    """Steps of a start: whether each is done."""

    bound: bool = Field(description="A deployment is its own.")
    prepared: bool | None = Field(None, description="The type's hook has run, where there is one.")
    repo: bool | None = Field(None, description="The repository is there, where one was asked for.")
    pod: bool = Field(description="The workspace runs.")
    network: bool = Field(description="Its firewall is in force and its address known.")
    vpn: bool | None = Field(None, description="The VPN serves, where it was asked for.")


class Cloned(BaseModel):
    """A repository in an instance."""

    url: str
    path: str | None = Field(None, description="Where it is in the workspace.")
    cloned: bool
    message: str | None = Field(None, description="What came of it, and where it is not there what to do.")


class InstanceDetail(InstanceSummary):
    """An instance."""

    wdinfo: DeploymentDetail | None
    expires: str | None = Field(None, description="When it will be ended, where it has an end.")
    fwd: Forward | None = None
    hostkeys: list[str] | None = Field(None, description="OpenSSH public key lines, ed25519 first.")
    vpn: VpnStatus | None = Field(None, description="Where it was asked for.")
    repo: Cloned | None = Field(None, description="Where one was asked for. An instance is READY without it, too.")
    progress: Progress | None = Field(None, description="While INIT: how far the start has come.")
    message: str | None = Field(None, description="Why INIT_FAIL.")


class PrivateKey(BaseModel):
    """A private key."""

    key: str = Field(description="PKCS#1 PEM.")
