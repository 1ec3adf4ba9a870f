"""Kinds that turns rest on: how their objects are found, and which keys their changes concern."""

from collections.abc import Iterable
from typing import Final

from berth_core import ids
from berth_core.kube.types import Object
from berth_core.queue import order
from berth_core.resources import Reservation
from berth_operator.engine.cache import index_by
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.kinds import ACCESS_RULES, DEPLOYMENT, DEPLOYMENTS, RESERVATION, RESERVATIONS, TURN, TYPES
from berth_operator.queue import waiting
from berth_operator.queue.reconcile import reconcile_turn
from berth_operator.queue.reservations import reconcile_reservation

GRANT_SECONDS: Final = 2.0
"""After so long a turn that goes on by itself has granted the lease that it took."""


def _reservation(world: World, obj: Object, gone: bool) -> None:
    namespace = obj["metadata"]["namespace"]
    if gone:
        # Where a lease was taken for it and nothing else happened, the deployment's pass gives it back.
        for wd in world.cache[DEPLOYMENTS].by("holder", ids.turn_instance(obj["metadata"]["uid"]), namespace):
            world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])
    elif not order.is_settled(Reservation.parse(obj)):
        world.add(RESERVATION, namespace, obj["metadata"]["name"])
        if not (obj.get("status") or {}).get("grant"):
            waiting.wake_turns(world, namespace, obj["spec"])


def _deployment(world: World, obj: Object, gone: bool) -> None:
    namespace = obj["metadata"]["namespace"]
    lease = (obj.get("status") or {}).get("lease")
    if lease:
        waits = waiting.reservation_for(world, namespace, lease["instance"])
        if waits is not None and not (waits.get("status") or {}).get("grant"):
            world.queue.add_after(Key(RESERVATION, namespace, waits["metadata"]["name"]), GRANT_SECONDS)
    if gone or not lease:
        # Its holder has a lease less: elsewhere too, a turn of theirs may have come.
        for other in world.config.workspace_namespaces:
            if waiting.anybody(world, other):
                world.add(TURN, other, obj["spec"]["type"])


def _type(world: World, obj: Object, _gone: bool) -> None:
    namespace = obj["metadata"]["namespace"]
    if waiting.anybody(world, namespace):
        world.add(TURN, namespace, obj["spec"]["typeName"])


def _access_rule(world: World, obj: Object, _gone: bool) -> None:
    """Ask for the turns of a deployment's type: the rules for it have changed."""
    namespace = obj["metadata"]["namespace"]
    wd = world.cache[DEPLOYMENTS].get(namespace, obj["spec"]["deployment"])
    if wd is not None and waiting.anybody(world, namespace):
        world.add(TURN, namespace, wd["spec"]["type"])


def _not_granted(obj: Object) -> Iterable[str]:
    return () if (obj.get("status") or {}).get("grant") else ("yes",)


def _turn_instance(obj: Object) -> Iterable[str]:
    return (ids.turn_instance(obj["metadata"]["uid"]),)


CONTROLLER: Final = Controller(
    watches=(
        Watch(RESERVATIONS, _reservation, {"waiting": _not_granted, "instance": _turn_instance}),
        Watch(DEPLOYMENTS, _deployment),
        Watch(TYPES, _type),
        Watch(ACCESS_RULES, _access_rule, {"deployment": index_by("spec", "deployment")}),
    ),
    passes={RESERVATION: reconcile_reservation, TURN: reconcile_turn},
    objects={RESERVATION: RESERVATIONS},
)
