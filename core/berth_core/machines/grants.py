"""Whether a machine is within a MachineGrant. Pure.

A machine lies in one grant as a whole, and each of its addresses with each of its port ranges in one entry of it, as
both are written. The policy `berth-grants` of the chart says the same in CEL. So two grants, or two entries with
halves of a network, do not cover a machine together (ADR 0053).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from berth_core.firewall import Endpoints, Network, PortRange, lies_in
from berth_core.machines.placement import NOT_GRANTED, Fault
from berth_core.resources import MachineGrant, MachineGrantSpec, WorkspaceDeployment
from berth_core.resources.machines.network import MachineNetwork
from berth_core.resources.workspacedeployment import Health

SHOWN: Final = 4


@dataclass(frozen=True)
class Wanted:
    """A machine that is registered, or to be."""

    owners: Collection[str]
    """Its owners: the grant is for one of them at least."""
    type: str
    network: MachineNetwork | None
    devices: bool = False
    """Whether it has devices of nodes."""


def lack(grant: MachineGrant, wanted: Wanted) -> str | None:
    """Return why a machine is not within a grant, in a sentence without a next step; None where it is."""
    name, spec, network = grant.metadata.name, grant.spec, wanted.network
    if not set(wanted.owners) & set(spec.users):
        return f"MachineGrant {name} is for {_some(spec.users)}, and not for {_some(wanted.owners) or 'nobody'}"
    if wanted.type not in spec.types:
        return f"MachineGrant {name} is for machines of type {_some(spec.types)}, and not {wanted.type}"
    if wanted.devices:
        return f"MachineGrant {name} gives no devices: that is an administrator's"
    if network is not None and (part := _outside(spec, network)) is not None:
        return f"{part} lies in no entry of MachineGrant {name}, which has {_some(_entries(spec))}"
    if network is not None and network.inbound:
        return f"MachineGrant {name} lets no machine connect to workspaces (inbound): that is an administrator's"
    return None


def fault(grant: MachineGrant | None, wd: WorkspaceDeployment, older: int) -> Fault | None:
    """Return why a registered machine is not lent; None where it is, or administrators answer for it.

    ``grant`` is the one of ``spec.grant``; None where there is none that can be read. ``older`` is the number of
    machines in it that were registered before this one, without retired ones.
    """
    name, spec = wd.spec.grant, wd.spec
    if name is None or spec.dissolved is not None:
        return None
    wanted = Wanted(spec.owners, spec.type, wd.network, bool(wd.devices))
    if grant is None:
        why: str | None = f"there is no MachineGrant {name} that can be read"
    elif (why := lack(grant, wanted)) is None and older >= grant.spec.deployments:
        why = f"MachineGrant {name} permits {grant.spec.deployments} machines, and has as many that are older"
    if why is None:
        return None
    step = "an administrator changes the grant, or answers for the machine by taking out spec.grant"
    return Fault(NOT_GRANTED, f"{why}: its owner changes or retires the machine, or {step}")


def stray_probe(health: Health | None, network: MachineNetwork) -> str | None:
    """Return why a probe asks something else than the machine itself, in a sentence; None where it does not.

    The writer of a probe learns whether a port is open.
    """
    if health is None:
        return None
    if health.host is not None:
        return f"the probe asks {health.host}: leave the host out, and it asks the machine's first address"
    port = health.tcp if health.http is None else health.http.port
    ranges = network.reached().ports
    if port is None or not ranges or any(one.protocol == "TCP" and one.first <= port <= one.last for one in ranges):
        return None
    return f"the probe asks port {port}, which is none of the machine's TCP ports"


def commanding_probe(health: Health | None) -> str | None:
    """Return why a probe may act on a machine, in a sentence; None where it cannot, or there is none.

    Many controllers act on a GET, and the operator repeats a probe without the lease. So its author, who is an owner
    and not the holder, chooses no path.
    """
    if health is None or health.http is None:
        return None
    if health.http.path != "/":
        return f"a controller may obey a request for {health.http.path}: leave the path out, and the probe asks for /"
    if health.during_lease:
        return "a probe by HTTP asks between leases only: leave during_lease out, or ask a TCP port"
    return None


def _outside(spec: MachineGrantSpec, network: MachineNetwork) -> str | None:
    """Return the first part of a machine that lies in no entry, for people."""
    entries, reached = [entry.reached() for entry in spec.networks], network.reached()
    ports: tuple[PortRange | None, ...] = reached.ports or (None,)
    for address in reached.networks:
        for port in ports:
            if not any(_holds(entry, address, port) for entry in entries):
                return f"{address} with {_port(port)}"
    return None


def _holds(entry: Endpoints, address: Network, port: PortRange | None) -> bool:
    """Whether an entry has all of an address with a port range; None for all ports of all protocols."""
    if not any(lies_in(address, network) for network in entry.networks):
        return False
    if not entry.ports or port is None:
        return not entry.ports
    return any(
        one.protocol == port.protocol and one.first <= port.first and port.last <= one.last for one in entry.ports
    )


def _entries(spec: MachineGrantSpec) -> list[str]:
    texts = []
    for entry in spec.networks:
        ports = [_port(port.reached()) for port in entry.ports] or [_port(None)]
        texts.append(f"{entry.cidr} with {_some(ports, ' and ')}")
    return texts


def _port(one: PortRange | None) -> str:
    if one is None:
        return "all ports"
    return f"{one.protocol} {one.first}" + (f"-{one.last}" if one.last > one.first else "")


def _some(words: Collection[str], between: str = ", ") -> str:
    """Write the first of some words."""
    shown = [*words][:SHOWN]
    return between.join(shown) + (" …" if len(words) > SHOWN else "")
