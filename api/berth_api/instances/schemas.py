"""Instances."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal, Self

from pydantic import BaseModel, Field, RootModel

from berth_api.auth.identity import Identity
from berth_api.deployments.schemas import DeploymentDetail
from berth_api.deployments.service import Detail
from berth_api.instances.service import Overview
from berth_api.keepalive.expiry import expires
from berth_api.vpn.schemas import VpnStatus
from berth_core.kube.conditions import find
from berth_core.repositories import place
from berth_core.resources import Instance, instance
from berth_core.resources.workspacetype import Limits
from berth_core.state import (
    BOUND,
    NETWORK_READY,
    POD_READY,
    PREPARED,
    REPOSITORY_READY,
    VPN_READY,
    Word,
    is_active,
)

ROOT_USER: Final = "root"
Status = Literal["INIT", "INIT_FAIL", "READY", "TERMINATING", "TERMINATED"]


class InstanceSummary(BaseModel):
    """An instance in lists."""

    id: str
    status: Status
    deployment: str
    type: str
    region: str
    starttime: str
    rootuser: str
    endtime: str | None = None

    @classmethod
    def of(cls, overview: Overview) -> Self:
        """Show an instance."""
        return cls(
            id=overview.instance.public_id,
            status=overview.state.value,
            deployment=overview.deployment,
            type=overview.type,
            region=overview.region,
            starttime=overview.start_time,
            rootuser=ROOT_USER,
            endtime=overview.instance.status.end_time,
        )


class Instances(BaseModel):
    """A page of instances; the two lists are parallel."""

    workspace_instances: list[str] | list[InstanceSummary]
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

    @classmethod
    def of(cls, resource: Instance) -> Self:
        """Show which steps of a start are done."""
        steps = {c.type: c.status == "True" for c in resource.status.conditions}
        return cls(
            bound=steps.get(BOUND, False),
            prepared=steps.get(PREPARED),
            repo=steps.get(REPOSITORY_READY, False) if resource.spec.repo is not None else None,
            pod=steps.get(POD_READY, False),
            network=steps.get(NETWORK_READY, False),
            vpn=steps.get(VPN_READY, False) if resource.spec.vpn else None,
        )


class Cloned(BaseModel):
    """A repository in an instance."""

    url: str
    cloned: bool
    path: str | None = Field(None, description="Where it is in the workspace.")
    message: str | None = Field(None, description="Outcome, and where it failed what to do.")

    @classmethod
    def of(cls, resource: Instance, repo: instance.Repo) -> Self:
        """Show the result of cloning the requested repository."""
        path, condition = None, find(resource.status.conditions, REPOSITORY_READY)
        with suppress(ValueError):  # made with kubectl, without a usable path: the message says why
            path = place(repo.url, repo.path)
        return cls(
            url=repo.url,
            cloned=condition is not None and condition.status == "True",
            path=path,
            message=condition.message if condition is not None else None,
        )


class Null(RootModel[None]):
    """Null that is shown where fields without a value are left out."""


class InstanceDetail(BaseModel):
    """An instance."""

    id: str
    deployment: str
    type: str
    region: str
    status: Status
    starttime: str
    rootuser: str
    wdinfo: DeploymentDetail | Null
    endtime: str | None = None
    expires: str | None = Field(None, description="When it will be ended, where it has an end.")
    fwd: Forward | None = None
    hostkeys: list[str] | None = Field(None, description="OpenSSH public key lines, ed25519 first.")
    vpn: VpnStatus | None = Field(None, description="Where it was asked for.")
    repo: Cloned | None = Field(None, description="Where one was asked for. An instance is READY without it, too.")
    progress: Progress | None = Field(None, description="While INIT: how far the start has come.")
    message: str | None = Field(None, description="Why INIT_FAIL.")

    @classmethod
    def of(cls, overview: Overview, detail: Detail | None, identity: Identity, vpn_clients: Sequence[str] = ()) -> Self:
        """Show an instance; ``vpn_clients`` are the ids of its VPN's clients, where it has one."""
        resource, status = overview.instance, overview.instance.status
        answer = cls(
            id=resource.public_id,
            deployment=overview.deployment,
            type=overview.type,
            region=overview.region,
            status=overview.state.value,
            starttime=overview.start_time,
            rootuser=ROOT_USER,
            wdinfo=DeploymentDetail.of(detail, identity) if detail is not None else Null(None),
            endtime=status.end_time,
            progress=Progress.of(resource) if overview.state is Word.INIT else None,
            message=(status.message or None) if overview.state is Word.INIT_FAIL else None,
        )
        if is_active(resource):
            address, repo = status.address, resource.spec.repo
            answer.expires = expires(resource, _limits(detail))
            answer.fwd = Forward(ipv4=address.ipv4, port=address.port) if address is not None else None
            answer.hostkeys = status.host_keys or None
            answer.vpn = VpnStatus.of(resource, vpn_clients) if resource.spec.vpn else None
            answer.repo = Cloned.of(resource, repo) if repo is not None else None
        return answer


class PrivateKey(BaseModel):
    """A private key."""

    key: str = Field(description="PKCS#1 PEM.")


def _limits(detail: Detail | None) -> Limits:
    return detail.type.spec.limits if detail is not None and detail.type is not None else Limits()
