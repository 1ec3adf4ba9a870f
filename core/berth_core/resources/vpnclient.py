"""VPNClient: somebody who may come into an instance's VPN."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name
from berth_core.resources.base import Column, Resource, Rule


class VPNClientSpec(Model):
    """Which VPN. Never changed; deleting the VPNClient revokes it."""

    instance: Name = Field(description="Public id of the instance.")


class SecretRef(Model):
    """Where the profile is."""

    namespace: Name = Field(description="Its namespace: the one of private keys that users may fetch.")
    name: Name = Field(description="Its name; the profile has the key `profile.ovpn`.")


class VPNClientStatus(Model):
    """What is observed of the client."""

    client_id: str | None = Field(
        None,
        alias="clientID",
        description="Id that users know it by: the uid of this object. Set once.",
        max_length=64,
    )
    secret_ref: SecretRef | None = Field(None, description="Secret with the profile. Set once.")
    observed_generation: int | None = Field(None, description="Generation of the spec that was last looked at.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready: it is signed, and its profile can be fetched; Readable. Never cleared, only changed.",
        max_length=16,
    )


class VPNClient(Resource):
    """A client of an instance's VPN."""

    KIND: ClassVar[str] = "VPNClient"
    PLURAL: ClassVar[str] = "vpnclients"
    SHORT: ClassVar[str] = "vpnc"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.instance",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Instance", json_path=".spec.instance", description="Whose VPN"),
        Column(name="Client", json_path=".status.clientID", description="Id that users know it by"),
        Column(
            name="Ready",
            json_path='.status.conditions[?(@.type=="Ready")].status',
            description="Whether its profile can be fetched",
        ),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Ready")].message',
            priority=1,
            description="Why it is not ready",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since when it exists"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec == oldSelf.spec",
            message="a VPNClient's spec cannot be changed: delete it and make another",
        ),
    )

    spec: VPNClientSpec
    status: VPNClientStatus = Field(default_factory=VPNClientStatus)
