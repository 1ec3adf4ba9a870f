"""Waiters for deployments, and whether they block newcomers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from berth_core import ids
from berth_core.queue import order
from berth_core.queue.access import may_instantiate
from berth_core.queue.order import Turn
from berth_core.resources import AccessRule, Instance, Reservation, WorkspaceDeployment, WorkspaceType


@dataclass(frozen=True)
class Waiter:
    """A waiter: a Reservation, or an Instance that was made with kubectl."""

    resource: Reservation | Instance
    instance: str
    """Public id of the instance that will hold the lease."""
    turn: Turn
    superuser: bool = False

    @classmethod
    def of(cls, resource: Reservation | Instance) -> Self:
        """Make the waiter of a resource that waits (:func:`waits`)."""
        metadata = resource.metadata
        if isinstance(resource, Reservation):
            instance = ids.turn_instance(metadata.uid)
            return cls(resource, instance, order.turn(resource), resource.spec.superuser)
        return cls(resource, resource.public_id, order.turn_of(metadata, resource.status.queued))

    @property
    def name(self) -> str:
        """Name of the resource."""
        return self.resource.metadata.name

    @property
    def namespace(self) -> str:
        """Namespace of the resource, and of all deployments that it waits for."""
        return self.resource.metadata.namespace

    @property
    def user(self) -> str:
        """User who waits."""
        return self.resource.spec.user

    def wants(self, deployment: str, type_name: str) -> bool:
        """Whether a deployment of its namespace, by its name and that of its type, could serve it."""
        spec = self.resource.spec
        return spec.workspace_type == type_name or deployment in (spec.deployments or ())

    def may_have(self, kind: WorkspaceType, deployment: WorkspaceDeployment, rules: Iterable[AccessRule]) -> bool:
        """Whether the user may have the deployment; ``rules`` are all access rules of the deployment."""
        if deployment.maintenance is not None and not self.owns(deployment):
            return False
        return self.superuser or may_instantiate(self.user, kind, deployment, rules)

    def owns(self, deployment: WorkspaceDeployment) -> bool:
        """Whether the user may have the deployment under maintenance too."""
        return self.superuser or self.user in deployment.spec.owners


def waits(resource: Reservation | Instance) -> bool:
    """Whether the turn of a resource has yet to come. An Instance with a claim has its lease already."""
    if isinstance(resource, Reservation):
        return order.waits(resource)
    spec, status = resource.spec, resource.status
    begun = spec.claim is not None or status.epoch is not None or status.reason is not None
    return not (begun or spec.terminate or resource.metadata.deletion_timestamp)


def in_turn(resources: Iterable[Reservation | Instance]) -> list[Waiter]:
    """Waiters among some resources, in the order in which they are served."""
    return sorted((Waiter.of(resource) for resource in resources if waits(resource)), key=lambda waiter: waiter.turn)


def ahead_of(
    user: str,
    waiters: Iterable[Waiter],
    kind: WorkspaceType,
    deployment: WorkspaceDeployment,
    rules: Iterable[AccessRule],
) -> bool:
    """Whether another user waits for a deployment and may have it, so that a newcomer may not.

    ``waiters`` are those of the deployment's namespace. Users are not blocked by their own waiting resources.
    """
    every = list(rules)
    name, type_name = deployment.metadata.name, deployment.spec.type
    return any(
        waiter.user != user and waiter.wants(name, type_name) and waiter.may_have(kind, deployment, every)
        for waiter in waiters
    )
