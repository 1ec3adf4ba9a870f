"""Waiters, by the cache. It says where to look; turns rest on live reads."""

from collections.abc import Container

from berth_core.kube.types import Object
from berth_core.queue.waiters import Waiter, in_turn
from berth_core.resources import AccessRule, Instance, Reservation, WorkspaceDeployment
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import ACCESS_RULES, DEPLOYMENTS, INSTANCES, RESERVATIONS, TURN
from berth_operator.leases.live import Serving
from berth_operator.queue.selection import offers


class PassedOver(dict[tuple[str, str], str], TermState):
    """Why a waiter's last turn came to nothing though a deployment was free, by namespace and public id."""

    def retain(self, namespace: str, waiting: Container[str]) -> None:
        """Forget all in a namespace but some."""
        for key in [key for key in self if key[0] == namespace and key[1] not in waiting]:
            del self[key]


def all_waiters(world: World, namespace: str) -> list[Waiter]:
    """Waiters in a namespace, in the order of their turns."""
    reservations = world.cache[RESERVATIONS].models(Reservation.parse, "waiting", "yes", namespace)
    return in_turn([*reservations, *world.cache[INSTANCES].models(Instance.parse, "waiting", "yes", namespace)])


def anybody(world: World, namespace: str) -> bool:
    """Whether a namespace has waiters."""
    return any(world.cache[kind].by("waiting", "yes", namespace) for kind in (RESERVATIONS, INSTANCES))


def offered(world: World, namespace: str, type_name: str) -> list[WorkspaceDeployment]:
    """Deployments of a type that can be had, best first."""
    deployments = world.cache[DEPLOYMENTS].by("type", type_name, namespace)
    return offers(world.type_named(namespace, type_name), deployments)


def permitted(world: World, waiter: Waiter, wd: WorkspaceDeployment) -> bool:
    """Whether the access rules let a waiter have a deployment."""
    namespace = wd.metadata.namespace
    kind = world.type_named(namespace, wd.spec.type)
    rules = world.cache[ACCESS_RULES].by("deployment", wd.metadata.name, namespace)
    return kind is not None and waiter.may_have(kind, wd, map(AccessRule.parse, rules))


def holds_lease(world: World, waiter: Waiter) -> bool:
    """Whether a lease was taken for a waiter already, or is being taken."""
    namespace = waiter.resource.metadata.namespace
    return waiter.instance in world.state(Serving) or bool(
        world.cache[DEPLOYMENTS].by("holder", waiter.instance, namespace)
    )


def types_for(world: World, namespace: str, spec: Object) -> set[str]:
    """Types of the deployments that could serve a Reservation or an Instance with that spec."""
    if spec.get("workspaceType"):
        return {spec["workspaceType"]}
    objects = (world.cache[DEPLOYMENTS].get(namespace, name) for name in spec.get("deployments") or ())
    return {wd["spec"]["type"] for wd in objects if wd is not None}


def wake_turns(world: World, namespace: str, spec: Object) -> None:
    """Ask for the turns that concern a Reservation or an Instance with that spec."""
    for type_name in types_for(world, namespace, spec):
        world.add(TURN, namespace, type_name)


def reservation_for(world: World, namespace: str, instance_id: str) -> Object | None:
    """Return the reservation whose turn makes that instance."""
    reservations = world.cache[RESERVATIONS].by("instance", instance_id, namespace)
    return reservations[0] if reservations else None
