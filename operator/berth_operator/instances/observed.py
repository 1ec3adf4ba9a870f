"""What is known of one instance when a decision is taken. Built by :mod:`berth_operator.instances.observe`."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from berth_core.firewall import Network
from berth_core.leases.leasing import Lease
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.instance import Address, InForce
from berth_operator.isolation import Verdict


@dataclass(frozen=True)
class ContainerView:
    """One container, as the kubelet reported it last."""

    state: str
    """``running``, ``waiting`` or ``terminated``."""
    id: str = ""
    reason: str = ""
    """Why it waits or ended."""
    message: str = ""
    restarts: int = 0
    exit_code: int | None = None
    """Of one that ended."""


NOT_REPORTED = ContainerView("waiting", reason="NotReported")
ORDINARY = ("NotReported", "ContainerCreating", "PodInitializing")
"""Reasons of containers that are on their way."""
STARTING = ("Starting", "the pod starts")
"""What conditions say meanwhile."""
REFUSED = (
    "PathRefused",
    "the node refuses packets to the announced address: kube-proxy there does not serve the port yet, look at its log",
)
"""What they say while the way in is not there."""


@dataclass(frozen=True)
class PodView:
    """The pod of an instance."""

    uid: str
    epoch: int
    phase: str
    created: datetime
    deleting: bool
    """It has a deletionTimestamp."""
    finalized: bool
    """It carries our finalizer still."""
    node: str = ""
    """Where it is bound to; empty while it is not scheduled."""
    ip: str = ""
    isolated: bool = False
    """It has a user namespace of its own."""
    agent: ContainerView = NOT_REPORTED
    workspace: ContainerView = NOT_REPORTED
    vpn: ContainerView = NOT_REPORTED
    """Of an instance that has one."""
    repository: ContainerView | None = None
    """What clones a repository into the workspace; None where the pod was made without."""
    containers: tuple[ContainerView, ...] = ()
    """All that the spec names, init containers and ephemeral ones too."""
    unschedulable_since: datetime | None = None
    unschedulable: str = ""
    """The scheduler's message."""
    presumed: bool = False
    """Its phase was written by a controller of Kubernetes', which knows nothing of the containers."""
    forced: bool = False
    """An administrator attests that its containers are gone."""
    reason: str = ""
    """Why it failed, such as Evicted."""
    name: str = ""
    """Its name, which its Service has too."""
    holder: str = ""
    """Public id of its instance; empty for one that is kept warm for nobody yet."""
    made_from: str = ""
    """Digest of what a warm one was made from."""
    host_key: str = ""
    """Public host key of a warm one."""
    nonce: str | None = None
    """In the names of a warm one's Secrets; None for one that an earlier version made."""

    @property
    def needed(self) -> tuple[ContainerView, ...]:
        """What must run for a shell, in the order of the start; what clones a repository only until that has ended."""
        cloning = self.repository is not None and self.repository.state != "terminated"
        return (self.agent, *((self.repository,) if self.repository is not None and cloning else ()), self.workspace)

    @property
    def is_silent(self) -> bool:
        """Whether its node has said nothing of its containers: it pulls their images, or waits for what they mount."""
        on_the_way = all(one.state == "waiting" and one.reason in ORDINARY for one in self.containers)
        return bool(self.node) and self.phase == "Pending" and on_the_way

    @property
    def over(self) -> bool:
        """Whether it is deleted or has failed, and will not serve again."""
        return self.deleting or self.phase in ("Failed", "Succeeded")

    @property
    def harmless(self) -> bool:
        """Whether it is certain that none of its containers runs, nor will.

        The kubelet's word is a terminal phase and no running container; it writes the phase when it is done with a
        pod that is deleted. A container that waits then never started. Not its word: a phase that the garbage
        collector wrote, as for a node that was deleted. Of the containers of such a pod only those have ended that
        the kubelet said have: one that was said to wait may run since. A pod that is deleted before it is bound to a
        node is never bound (the binding is refused).
        """
        if self.forced:
            return True
        if not self.node:
            return self.deleting
        if self.phase not in ("Failed", "Succeeded"):
            return False
        states = {container.state for container in self.containers}
        return states <= {"terminated"} if self.presumed else "running" not in states


@dataclass(frozen=True)
class AgentView:
    """What this process knows of the agent in the present pod; nothing of it survives a restart of either."""

    acknowledged: InForce | None = None
    current: bool = False
    """What was acknowledged is what the rules, the keys and the notice say now."""
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
    """What keeps it from that, in its own words."""
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
    """Its lease is being taken or given back elsewhere in this process: what comes of it is not known yet."""
    lost: str = ""
    """Why the lease is not its own any more, from a live read; empty while it is."""
    warm: PodView | None = None
    """For one that holds a lease and is not bound: the pod that was kept warm for it, where one serves."""
    waits_for: str = ""
    """For one that waits: why it cannot have any deployment, or not the one that it holds; empty where it may."""
    opened: bool = False
    """What the lease opens is there: its pod, which is made last, and its Service."""
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
    """What the holder's shell should tell now."""
    rules_settled: bool = True
    """Every rule says that it is in force and names its Instance as owner."""
    quiet_since: datetime | None = None
    """Since when a keep-alive ping is missing; None for one that needs none."""
    vpn: VpnView | None = None
    """None where the instance has no VPN."""
    prepare: HookView | None = None
    """The hook that runs before the workspace is opened; None while it was not started."""
    isolation: Verdict | None = None
    """Verdict on its pod's user namespace for the status; None where the status has it already."""
    leftover: bool = False
    """A pod or a Job of it is there, whichever."""
    clock_trusted: bool = True
