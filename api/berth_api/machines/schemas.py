"""Machines that owners register and change."""

import re
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from berth_api.http.bodies import Options, integral, said
from berth_core.firewall import parse_network
from berth_core.kube.model import is_time
from berth_core.resources import workspacedeployment as resource
from berth_core.resources.machines import network as endpoints

SMALLEST: Final = {4: 24, 6: 64}
"""Prefix length of the largest network of one machine."""
_PORTS: Final = re.compile(r"(?P<first>[1-9][0-9]{0,4})(-(?P<last>[1-9][0-9]{0,4}))?(/(?P<protocol>TCP|UDP))?")
ADDRESSES: Final = (
    "must be 1 to 16 addresses or networks, such as 192.0.2.40 or 2001:db8::/64; the largest is a /24, of IPv6 a /64"
)
PORTS: Final = "must be at most 32 ports or ranges, such as 30002, 7400-7500/UDP or 22/TCP"
_STRICT: Final = ConfigDict(strict=True, frozen=True)


def _address(text: object) -> str:
    if isinstance(text, str) and "%" not in text:
        with suppress(ValueError):
            network = parse_network(text)
            if network.prefixlen >= SMALLEST[network.version]:
                return str(network)
    raise ValueError(ADDRESSES)


def _ports(text: object) -> str:
    match = _PORTS.fullmatch(text) if isinstance(text, str) else None
    if match is not None and int(match["first"]) <= int(match["last"] or match["first"]) <= 65535:
        return match[0]
    raise ValueError(PORTS)


def _time(text: str) -> str:
    if not is_time(text):
        raise ValueError("must be a time, such as 2026-12-24T08:00:00Z")
    return text


Address = Annotated[str, BeforeValidator(_address), WithJsonSchema({"type": "string", "format": "machine-address"})]
Ports = Annotated[str, BeforeValidator(_ports), WithJsonSchema({"type": "string", "format": "machine-ports"})]
Moment = Annotated[str, AfterValidator(_time), WithJsonSchema({"type": "string", "format": "rfc3339"})]
Integral = BeforeValidator(integral)
Port = Annotated[int, Field(ge=1, le=65535), Integral, said("must be a port from 1 to 65535")]


def _port(text: str) -> endpoints.MachinePort:
    match = _PORTS.fullmatch(text)
    assert match is not None, "the model has checked it"  # noqa: S101 (for the type checker)
    protocol: Literal["TCP", "UDP"] = "UDP" if match["protocol"] == "UDP" else "TCP"
    last = int(match["last"]) if match["last"] else None
    return endpoints.MachinePort(protocol=protocol, port=int(match["first"]), end_port=last)


class NetworkRequest(BaseModel):
    """Endpoints of a machine."""

    model_config = _STRICT

    addresses: Annotated[list[Address], Field(min_length=1, max_length=16), said(ADDRESSES)] = Field(
        description="Addresses or networks, IPv4 or IPv6."
    )
    ports: Annotated[list[Ports], Field(max_length=32), said(PORTS)] = Field(
        default_factory=list, description="Ports, such as `7400-7500/UDP`; TCP without a protocol. Empty: all ports."
    )


class MachineRequest(BaseModel):
    """A machine apart from its workspace."""

    model_config = _STRICT

    network: NetworkRequest = Field(description="Endpoints that leases reach.")

    def spec(self) -> endpoints.Machine:
        """Return the part of a spec."""
        ports = [_port(text) for text in self.network.ports]
        network = endpoints.MachineNetwork(addresses=list(self.network.addresses), ports=ports)
        return endpoints.Machine(network=network)


class HttpHealthRequest(BaseModel):
    """A request that a machine answers while it is well."""

    model_config = _STRICT

    port: Port
    path: Annotated[str, Field(pattern="^/[!-~]*$", max_length=1024), said("must begin with / and have no blanks")] = (
        Field("/", description="Path, perhaps with a query.")
    )
    tls: bool = Field(False, description="Ask by TLS; the certificate is not verified.")


