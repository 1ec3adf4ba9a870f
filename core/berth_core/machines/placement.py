"""Where machines may stand in a cluster. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from berth_core.firewall import Endpoints, Machines, Network, lies_in, special
from berth_core.resources.machines.network import MachineNetwork
from berth_core.resources.workspacetype import Template

OUTSIDE: Final = "OutsideMachineNetworks"
OUT_OF_REACH: Final = "OutOfReach"
IN_USE: Final = "EndpointInUse"
NOT_GRANTED: Final = "NotGranted"
FAULTS: Final = frozenset({OUTSIDE, OUT_OF_REACH, IN_USE, NOT_GRANTED})
"""Reasons of the condition Online that speak of ``spec.machine.network``."""


WALLED: Final = "Walled"
"""Condition of a deployment with endpoints: the ruleset in the pod holds machines, beside the NetworkPolicy."""
INBOUND: Final = "Inbound"
"""Condition of a deployment to whose workspaces its machine connects."""
_PAST_RULESETS: Final = frozenset({"ALL", "NET_ADMIN", "NET_RAW", "SYS_ADMIN"})
"""Capabilities with which a holder changes the ruleset, or sends packets that it does not see."""


class Fault(NamedTuple):
    """Why a deployment's machine is not lent: a reason of the condition Online, and a sentence."""

    reason: str
    message: str


def passes_rulesets(template: Template) -> bool:
    """Whether holders of workspaces from a template can get past the ruleset in their pod."""
    added = {name.upper().removeprefix("CAP_") for name in template.add_capabilities}
    return template.privileged or bool(added & _PAST_RULESETS)


@dataclass(frozen=True)
class Grounds:
    """Networks of a cluster that decide where machines may stand."""

    machines: tuple[Network, ...] = ()
    """The value ``instances.machineCidrs``."""
    closed: tuple[Network, ...] = ()
    """Networks that nobody reaches: the value ``instances.blockedCidrs``, and the cluster's own."""
    resolvers: tuple[Network, ...] = ()
    """DNS servers of all workspaces."""

    def fault(self, network: MachineNetwork) -> Fault | None:
        """Return the first fault of a machine's addresses; None where all may be lent."""
        return next(self._faults(network.reached()), None)

    def opened(self, network: MachineNetwork | None) -> Endpoints | None:
        """Return the endpoints that a lease of the machine opens: those whose address may be lent."""
        if network is None:
            return None
        endpoints = network.reached()
        sound = tuple(one for one in endpoints.networks if self._fault(one) is None)
        return Endpoints(sound, endpoints.ports) if sound else None

    def around(self, network: MachineNetwork | None) -> Machines:
        """Return the machines' networks as a pod sees them whose lease opens ``network``; None for no lease."""
        inside = tuple(one for one in self.resolvers if any(lies_in(one, other) for other in self.machines))
        inbound = network.inbound_ports if network is not None else ()
        return Machines(self.machines, self.opened(network), inside, inbound)

    def useless(self, network: Network) -> Fault | None:
        """Return why no machine in a network that is granted could be lent; None where some may be, or all."""
        if special.may_carry(network):
            return Fault(OUT_OF_REACH, f"{network} is a form of IPv4 addresses: grant the IPv4 network")
        if not any(lies_in(network, other) for other in self.machines):
            message = f"{network} does not lie in the value instances.machineCidrs: add it there, or grant a part of it"
            return Fault(OUTSIDE, message)
        for other in (*special.networks(special.NEVER), *self.closed, *self.resolvers):
            if lies_in(network, other):
                message = f"{network} lies in {other}, which nobody reaches or all use: grant another network"
                return Fault(OUT_OF_REACH, message)
        return None

    def _faults(self, endpoints: Endpoints) -> Iterator[Fault]:
        for network in endpoints.networks:
            if (fault := self._fault(network)) is not None:
                yield fault

    def _fault(self, network: Network) -> Fault | None:
        if special.may_carry(network):
            message = f"{network} is a form of IPv4 addresses: write the IPv4 address in spec.machine.network.addresses"
            return Fault(OUT_OF_REACH, message)
        if not any(lies_in(network, other) for other in self.machines):
            message = (
                f"{network} of spec.machine.network lies outside of the networks where machines stand, so that others"
                " may reach it: an administrator adds its network to the value instances.machineCidrs, or an owner"
                " corrects the address"
            )
            return Fault(OUTSIDE, message)
        for other in (*special.networks(special.NEVER), *self.closed, *self.resolvers):
            if network.version == other.version and network.overlaps(other):
                message = (
                    f"{network} of spec.machine.network has addresses of {other}, which nobody reaches or all use (the"
                    " cluster's own, instances.blockedCidrs, instances.resolvers, metadata services): give the machine"
                    " another address"
                )
                return Fault(OUT_OF_REACH, message)
        return None
