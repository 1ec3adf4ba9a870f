"""Endpoints of a machine in the network."""

from typing import Annotated, Literal

from pydantic import Field

from berth_core import firewall
from berth_core.kube.model import Model
from berth_core.resources.base import Rule
from berth_core.resources.machines.devices import MachineDevice


class MachinePort(Model):
    """Ports of a machine."""

    protocol: Literal["TCP", "UDP"] = Field("TCP", description="Protocol of the ports.")
    port: int = Field(description="Port, or the first of a range.", ge=1, le=65535)
    end_port: int | None = Field(None, description="Last port of the range; absent for one port.", ge=1, le=65535)

    def reached(self) -> firewall.PortRange:
        """Return the ports as a range."""
        return firewall.PortRange(self.protocol, self.port, self.end_port or self.port)

    def text(self) -> str:
        """Write the ports as the HTTP API has them.

        >>> MachinePort(protocol="UDP", port=7400, end_port=7500).text()
        '7400-7500/UDP'
        """
        last = f"-{self.end_port}" if self.end_port is not None else ""
        return f"{self.port}{last}/{self.protocol}"


class InboundPort(Model):
    """A port of the workspace to which a machine connects."""

    protocol: Literal["TCP", "UDP"] = Field("TCP", description="Protocol of the port.")
    port: int = Field(description="Port on which the workspace listens.", ge=1, le=65535)


class MachineEndpoints(Model):
    """Addresses of a machine, and ports of them."""

    addresses: list[Annotated[str, Field(max_length=49)]] = Field(
        description="Networks in CIDR notation, IPv4 or IPv6, such as 192.0.2.40/32. They lie in the networks of the"
        " value instances.machineCidrs, and a /24 (IPv6: a /64) is the largest.",
        min_length=1,
        max_length=16,
    )
    ports: list[MachinePort] = Field(
        default_factory=list,
        description="Ports of these addresses that a lease reaches; absent for all ports of all protocols.",
        max_length=32,
    )

    def reached(self) -> firewall.Endpoints:
        """Return the endpoints that a lease of the machine reaches, wherever they lie."""
        networks = tuple(firewall.parse_source(text) for text in self.addresses)
        return firewall.Endpoints(networks, tuple(port.reached() for port in self.ports))


class MachineNetwork(MachineEndpoints):
    """Endpoints of a machine in the network, and of workspaces where it connects to."""

    inbound: list[InboundPort] | None = Field(
        None,
        description="Ports of the workspace to which the machine may connect, from these addresses only. The condition"
        " Inbound says at which address and port the machine reaches them; it is the same for all leases. Absent for a"
        " machine that begins no connections.",
        max_length=8,
    )

    @property
    def inbound_ports(self) -> tuple[firewall.PortRange, ...]:
        """Ports of the workspace to which the machine may connect, each once, sorted."""
        return tuple(sorted({firewall.PortRange(one.protocol, one.port, one.port) for one in self.inbound or ()}))


class Machine(Model):
    """A machine apart from its workspace."""

    network: MachineNetwork | None = Field(
        None,
        description="Endpoints that workspaces and hooks reach in a lease of this deployment, and nobody else."
        " Absent where the machine has no address of its own.",
    )
    devices: list[MachineDevice] | None = Field(
        None,
        description="Devices of the machine, each a ResourceClaim of its own for every lease, which workspaces and"
        " hooks have. Absent for a machine without any.",
        max_length=8,
    )


def devices_of(machine: Machine | None) -> tuple[MachineDevice, ...]:
    """Return the devices of a machine, or of none."""
    return tuple(machine.devices or ()) if machine is not None else ()


def machine_rules(at: str) -> tuple[Rule, ...]:
    """Rules of a MachineNetwork at a path in a resource."""
    return (
        Rule(
            at=at,
            rule="self.addresses.all(a, isCIDR(a) && cidr(a) == cidr(a).masked()"
            " && cidr(a).prefixLength() >= (cidr(a).ip().family() == 4 ? 24 : 64))",
            message=f"{at}.addresses takes networks in CIDR notation without bits behind the prefix, such as"
            " 192.0.2.40/32; the largest is a /24, of IPv6 a /64",
        ),
        Rule(
            at=at,
            rule="!has(self.ports) || self.ports.all(p, !has(p.endPort) || p.endPort >= p.port)",
            message=f"{at}.ports: endPort is the last port of a range, and not below port",
        ),
    )