class HealthRequest(BaseModel):
    """Proof that the machine answers: a connection, or an HTTP request."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": kind}}}
                for name, kind in (("tcp", "integer"), ("http", "object"))
            ]
        }
    )

    tcp: Port | None = Field(None, description="Port that accepts connections.")
    http: HttpHealthRequest | None = None
    every: Annotated[int, Field(ge=1, le=3600), Integral, said("must be 1 to 3600 seconds")] = Field(
        30, description="Seconds from one probe to the next."
    )
    failures: Annotated[int, Field(ge=1, le=100), Integral, said("must be 1 to 100")] = Field(
        3, description="Failures in a row after which the machine is offline."
    )
    during_lease: bool = Field(False, description="Probe during leases, too.")

    @model_validator(mode="after")
    def _need_one(self) -> "HealthRequest":
        if (self.tcp is None) == (self.http is None):
            raise ValueError("must have either `tcp` or `http`")
        return self

    def spec(self) -> resource.Health:
        """Return the part of a spec."""
        return resource.Health(**self.model_dump())


class MaintenanceRequest(BaseModel):
    """A time in which only owners get new instances."""

    model_config = _STRICT

    reason: Annotated[str, Field(min_length=1, max_length=512), said("must have 1 to 512 characters")] = Field(
        description="Reason, which everybody sees."
    )
    until: Moment | None = Field(None, description="When it ends by itself; without it, when it is taken away.")

    def spec(self) -> resource.Maintenance:
        """Return the part of a spec."""
        return resource.Maintenance(reason=self.reason, until=self.until)


Description = Annotated[str, Field(max_length=4096), said("must have at most 4096 characters")]
Region = Annotated[str, Field(max_length=128), said("must have at most 128 characters")]
Version = Annotated[int, Field(ge=0, le=2**31 - 1), Integral, said("must be a number, 0 or more")]
TypeName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_0-9]+$", min_length=1, max_length=128),
    said("must have letters, digits and _ only, at most 128"),
]


class RegistrationRequest(Options):
    """A machine to register."""

    type: TypeName = Field(description="Name of its type; never changed.")
    machine: MachineRequest = Field(description="The machine itself.")
    desc: Description = Field("", description="Description for people.")
    region: Region = Field("", description="Place where it stands.")
    type_version: Version = Field(1, description="Version of its hardware or software; newer ones are lent first.")
    health: HealthRequest | None = Field(None, description="Proof that it answers; without it nobody asks.")
    maintenance: MaintenanceRequest | None = Field(None, description="Only its owner gets instances at first.")


class ChangeRequest(Options):
    """Changes of a machine. Options that are absent stay as they are."""

    CLEARABLE: ClassVar[frozenset[str]] = frozenset({"health", "maintenance"})

    machine: MachineRequest | None = Field(None, description="The machine itself, from the next lease on.")
    desc: Description | None = Field(None, description="Description for people.")
    region: Region | None = Field(None, description="Place where it stands.")
    type_version: Version | None = Field(None, description="Version of its hardware or software.")
    health: HealthRequest | None = Field(None, description="Proof that it answers; null for none.")
    maintenance: MaintenanceRequest | None = Field(
        None, description="Only owners get new instances; null when everybody may again."
    )

    def changes(self) -> dict[str, Any]:
        """Return the fields of a spec that change, in the API server's form; None for those that go."""
        result: dict[str, Any] = {}
        for option, name in _PLAIN.items():
            if (value := getattr(self, option)) is not None:
                result[name] = value
        if self.machine is not None:
            result["machine"] = self.machine.spec().wire()
        for option, part in (("health", self.health), ("maintenance", self.maintenance)):
            if option in self.model_fields_set:
                # With its nulls: a merge patch leaves what is not named.
                result[option] = part.spec().model_dump(mode="json", by_alias=True) if part is not None else None
        return result


_PLAIN: Final = {"desc": "description", "region": "region", "type_version": "typeVersion"}


class Registered(BaseModel):
    """A machine that was registered."""

    id: str = Field(description="Id of its deployment.")
    grant: str = Field(description="MachineGrant within which it was registered.")
