"""A deployment as requests see it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from berth_core.kube import conditions
from berth_core.kube.conditions import Condition
from berth_core.leases.availability import availability
from berth_core.machines.sharing import blocks
from berth_core.resources import WorkspaceDeployment, oldest
from berth_core.resources.workspacedeployment import MAINTENANCE

ONLINE: Final = "Online"
FREE: Final = "Free"
_NO_TIME: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Deployment:
    """A resource and what follows from it; ``reason`` is the reason of its Available condition."""

    resource: WorkspaceDeployment
    id: str
    reason: str

    @classmethod
    def of(cls, resource: WorkspaceDeployment) -> Self:
        """Look at a resource."""
        # The time counts only for when the condition changed, which nobody asks here.
        return cls(resource, resource.public_id, availability(resource, now=_NO_TIME).reason)

    @property
    def namespace(self) -> str:
        """Namespace of the resource, and of its instances."""
        return self.resource.metadata.namespace

    @property
    def name(self) -> str:
        """Name of the resource."""
        return self.resource.metadata.name

    @property
    def type(self) -> str:
        """Name of its type, as clients know it."""
        return self.resource.spec.type

    @property
    def instances(self) -> tuple[str, ...]:
        """Instance that has its lease (public id), or none."""
        lease = self.resource.status.lease
        return (lease.instance,) if lease is not None else ()

    @property
    def blocks(self) -> frozenset[str]:
        """Blocks of addresses that its machine has, to look up others that may overlap with it."""
        network = self.resource.network
        return frozenset(blocks(network.addresses)) if network is not None else frozenset()

    @property
    def is_free(self) -> bool:
        """Whether its lease can be taken."""
        return self.reason == FREE

    def is_free_for(self, *, owner: bool) -> bool:
        """Whether its lease can be taken by an owner, whom no maintenance stops, or by somebody else."""
        if self.is_free or not owner or self.reason != MAINTENANCE:
            return self.is_free
        return availability(self.resource, now=_NO_TIME, owner=True).reason == FREE

    @property
    def is_dissolved(self) -> bool:
        """Whether it was taken away for good."""
        return self.resource.spec.dissolved is not None

    @property
    def is_online(self) -> bool:
        """Whether the machine is not known to be away."""
        return self.absence is None

    @property
    def absence(self) -> Condition | None:
        """Condition of a machine that is away; None for others."""
        condition = conditions.find(self.resource.status.conditions, ONLINE)
        return condition if condition is not None and condition.status == "False" else None


def holder_of(deployments: Sequence[Deployment]) -> Deployment:
    """Return which of several deployments that claim one id has it."""
    elder = oldest(deployment.resource for deployment in deployments)
    return next(deployment for deployment in deployments if deployment.resource is elder)
