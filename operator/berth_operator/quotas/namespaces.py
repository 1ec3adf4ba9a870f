"""Keeps a quota of Berth's own kinds in each workspace namespace, while this process leads.

The API server refuses to make what a quota names and the quota controller has not counted yet, and that controller
learns of a new kind after some time only. So a quota in the access namespace, where nothing of these kinds is ever
made, shows first that all of them are counted.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError, NotFoundError
from berth_core.kube.types import Object
from berth_operator.engine.world import World
from berth_operator.errors import NotLeaderError
from berth_operator.kinds import OURS, QUOTAS

log = structlog.get_logger(__name__)

NAME: Final = "berth-objects"
SOON_SECONDS: Final = 2.0
EVERY_SECONDS: Final = 3600.0


async def run(world: World) -> None:
    """Keep the quotas for as long as this process leads, or away where nothing is bounded."""
    hard = {f"count/{plural}.{names.GROUP}": str(most) for plural, most in world.config.most_objects.items()}
    while True:
        try:
            stands = await (keep(world, hard) if hard else drop(world))
        except (ClusterError, NotLeaderError) as error:
            log.warning("cannot keep the quotas of objects yet", error=str(error))
            stands = False
        await asyncio.sleep(EVERY_SECONDS if stands else SOON_SECONDS)


async def keep(world: World, hard: Mapping[str, str]) -> bool:
    """Take the next step towards the quotas; whether they stand."""
    client, access = world.client, world.config.access_namespace
    spaces = world.config.workspace_namespaces
    if not all([await _counts(client, namespace, hard) for namespace in spaces]):
        probe = await client.apply(QUOTAS, _quota(access, hard))
        if not hard.keys() <= (probe.get("status") or {}).get("used", {}).keys():
            return False
    for namespace in spaces:
        await client.apply(QUOTAS, _quota(namespace, hard))
    await client.delete(QUOTAS, access, NAME)
    return True


async def drop(world: World) -> bool:
    """Delete quotas of an earlier setting; True once that is done."""
    for namespace in (world.config.access_namespace, *world.config.workspace_namespaces):
        await world.client.delete(QUOTAS, namespace, NAME)
    return True


async def _counts(client: Client, namespace: str, hard: Mapping[str, str]) -> bool:
    """Whether a namespace has a quota of all these kinds, whatever their bounds."""
    try:
        quota = await client.get(QUOTAS, namespace, NAME)
    except NotFoundError:
        return False
    limits: Object = quota["spec"].get("hard", {})
    return hard.keys() <= limits.keys()


def _quota(namespace: str, hard: Mapping[str, str]) -> Object:
    metadata = {"name": NAME, "namespace": namespace, "labels": OURS}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": dict(hard)}}
