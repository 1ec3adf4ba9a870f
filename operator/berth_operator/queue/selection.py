"""Which waiter gets which deployment. Pure, and cheap enough for thousands of either."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from berth_core.kube.types import Object
from berth_core.leases.availability import AVAILABLE, availability, preference
from berth_core.queue.waiters import Waiter
from berth_core.resources import WorkspaceDeployment, WorkspaceType
from berth_core.resources.workspacedeployment import MAINTENANCE

_NO_TIME: Final = datetime.fromtimestamp(0, UTC)
Permitted = Callable[[Waiter, WorkspaceDeployment], bool]


def looks_free(deployment: Object) -> bool:
    """Whether its condition Available is True. Only the compare-and-swap of taking it knows."""
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    return any(c["type"] == AVAILABLE and c["status"] == "True" for c in conditions)


def reason_of(deployment: Object) -> str:
    """Reason of its condition Available; empty where it has none."""
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    return next((c["reason"] for c in conditions if c["type"] == AVAILABLE), "")


def offers(kind: WorkspaceType | None, deployments: Iterable[Object]) -> list[WorkspaceDeployment]:
    """Deployments of a type that can be had, best first. A type that is retired lends nothing.

    Owners can have those under maintenance too: :meth:`Waiter.may_have` keeps others from them.
    """
    if kind is None or kind.spec.retired:
        return []
    # The condition may be older than the spec.
    free = [WorkspaceDeployment.parse(obj) for obj in deployments if looks_free(obj) or reason_of(obj) == MAINTENANCE]
    return sorted((wd for wd in free if availability(wd, now=_NO_TIME, owner=True).status == "True"), key=preference)


def next_turns(
    waiters: Iterable[Waiter],
    offered: Sequence[WorkspaceDeployment],
    permitted: Permitted,
    *,
    most: int,
    one_each: bool = False,
) -> list[tuple[Waiter, WorkspaceDeployment]]:
    """Return the turns that can be taken side by side, at most so many: each waiter's best of what those before leave.

    A waiter that may have none of the offers is passed over, and blocks no others. With ``one_each`` they end before
    the second turn of a user: which of a user's waiters has the last place of a quota hangs on who is first.
    """
    left, users = list(offered), set[str]()
    turns: list[tuple[Waiter, WorkspaceDeployment]] = []
    for waiter in waiters:
        if len(turns) == most or not left or (one_each and waiter.user in users):
            break
        if (best := best_for(waiter, left, permitted)) is not None:
            turns.append((waiter, best))
            users.add(waiter.user)
            left.remove(best)
    return turns


def best_for(
    waiter: Waiter, offered: Iterable[WorkspaceDeployment], permitted: Permitted
) -> WorkspaceDeployment | None:
    """Return the first offer that serves a waiter and that the waiter may have, or None."""
    return next((wd for wd in offered if waiter.wants(wd.metadata.name, wd.spec.type) and permitted(waiter, wd)), None)


def obstacle(waiter: Waiter, waiters: Iterable[Waiter], deployments: Iterable[Object]) -> str:
    """Why a waiter cannot have any now, in a sentence; the others wait in the same namespace."""
    spec = waiter.resource.spec
    candidates = [(obj["metadata"]["name"], obj["spec"]["type"], obj) for obj in deployments]
    candidates = [entry for entry in candidates if waiter.wants(entry[0], entry[1])]
    if not candidates:
        if spec.deployments:
            return f"there is no WorkspaceDeployment named {', '.join(spec.deployments)}"
        return f"there is no WorkspaceDeployment of type {spec.workspace_type}"
    if free := [name for name, _, obj in candidates if looks_free(obj)]:
        return f"the access rules, or the retired type, do not let {waiter.user} have {_some(free)}"
    name, type_name, _ = candidates[0]
    ahead = sum(other.turn < waiter.turn and other.wants(name, type_name) for other in waiters)
    place = f"; ahead of it: {ahead}" if ahead else ""
    return f"none is free of {_some(_named(name, reason_of(obj)) for name, _, obj in candidates)}{place}"


def _named(name: str, reason: str) -> str:
    """Name a deployment, with the reason why nobody gets it where that is not its holder."""
    return f"{name} ({reason})" if reason in ("Offline", MAINTENANCE) else name


def _some(names: Iterable[str], most: int = 8) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more
