"""Looks whether a keeper runs. Without one no machine is lent whose end takes a deed."""

import asyncio
import time
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Object
from berth_core.reading import at
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import DEPLOYMENT, DEPLOYMENTS, PODS

log = structlog.get_logger(__name__)

KEEPER_PODS: Final = {"app.kubernetes.io/name": "berth", names.COMPONENT_LABEL: "keeper"}
EVERY_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 45.0
"""How long no pod of the keeper may be ready: as long as another takes to start."""


class Keeper(TermState):
    """Whether a keeper runs, as this process has seen."""

    def __init__(self) -> None:
        self.is_there: bool | None = None
        """None while that is not known."""
        self._seen: float | None = None

    def note(self, *, ready: bool, now: float) -> bool:
        """Take note of a look, at a time in seconds; whether the verdict has changed."""
        before = self.is_there
        if ready:
            self._seen, self.is_there = now, True
        elif self._seen is None or now - self._seen >= PATIENCE_SECONDS:
            self.is_there = False
        return self.is_there is not before

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.is_there, self._seen = None, None


async def run(world: World) -> None:
    """Look while this process leads, and some machine needs a keeper."""
    keeper = world.state(Keeper)
    while True:
        if named := _with_addons(world):
            try:
                pods, _ = await world.client.list(PODS, world.config.namespace, labels=KEEPER_PODS)
            except ClusterError as error:
                log.warning("cannot look for the keeper", error=error.message)
            else:
                if keeper.note(ready=any(map(_is_ready, pods)), now=time.monotonic()):
                    log.info("the keeper is there" if keeper.is_there else "no keeper is there")
                    for obj in named:
                        world.add(DEPLOYMENT, obj["metadata"]["namespace"], obj["metadata"]["name"])
        await asyncio.sleep(EVERY_SECONDS)


def _with_addons(world: World) -> list[Object]:
    return [obj for obj in world.cache[DEPLOYMENTS] if at(obj, "spec", "machine", "addons")]


def _is_ready(pod: Object) -> bool:
    conditions = at(pod, "status", "conditions") or ()
    return at(pod, "metadata", "deletionTimestamp") is None and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )
