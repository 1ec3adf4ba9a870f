"""Instances."""

from typing import Literal

from pydantic import BaseModel, Field

from berth_api.deployments.schemas import DeploymentDetail
from berth_api.vpn.schemas import VpnStatus


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
