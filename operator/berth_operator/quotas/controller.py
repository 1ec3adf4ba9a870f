"""Indexes of objects that count against a user's or an instance's quota, and tasks that keep the quotas."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from berth_core.kube.types import Object
from berth_core.queue.order import FULFILLED
from berth_operator.engine.cache import Indexer
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.kinds import BUILDS, INSTANCES, PROJECTS, RESERVATIONS, RULES, VPN_CLIENTS
from berth_operator.quotas import namespaces, users
from berth_operator.quotas.users import WHOSE


def _of_user(is_over: Callable[[Object], bool]) -> Indexer:
    """Return an index by namespace and user of objects that are not over."""

    def values(obj: Object) -> Iterable[str]:
        return () if is_over(obj) else (f"{obj['metadata']['namespace']}/{obj['spec'].get('user', '')}",)

    return values


def _of_instance(obj: Object) -> Iterable[str]:
    return (f"{obj['metadata']['namespace']}/{obj['spec'].get('instance', '')}",)


def _status(obj: Object) -> dict[str, Any]:
    return obj.get("status") or {}


def _is_settled(reservation: Object) -> bool:
    return any(entry["type"] == FULFILLED for entry in _status(reservation).get("conditions") or ())


def _is_built(build: Object) -> bool:
    status = _status(build)
    return bool(status.get("endTime")) and status.get("attempt") == build["spec"].get("attempt", 1)


CONTROLLER: Final = Controller(
    watches=(
        Watch(INSTANCES, indexes={WHOSE: _of_user(lambda obj: bool(_status(obj).get("endTime")))}),
        Watch(RESERVATIONS, indexes={WHOSE: _of_user(_is_settled)}),
        Watch(PROJECTS, indexes={WHOSE: _of_user(lambda _: False)}),
        Watch(BUILDS, indexes={WHOSE: _of_user(_is_built)}),
        Watch(RULES, indexes={WHOSE: _of_instance}),
        Watch(VPN_CLIENTS, indexes={WHOSE: _of_instance}),
    ),
    background=(namespaces.run, users.run),
)
