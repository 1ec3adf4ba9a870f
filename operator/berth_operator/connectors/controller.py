"""Connectors: watches, passes, and the renewal of the hub's certificate."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from berth_core.connectors import certificates
from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Object
from berth_core.reading import readable
from berth_core.resources import Connector, WorkspaceDeployment
from berth_core.resources.connector import ConnectorStatus
from berth_operator.connectors import decide, hubs, words
from berth_operator.connectors.authority import Connecting, authority, renew_hub
from berth_operator.engine.cache import index_by
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import write_status
from berth_operator.kinds import CONNECTOR, CONNECTORS, DEPLOYMENT, DEPLOYMENTS

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 3600.0
SOON_SECONDS: Final = 60.0


async def reconcile(world: World, key: Key) -> float | None:
    """Sign, or refuse, what a Connector's host has asked for, and keep the words to its fence."""
    obj = world.cache[CONNECTORS].get(key.namespace, key.name)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    connector = Connector.parse(obj)
    status = await _certified(world, connector)
    deployments = readable(WorkspaceDeployment, _concerned(world, connector))
    if status.words or deployments:
        await authority(world)
        if (signer := world.state(Connecting).signer) is not None:
            status = status.model_copy(update={"words": words.words(connector, deployments, signer.sign)})
    await write_status(world, connector, connector.status, status)
    return None


async def _certified(world: World, connector: Connector) -> ConnectorStatus:
    """Return the status without a request that waits for its certificate."""
    if connector.status.request is None:
        return connector.status
    wanted, now, name = decide.request(connector), world.now(), connector.metadata.name
    if isinstance(wanted, decide.Request):
        pem = certificates.connector(await authority(world), connector.metadata.uid, wanted.key, now)
        log.info("signed", connector=name)
        return decide.signed(connector, wanted, pem, now)
    if wanted is None:
        return decide.outdated(connector)
    log.warning("request refused", connector=name, why=wanted)
    return decide.refused(connector, wanted, now)


def _concerned(world: World, connector: Connector) -> list[Object]:
    """Return deployments that name a connector, or of which it has a word."""
    cache, metadata = world.cache[DEPLOYMENTS], connector.metadata
    naming = cache.by("connector", f"{metadata.namespace}/{metadata.name}")
    told = [obj for word in connector.status.words for obj in cache.by("uid", word.deployment)]
    return list({obj["metadata"]["uid"]: obj for obj in (*naming, *told)}.values())


def _way(obj: Object) -> str:
    return str(((obj["spec"].get("machine") or {}).get("connector") or {}).get("name") or "")


async def keep_hub_certificate(world: World) -> None:
    """Keep the hub's certificate young for as long as this process leads."""
    while True:
        pause = LOOK_SECONDS
        try:
            await renew_hub(world, world.now())
        except (ClusterError, ValueError, KeyError) as error:
            log.warning("the hub's certificate cannot be looked after", error=str(error))
            pause = SOON_SECONDS
        await asyncio.sleep(pause)


def _connector(world: World, obj: Object, _gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    world.add(CONNECTOR, namespace, name)
    for wd in world.cache[DEPLOYMENTS].by("connector", f"{namespace}/{name}"):
        world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])


def _deployment(world: World, obj: Object, _gone: bool) -> None:
    namespace, uid = obj["metadata"]["namespace"], obj["metadata"]["uid"]
    if way := _way(obj):
        world.add(CONNECTOR, namespace, way)
        for wd in world.cache[DEPLOYMENTS].by("connector", f"{namespace}/{way}"):
            world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])
    for connector in world.cache[CONNECTORS].by("told", uid):
        world.add(CONNECTOR, namespace, connector["metadata"]["name"])


def _named(obj: Object) -> Iterable[str]:
    return (f"{obj['metadata']['namespace']}/{way}",) if (way := _way(obj)) else ()


def _told(obj: Object) -> Iterable[str]:
    return (word["deployment"] for word in (obj.get("status") or {}).get("words") or ())


CONTROLLER: Final = Controller(
    watches=(
        Watch(CONNECTORS, _connector, {"told": _told}),
        Watch(DEPLOYMENTS, _deployment, {"connector": _named, "uid": index_by("metadata", "uid")}),
    ),
    passes={CONNECTOR: reconcile},
    objects={CONNECTOR: CONNECTORS},
    background=(keep_hub_certificate, hubs.run),
)
