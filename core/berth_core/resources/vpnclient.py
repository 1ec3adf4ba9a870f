"""VPNClient: a client that may connect to an instance's VPN."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name
from berth_core.resources.base import Column, Resource, Rule


class VPNClientSpec(Model):
    """The VPN that the client may use. Never changed; deleting the VPNClient revokes the client."""

    instance: Name = Field(description="Public id of the instance whose VPN the client uses.")


class SecretRef(Model):
    """The Secret with the client's OpenVPN profile."""

    namespace: Name = Field(description="Namespace of the Secret: the one of private keys that users may fetch.")
    name: Name = Field(description="Name of the Secret; the profile is under the key `profile.ovpn`.")


class VPNClientStatus(Model):
    """Observed state of the client."""

    client_id: str | None = Field(
        None,
        alias="clientID",
        description="Id of the client in the HTTP API: the uid of this object. Set once.",
        max_length=64,
    )
    secret_ref: SecretRef | None = Field(None, description="Secret with the client's OpenVPN profile. Set once.")
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Ready (the client's certificate is signed, and its profile can be fetched),"
        " Readable. Never cleared, only changed.",
        max_length=16,
    )


class VPNClient(Resource):
    """A client of an instance's VPN."""

    KIND: ClassVar[str] = "VPNClient"
    PLURAL: ClassVar[str] = "vpnclients"
    SHORT: ClassVar[str] = "vpnc"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.instance",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Instance", json_path=".spec.instance", description="Instance whose VPN the client uses"),
        Column(name="Client", json_path=".status.clientID", description="Id of the client in the HTTP API"),
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
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec == oldSelf.spec",
            message="a VPNClient's spec cannot be changed: delete it and make another",
        ),
    )

    spec: VPNClientSpec
    status: VPNClientStatus = Field(default_factory=VPNClientStatus)
