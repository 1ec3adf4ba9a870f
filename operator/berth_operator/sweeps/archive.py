"""Deletes from the archive what was kept of Builds that are gone, while this process leads.

Kubernetes deletes ConfigMaps with their Build, but nothing that lies elsewhere. Two installations that share one place
do not know each other's Builds: so each workspace namespace's folder names its installation, and another's folder
stays.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from berth_core import names
from berth_core.archive import storage
from berth_core.archive.storage import Archive
from berth_core.kube.errors import ClusterError, NotFoundError, UnavailableError
from berth_operator.builds.artifacts import Leftovers
from berth_operator.engine.world import World
from berth_operator.kinds import BUILDS, CONFIG_MAPS

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 3600.0
SOON_SECONDS: Final = 60.0
OWNER: Final = "owner"


async def run(world: World) -> None:
    """Sweep every hour for as long as this process leads; returns at once where there is no archive.

    Where a build begins anew, it is swept sooner, yet once a minute at most.
    """
    while world.archive is not None:
        wait = EVERY_SECONDS
        world.state(Leftovers).clear()
        for namespace in world.config.workspace_namespaces:
            try:
                deleted = await sweep(world, world.archive, namespace)
                if deleted:
                    log.info(
                        "deleted archived logs and artifacts of deleted builds", namespace=namespace, parts=deleted
                    )
            except ClusterError as error:
                log.warning("cannot sweep the archive yet", namespace=namespace, error=error.message)
                wait = SOON_SECONDS
        await asyncio.sleep(SOON_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(world.state(Leftovers).wait(), wait - SOON_SECONDS)


async def sweep(world: World, archive: Archive, namespace: str) -> int:
    """Delete parts of no Build, or of an attempt before the one in its status; return how many.

    A part is written when its Build is there. So a part that was listed before the Builds has its own among them.
    Attempts only grow, so that a cache knows. Raises UnavailableError at the end where some could not be deleted.
    """
    if not await _owns(world, archive, namespace):
        return 0
    paths = [path async for path in archive.keys(namespace)]
    pages = world.client.pages(BUILDS, namespace, metadata_only=True)
    living = {obj["metadata"]["uid"] async for page, _ in pages for obj in page}
    attempts = {obj["metadata"]["uid"]: (obj.get("status") or {}).get("attempt", 0) for obj in world.cache[BUILDS]}
    failed: list[UnavailableError] = []
    deleted = 0
    for path in paths:
        uid, part = path.split("/")[-2:]
        attempt = names.attempt_of_part(part)
        earlier = attempt is not None and attempt < attempts.get(uid, 0)
        if path == storage.key(namespace, OWNER, OWNER) or (uid in living and not earlier):
            continue
        try:
            await archive.delete(path)
            deleted += 1
        except UnavailableError as error:
            failed.append(error)
    if failed:
        raise UnavailableError(f"{len(failed)} parts are left, {deleted} are deleted: {failed[0].message}")
    return deleted


async def _owns(world: World, archive: Archive, namespace: str) -> bool:
    """Whether a namespace's folder is this installation's; a folder without an owner becomes so.

    After a new installation the ConfigMap has another uid: an annotation names the one before.
    """
    metadata = (await world.client.get(CONFIG_MAPS, namespace, names.RELEASE_CONFIGMAP))["metadata"]
    before = (metadata.get("annotations") or {}).get(names.ARCHIVE_OWNER_ANNOTATION)
    marker, mine = storage.key(namespace, OWNER, OWNER), str(before or metadata["uid"]).encode()
    try:
        theirs = await archive.get(marker)
    except NotFoundError:
        await archive.put(marker, mine)
        return True
    if theirs != mine:
        log.warning(
            "the archive's folder of a namespace is another installation's: nothing in it is deleted."
            " Give each its own place, or, where the other is gone for good, `kubectl annotate configmap"
            f" {names.RELEASE_CONFIGMAP} -n {namespace} {names.ARCHIVE_OWNER_ANNOTATION}=OWNER`",
            namespace=namespace,
            owner=theirs.decode(errors="replace")[:64],
        )
    return theirs == mine
