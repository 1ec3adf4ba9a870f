"""MachineGrant: machines that users may register over HTTP."""

from typing import ClassVar, Final

from pydantic import Field

from berth_core import firewall
from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Word
from berth_core.resources.base import Column, Resource, Rule
from berth_core.resources.machines.network import MachinePort

MOST_MACHINES: Final = 1000


class GrantedNetwork(Model):
    """A network in which users may name machines."""

    cidr: str = Field(
        description="Network in CIDR notation, IPv4 or IPv6, such as 192.0.2.32/28; of any size. It lies in the"
        " networks of the value instances.machineCidrs.",
        max_length=49,
    )
    ports: list[MachinePort] = Field(
        default_factory=list,
        description="Ports that machines of this network may name; absent for all ports of all protocols.",
        max_length=32,
    )

    def reached(self) -> firewall.Endpoints:
        """Return the endpoints that the entry grants."""
        return firewall.Endpoints((firewall.parse_source(self.cidr),), tuple(port.reached() for port in self.ports))


class MachineGrantSpec(Model):
    """Users, and the machines that they may register. A machine lies in one grant as a whole."""

    users: list[Word] = Field(
        description="Users who may register, change and retire machines of their own within this grant, by their"
        " names in tokens (claim `sub`).",
        min_length=1,
        max_length=64,
    )
    types: list[Word] = Field(
        description="typeNames of WorkspaceTypes in this namespace that the machines may have.",
        min_length=1,
        max_length=64,
    )
    networks: list[GrantedNetwork] = Field(
        description="Networks and ports of the machines. Each address of a machine lies, with each of its ports, in"
        " one entry.",
        min_length=1,
        max_length=32,
    )
    deployments: int = Field(
        1,
        description="Most machines at a time, of all these users together; retired ones do not count. Of more than"
        " that, the oldest are lent.",
        ge=0,
        le=MOST_MACHINES,
    )


class MachineGrantStatus(Model):
    """Observed state of the grant."""

    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    deployments: int = Field(
        0, description="Machines that are registered within the grant, without retired ones. Never cleared.", ge=0
    )
    conditions: list[Condition] = Field(
        default_factory=list, description="Conditions: Ready, Readable. Never cleared, only changed.", max_length=16
    )


class MachineGrant(Resource):
    """Lets users register machines at addresses over HTTP, which administrators would else write themselves."""

    KIND: ClassVar[str] = "MachineGrant"
    PLURAL: ClassVar[str] = "machinegrants"
    SHORT: ClassVar[str] = "mg"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Users", json_path=".spec.users", description="Users who may register machines"),
        Column(name="Types", json_path=".spec.types", description="Types that the machines may have"),
        Column(
            name="Machines", type="integer", json_path=".status.deployments", description="Machines that are registered"
        ),
        Column(name="Most", type="integer", json_path=".spec.deployments", description="Most machines at a time"),
        Column(
            name="Ready",
            json_path='.status.conditions[?(@.type=="Ready")].status',
            description="Whether all that it grants can be used",
        ),
        Column(name="Networks", json_path=".spec.networks[*].cidr", priority=1, description="Networks of the machines"),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Ready")].message',
            priority=1,
            description="Which part is of no use",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            at="spec",
            rule="self.networks.all(n, isCIDR(n.cidr) && cidr(n.cidr) == cidr(n.cidr).masked())",
            message="spec.networks takes networks in CIDR notation without bits behind the prefix, such as"
            " 192.0.2.32/28",
        ),
        Rule(
            at="spec",
            rule="self.networks.all(n, !has(n.ports) || n.ports.all(p, !has(p.endPort) || p.endPort >= p.port))",
            message="spec.networks: endPort is the last port of a range, and not below port",
        ),
    )

    spec: MachineGrantSpec
    status: MachineGrantStatus = Field(default_factory=MachineGrantStatus)
