"""Which release leads in a workspace namespace: one, named in the ConfigMap ``berth-release`` there (ADR 0023).

Replicas of one release choose a leader by a Lease in their own namespace, so that two releases know nothing of each
other. The second release leads nothing until an administrator has deleted the ConfigMap, or the first is uninstalled.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.errors import AlreadyExistsError, ClusterError, NotFoundError
from berth_core.kube.types import Object
from berth_operator.engine import events
from berth_operator.engine.events import Complaint
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import CONFIG_MAPS

log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 5.0


@dataclass
class Tenancy(TermState):
    """Whether this release may lead."""

    problem: str = ""
    """Why not, though this process has the release's lease; empty where it may."""

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.problem = ""


async def settle(world: World) -> None:
    """Return once every workspace namespace is this release's; until then say whose one is."""
    tenancy = world.state(Tenancy)
    while True:
        try:
            tenancy.problem = await _claim_all(world)
            if not tenancy.problem:
                return
            log.error("cannot lead", error=tenancy.problem)
        except ClusterError as error:
            log.warning("cannot claim the workspace namespaces yet", error=error.message)
        await asyncio.sleep(AGAIN_SECONDS)


async def _claim_all(world: World) -> str:
    """Why this release may not lead; empty where it may."""
    for namespace in world.config.workspace_namespaces:
        configmap = await _claim(world, namespace)
        release = (configmap.get("data") or {}).get(names.RELEASE_KEY, "")
        if release != world.config.namespace:
            problem = (
                f"the release in namespace {release} leads in {namespace}: give this release a workspace namespace of"
                f" its own, or, when the other is stopped for good, `kubectl delete configmap"
                f" {names.RELEASE_CONFIGMAP} -n {namespace}`"
            )
            await events.warn(world, configmap, Complaint("AnotherRelease", "Lead", problem, once=True))
            return problem
    return ""


async def _claim(world: World, namespace: str) -> Object:
    """Return the ConfigMap that says whose a namespace is; made for this release where there is none."""
    body: Object = {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": "ConfigMap",
        "metadata": {"name": names.RELEASE_CONFIGMAP, "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}},
        "data": {names.RELEASE_KEY: world.config.namespace},
    }
    while True:
        try:
            return await world.client.create(CONFIG_MAPS, namespace, body)
        except AlreadyExistsError:
            try:
                return await world.client.get(CONFIG_MAPS, namespace, names.RELEASE_CONFIGMAP)
            except NotFoundError:
                continue
