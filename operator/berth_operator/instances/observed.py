"""Observed state of one instance when a decision is taken. Built by :mod:`berth_operator.instances.observe`."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from berth_core.firewall import Network
from berth_core.leases.availability import Lease
from berth_core.machines.placement import Fault
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.instance import Address, InForce
from berth_core.resources.machines.devices import MachineDevice
from berth_operator.pods.view import PodView
from berth_operator.podspec.isolation import Verdict

STARTING = ("Starting", "the pod starts")
"""Reason and message of conditions while the pod starts."""
REFUSED = (
    "PathRefused",
    "the node refuses packets to the announced address: kube-proxy there does not serve the port yet, look at its log",
)
"""Reason and message of conditions while the node refuses packets to the announced address."""


@dataclass(frozen=True)
class AgentView:
    """State of the agent in the present pod, as this process knows it; a restart of either loses it."""

    acknowledged: InForce | None = None
    current: bool = False
    """The acknowledged state has the present rules, keys and notice."""
    failures: int = 0
    """Pushes that failed in a row."""
    error: str = ""
    probing: bool = False
    """A probe is under way: its end brings the instance back."""
    listening: bool | None = None
    """Whether sshd listens in the present workspace container; None while it was not asked."""
    path: bool | None = None
    """Whether packets to the announced address arrive; False where that cannot be known, None while it is tried."""
    refused: bool = False
    """They were refused so far, though nothing of the instance refuses them."""
    first_met: bool = False
    """This process knows of no workspace container before the present one: what the status says of it may hold."""


@dataclass(frozen=True)
class VpnView:
    """The VPN of an instance that asked for one."""

    offered: bool = True
    """The release offers VPNs."""
    ready: bool | None = None
    """Whether its server has its tunnel, as this process has heard; None while it was not asked."""
    problem: str = ""
    """Why its server has no tunnel, in the server's own words."""
    address: Address | None = None
    """Where its clients find it."""
    must_refuse: bool = False
    """Clients are revoked of which the agent was not told."""
    due: bool = False
    """There is something to do now: to ask, to refuse, or to sign."""


class Progress(Enum):
    """How far a hook is."""

    RUNNING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True)
class HookView:
    """One hook of one lease; ``why`` says what is known of a failure."""

    progress: Progress
    why: str = ""


@dataclass(frozen=True)
class ObservedInstance:
    """One instance and what surrounds it."""

    instance: Instance
    type: WorkspaceType | None = None
    deployment: WorkspaceDeployment | None = None
    """The one it is bound to or claims."""
    held: Lease | None = None
    """The lease that is its own, read live where that matters (unbound, or the cache says it is lost)."""
    claiming: bool = False
    """Its lease is being taken or given back elsewhere in this process: the outcome is not known yet."""
    lost: str = ""
    """Why the lease is not its own any more, from a live read; empty while it is."""
    warm: PodView | None = None
    """For one that holds a lease and is not bound: the pod that was kept warm for it, where one serves."""
    machine: Fault | None = None
    """For one for which nothing is opened yet: why its machine cannot be; None where it can, or has no address."""
    unreserved: bool = False
    """A device of its machine was allocated to a pod of it, and is not reserved for it yet."""
    unallocated: tuple[MachineDevice, ...] = ()
    """Devices of its machine that no pod of it was given yet."""
    waits_for: str = ""
    """For one that waits: why it cannot have any deployment, or not the one that it holds; empty where it may."""
    opened: bool = False
    """The lease's objects are there: its pod, which is made last, and its Service."""
    pod: PodView | None = None
    previous_pod_created: datetime | None = None
    previous_pod_ended: datetime | None = None
    image_error_since: datetime | None = None
    lacks_secrets: bool = False
    """Its pod waits for Secrets that are gone."""
    silent_node: str = ""
    """Node of the pod, while it is not Ready."""
    address: Address | None = None
    """Where ssh will answer, as soon as Service and node say so."""
    address_problem: str = ""
    out_of_reach: tuple[Network, ...] = ()
    """Networks that no workspace reaches, whatever its type says."""
    agent: AgentView = AgentView()
    notice: str = ""
    """Notice on the lease's end for the holder's shell now."""
    machine_notice: str = ""
    """Notice on a machine that does not answer."""
    rules_settled: bool = True
    """Every rule says that it is in force and names its Instance as owner."""
    others_open: bool = False
    """Leases of other instances are being opened."""
    quiet_since: datetime | None = None
    """Since when a keep-alive ping is missing; None for one that needs none."""
    vpn: VpnView | None = None
    """None where the instance has no VPN."""
    prepare: HookView | None = None
    """The hook that runs before the workspace is opened; None while it was not started."""
    prepare_pod: PodView | None = None
    """A pod of that hook, where one is known."""
    isolation: Verdict | None = None
    """Verdict on its pod's user namespace for the status; None where the status has it already."""
    leftover: bool = False
    """A pod or a Job of it is there, whichever."""
    clock_trusted: bool = True
