"""Whether a newcomer may take the lease of a deployment now: by its access rules and its waiters.

A newcomer must not overtake waiters, nor get in by deleted rules, so both need live facts. But a live list takes up to
100 ms, and most of the time nothing has changed. So every write of this API to rules or reservations changes the mark
of the type before its caller is answered (:mod:`berth_api.marks`). Single objects, such as the type, are read live in a
few milliseconds. A cache that has seen the type's resourceVersion has seen all writes that were marked before it; then
a deployment without waiters is granted by the caches alone. In all other cases live lists decide. They also decide
before a caller is told that the rules do not permit it.

Objects made with kubectl leave no mark: they count once the watch brings them (docs/adr/0014).
"""

import asyncio
from dataclasses import dataclass

from berth_api import lookups
from berth_api.auth import access
from berth_api.cache.deployment import Deployment
from berth_api.launch.candidates import Line, Rules
from berth_api.reservations.wish import Wish, need_fit
from berth_api.state import State
from berth_core.queue.waiters import ahead_of
from berth_core.resources import WorkspaceType


@dataclass(frozen=True)
class Live:
    """Live lists for one wish."""

    line: Line
    rules: Rules


async def admit(state: State, wish: Wish, deployment: Deployment, live: Live) -> WorkspaceType | None:
    """Return the deployment's type, as of now, where the caller may have the deployment; None where they may not.

    The deployment may come from a cache: the lease is taken at this very version of it, or not at all.
    """
    kind = await lookups.type_of(state, deployment, live=True)
    if kind is None:
        return None
    if not (_is_clear(state, wish, kind, deployment) or await _is_clear_live(wish, kind, deployment, live)):
        return None
    need_fit(wish, kind)
    return kind


def _is_clear(state: State, wish: Wish, kind: WorkspaceType, deployment: Deployment) -> bool:
    """Whether the caches suffice to tell that the caller may have it and nobody waits for it."""
    caches = state.caches
    if not caches.are_current(kind) or caches.anybody_waits(deployment):
        return False
    return access.may_instantiate(wish.identity, kind, deployment, caches.rules_of(deployment))


async def _is_clear_live(wish: Wish, kind: WorkspaceType, deployment: Deployment, live: Live) -> bool:
    rules, _ = await asyncio.gather(live.rules.of(deployment), live.line.waiters(deployment.namespace))
    if not access.may_instantiate(wish.identity, kind, deployment, rules):
        return False
    able = await live.line.able(deployment.namespace, kind)
    return not ahead_of(wish.identity.user, able, kind, deployment.resource, rules)
