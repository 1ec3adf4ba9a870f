"""Connector: a host elsewhere that dials in, and through which machines there are reached (ADR 0057)."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Time
from berth_core.resources.base import Column, Resource

MOST_TARGETS: Final = 32
MOST_WORDS: Final = 64
MOST_LINKS: Final = 16
MOST_PEM: Final = 8192
MOST_WORD: Final = 4096
DIGEST: Final = r"^[0-9a-f]{64}$"
SERIAL: Final = r"^[0-9a-f]{1,40}$"

Target = Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:\[\]]+:[0-9]{1,5}$", max_length=64)]


class Enrolment(Model):
    """A token that may be exchanged for a certificate, once."""

    token_hash: str = Field(
        description="SHA-256 (hex) of the token, which has this object's uid in it.", pattern=DIGEST, max_length=64
    )
    expires: Time = Field(description="When the token expires.")


class ConnectorSpec(Model):
    """A host that may link itself to the hub."""

    description: str = Field("", description="Where the host stands, and what it is for.", max_length=1024)
    targets: list[Target] = Field(
        default_factory=list,
        description="Addresses and ports of machines, as the host reaches them; the command for the host names them."
        " The host's own settings decide about what is reached.",
        max_length=MOST_TARGETS,
    )
    enrolment: Enrolment | None = Field(
        None,
        description="Token for the host's enrolment, written by `berth connector enroll`. A later one replaces it.",
    )


class CertificateRequest(Model):
    """A request for a certificate, which a replica of the hub has checked."""

    kind: Literal["enroll", "renew"] = Field(
        description="enroll: for the key in `request`, by a token. renew: for the key of the present certificate."
    )
    request: str | None = Field(None, description="PKCS#10 request, PEM; of enroll only.", max_length=MOST_PEM)
    token_hash: str | None = Field(
        None, description="Hash of the token that was used; of enroll only.", pattern=DIGEST, max_length=64
    )
    serial: str | None = Field(
        None, description="Serial number (hex) that is renewed; of renew only.", pattern=SERIAL, max_length=40
    )


class ConnectorCertificate(Model):
    """The latest certificate."""

    pem: str = Field(description="The certificate, PEM.", max_length=MOST_PEM)
    serial: str = Field(description="Its serial number, hex.", pattern=SERIAL, max_length=40)
    previous: str | None = Field(
        None,
        description="Serial number of the one before it, which counts until it expires. Absent after an enrolment.",
        pattern=SERIAL,
        max_length=40,
    )
    not_before: Time = Field(description="Its beginning.")
    not_after: Time = Field(description="Its end.")
    token_hash: str = Field(description="Hash of the token of the enrolment.", pattern=DIGEST, max_length=64)
    request_hash: str = Field(
        description="SHA-256 (hex) of the enrolment's request: a host that asks again gets this certificate.",
        pattern=DIGEST,
        max_length=64,
    )


class HubLink(Model):
    """A link to a replica of the hub."""

    replica: str = Field(description="Name of the replica's pod.", min_length=1, max_length=253)
    since: Time = Field(description="When the link was made.")


class FenceWord(Model):
    """The operator's word about the latest epoch of a deployment, for the connector's fence."""

    deployment: str = Field(description="Uid of the WorkspaceDeployment.", min_length=1, max_length=64)
    epoch: int = Field(description="The epoch that has begun, or is over.", ge=1)
    over: bool = Field(False, description="Whether the epoch is over.")
    word: str = Field(description="Signed statement of it (a JSON Web Token). It opens nothing.", max_length=MOST_WORD)


class ConnectorStatus(Model):
    """Observed state of the connector."""

    request: CertificateRequest | None = Field(
        None, description="Request for a certificate. Cleared when the operator has signed or refused it."
    )
    certificate: ConnectorCertificate | None = Field(
        None, description="The latest certificate. Absent before the first; a later one replaces it."
    )
    links: list[HubLink] = Field(
        default_factory=list,
        description="Links that stand. Each replica of the hub writes its own.",
        max_length=MOST_LINKS,
    )
    version: str | None = Field(
        None, description="Version of the connector that linked last. Absent before that.", max_length=64
    )
    words: list[FenceWord] = Field(
        default_factory=list,
        description="State of each deployment's latest epoch, one for each deployment.",
        max_length=MOST_WORDS,
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Enrolled, Connected, AtRest, Readable. Never cleared, only changed.",
        max_length=16,
    )


class Connector(Resource):
    """A host elsewhere that dials in. Deleting it cuts the host off within a second, for good."""

    KIND: ClassVar[str] = "Connector"
    PLURAL: ClassVar[str] = "connectors"
    SHORT: ClassVar[str] = "conn"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(
            name="Connected",
            json_path='.status.conditions[?(@.type=="Connected")].status',
            description="Whether the host is linked",
        ),
        Column(
            name="Expires", type="date", json_path=".status.certificate.notAfter", description="End of the certificate"
        ),
        Column(name="Version", json_path=".status.version", description="Version of the connector"),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Connected")].message',
            priority=1,
            description="Why it is not connected, or since when it is",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )

    spec: ConnectorSpec
    status: ConnectorStatus = Field(default_factory=ConnectorStatus)
