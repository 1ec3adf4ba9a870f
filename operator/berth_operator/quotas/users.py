"""Publishes in each workspace namespace which users are at their quota of a kind, while this process leads.

The policy `berth-allowances` refuses them more. An admission policy cannot count, so it reads this as its parameter:
annotations of a ResourceQuota that bounds nothing itself, a kind that the API server has in its memory anyway. It takes
some seconds to spread. Objects that are made meanwhile exceed the quota and stay; the namespace's own quota bounds
them.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.cache import Cache
from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Kind, Object
from berth_operator.engine.world import World
from berth_operator.errors import NotLeaderError
from berth_operator.kinds import BUILDS, INSTANCES, OURS, PROJECTS, QUOTAS, RESERVATIONS, RULES, VPN_CLIENTS

log = structlog.get_logger(__name__)

NAME: Final = "berth-allowances"
WHOSE: Final = "whose"
"""Index of objects that count against a quota: by namespace and user, or by namespace and instance."""
EVERY_SECONDS: Final = 1.0
ANYWAY_SECONDS: Final = 10.0
"""After so long it is written even without a change: it may have been deleted."""
KINDS: Final = (INSTANCES, RESERVATIONS, PROJECTS, BUILDS, RULES, VPN_CLIENTS)

Full = Mapping[str, tuple[str, ...]]
"""Names of users and instances at their quota, by kind (its plural), in order."""


async def run(world: World) -> None:
    """Write it down where it has changed, and now and then, for as long as this process leads."""
    loop, published, anyway_at = asyncio.get_running_loop(), dict[str, Full](), 0.0
    while True:
        if loop.time() >= anyway_at:
            published.clear()
            anyway_at = loop.time() + ANYWAY_SECONDS
        quotas = full(world.cache, world.config.most_each, world.config.workspace_namespaces)
        try:
            for namespace, now in quotas.items():
                if published.get(namespace) != now:
                    await world.client.apply(QUOTAS, manifest(namespace, now))
                    published[namespace] = now
        except (ClusterError, NotLeaderError) as error:
            log.warning("cannot publish yet which users are at their quota", error=str(error))
        await asyncio.sleep(EVERY_SECONDS)


def full(cache: Mapping[Kind, Cache[Object]], most: Mapping[str, int], namespaces: Iterable[str]) -> dict[str, Full]:
    """Return for each namespace which users and instances are at their quota. Pure."""
    result: dict[str, dict[str, tuple[str, ...]]] = {namespace: {} for namespace in namespaces}
    for kind in KINDS:
        if kind.plural not in most:
            continue
        reached = sorted(whose for whose, count in cache[kind].counts(WHOSE) if count >= most[kind.plural])
        for whose in reached:
            namespace, _, name = whose.partition("/")
            if namespace in result:
                result[namespace][kind.plural] = (*result[namespace].get(kind.plural, ()), name)
    return dict(result)


def manifest(namespace: str, now: Full) -> Object:
    """Return the ResourceQuota that names them. Pure."""
    # Each on a line of its own, so that no name is a part of another.
    annotations = {
        f"{names.GROUP}/full-{plural}": "".join(f"\n{_line(name)}" for name in whose) + "\n"
        for plural, whose in now.items()
    }
    metadata = {"name": NAME, "namespace": namespace, "labels": OURS, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}


def _line(name: str) -> str:
    return name.replace("\n", "\\n")
