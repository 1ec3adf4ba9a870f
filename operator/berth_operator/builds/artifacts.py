"""Stores the end of a build's log, and its artifacts, in ConfigMaps or in the archive.

They are deleted before the next attempt begins, when they are too old or too many (``history``), and with the Build.
"""

import asyncio
import base64
import gzip
import hashlib
import time
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import Final

import orjson
import structlog

from berth_core import names
from berth_core.archive import storage
from berth_core.kube.errors import ClusterError, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from berth_core.kube.types import Object
from berth_core.resources import Build
from berth_core.resources.build import IN_ARCHIVE, Artifacts, Place
from berth_operator.builds.manifests.jobs import Attempt
from berth_operator.builds.observed import SeenBuild
from berth_operator.builds.tail import Tail
from berth_operator.engine.world import TermState, World
from berth_operator.engine.writes import write_status
from berth_operator.kinds import CONFIG_MAPS
from berth_operator.settings.builds import CiSettings

PART: Final = 768 * 1024
"""Bytes of a log or of artifacts in one ConfigMap, which holds 1 MiB."""

log = structlog.get_logger(__name__)

LOG_PATIENCE: Final = 60.0
"""Seconds for which a pod's log is asked for that a node does not give out: a lost node keeps no build from its end."""
PATIENCE: Final = 600.0
"""Seconds for which a build waits until what it left can be stored."""
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
_STORED: Final = ""
"""Stands for the place where it is stored, beside the names of pods."""


class NotKept(dict[tuple[str, str], dict[str, float]], TermState):
    """Parts of a build that cannot be read or stored, by its namespace and public id: since when, monotonic."""


class Leftovers(asyncio.Event):
    """Set when a build has begun anew: the archive must lose the log and artifacts of earlier attempts."""


class NotYetError(Exception):
    """Something cannot be read or stored yet; ``seconds`` until the next try."""

    def __init__(self, seconds: float) -> None:
        super().__init__("not all of a build can be kept yet")
        self.seconds = seconds


@dataclass(frozen=True)
class Kept:
    """The stored log and artifacts, as the status names them; ``missing`` says what could not be stored."""

    log: list[str]
    log_size: int
    skipped: int
    artifacts: Artifacts | None
    place: Place | None = None
    missing: str = ""


async def keep(world: World, attempt: Attempt, settings: CiSettings, seen: SeenBuild) -> Kept:
    """Read and keep the log and the artifacts. Can be repeated. Raises NotYetError for another try."""
    tail, missing = Tail(settings.log_max_bytes), []
    for pod, container in _sources(seen):
        try:
            async for chunk in world.client.pod_log(attempt.build.metadata.namespace, pod, container):
                tail.add(chunk)
        except (NotFoundError, InvalidError) as error:
            missing.append(f"the log of {container} is lost ({error.message})")
        except UnavailableError as error:
            _try_again(world, attempt, pod, error)
            missing.append(f"the log of {container} could not be read ({error.message})")
        tail.close_line()
    artifacts, without = await _artifacts(world, attempt, settings.artifacts_max_bytes, seen)
    packed = gzip.compress(tail.content, mtime=0) if tail.content else b""
    kept, lost = await _store(world, attempt, "log", packed)
    world.state(NotKept).pop(_key(attempt), None)
    place: Place | None = IN_ARCHIVE if world.archive is not None and (kept or artifacts) else None
    message = "; ".join(word for word in (*missing, without, lost) if word)
    return Kept(kept, len(packed) if kept else 0, tail.skipped, artifacts, place, message)


async def drop_parts(world: World, build: Build) -> None:
    """Delete what a build's status names. Can be repeated."""
    metadata, status = build.metadata, build.status
    for name in kept_parts(status.wire()):
        if status.kept_in != IN_ARCHIVE:
            await world.client.delete(CONFIG_MAPS, metadata.namespace, name)
        elif world.archive is not None:
            await world.archive.delete(storage.key(metadata.namespace, metadata.uid, name))
        else:
            log.warning("logs and artifacts of a build lie in an archive that is not configured", build=metadata.name)


async def drop(world: World, obj: Object) -> None:
    """Delete the log and the artifacts of a build that is over, and say so in its status. Can be repeated.

    Empty lists are left there: something was kept, and is no more. Raises ConflictError where it was changed meanwhile.
    """
    build = Build.parse(obj)
    await drop_parts(world, build)
    log, artifacts = build.status.log, build.status.artifacts
    statuses = {
        "log": [] if log else log,
        "artifacts": artifacts.model_copy(update={"config_maps": []}) if artifacts else None,
    }
    await write_status(world, build, build.status, build.status.model_copy(update=statuses))


def _sources(seen: SeenBuild) -> list[tuple[str, str]]:
    """Pods and containers that have printed something, in order."""
    sources: list[tuple[str, str]] = []
    for step, containers in (
        (seen.fetch, (names.FETCH_CONTAINER,)),
        (seen.run, (names.CHECKOUT_CONTAINER, names.SCRIPT_CONTAINER)),
    ):
        if step is not None and step.pod is not None:
            begun = [name for name in containers if step.pod.container(name).started is not None]
            sources += [(step.pod.name, name) for name in begun]
    return sources


async def _artifacts(world: World, attempt: Attempt, most: int, seen: SeenBuild) -> tuple[Artifacts | None, str]:
    pod = seen.run.pod if seen.run else None
    if pod is None or not pod.container(names.ARTIFACTS_CONTAINER).ended:
        return None, ""
    try:
        printed = bytearray()
        container = names.ARTIFACTS_CONTAINER
        limit = most * 3 // 2 + 4096  # base64 in lines
        async for chunk in world.client.pod_log(
            attempt.build.metadata.namespace, pod.name, container, limit_bytes=limit
        ):
            printed += chunk
    except (NotFoundError, InvalidError, UnavailableError) as error:
        if isinstance(error, UnavailableError):
            _try_again(world, attempt, pod.name, error)
        return None, f"the artifacts are lost ({error.message})"
    size, digest, packed, problem = unpacked(bytes(printed))
    if problem or not packed:
        return None, problem
    parts, lost = await _store(world, attempt, "artifacts", packed)
    return Artifacts(size=size, sha256=digest, config_maps=parts) if parts else None, lost


def unpacked(printed: bytes) -> tuple[int, str, bytes, str]:
    """Read what the packing container has printed: size, SHA-256, the tarball, and why there is none."""
    first, _, rest = printed.partition(b"\n")
    try:
        header = orjson.loads(first or b"{}")
        packed = base64.b64decode(b"".join(rest.split()), validate=True)
    except (orjson.JSONDecodeError, NotBase64):
        return 0, "", b"", "the artifacts came incomplete"
    if not isinstance(header, dict) or header.get("error") or not header.get("size"):
        error = header.get("error") if isinstance(header, dict) else "the artifacts came incomplete"
        return 0, "", b"", str(error or "")
    digest = hashlib.sha256(packed).hexdigest()
    if len(packed) != header["size"] or digest != header.get("sha256"):
        return 0, "", b"", "the artifacts came incomplete: they are larger than a node keeps of a container's output"
    return len(packed), digest, packed, ""


async def _store(world: World, attempt: Attempt, what: str, content: bytes) -> tuple[list[str], str]:
    """Keep it; the names of its parts, and why there are none. Nothing has no parts."""
    if not content:
        return [], ""
    try:
        if world.archive is None:
            return await _in_cluster(world, attempt, what, content), ""
        name, metadata = names.build_part(attempt.id, attempt.attempt, what, 0), attempt.build.metadata
        await world.archive.put(storage.key(metadata.namespace, metadata.uid, name), content)
    except (ForbiddenError, InvalidError, UnavailableError) as error:
        _try_again(world, attempt, _STORED, error)
        return [], f"the {what} could not be kept ({error.message})"
    return [name], ""


async def _in_cluster(world: World, attempt: Attempt, what: str, content: bytes) -> list[str]:
    parts: list[str] = []
    for number, start in enumerate(range(0, len(content), PART)):
        name = names.build_part(attempt.id, attempt.attempt, what, number)
        data = base64.b64encode(content[start : start + PART]).decode("ascii")
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": attempt.metadata(name),
            "binaryData": {names.PART_KEY: data},
        }
        try:
            await world.client.apply(CONFIG_MAPS, body)
        except (ForbiddenError, InvalidError):
            for part in parts:  # the half of it would fill the quota, and no status would name it
                await world.client.delete(CONFIG_MAPS, attempt.build.metadata.namespace, part)
            raise
        parts.append(name)
    return parts


def _try_again(world: World, attempt: Attempt, source: str, error: ClusterError) -> None:
    """Raise NotYetError unless a source (a pod, or where it is stored) has failed for too long. Pauses grow."""
    now = time.monotonic()
    waited = now - world.state(NotKept).setdefault(_key(attempt), {}).setdefault(source, now)
    log.warning("cannot keep all of a build", build=attempt.id, waited=round(waited), error=error.message)
    if waited < (LOG_PATIENCE if source else PATIENCE):
        raise NotYetError(min(max(waited, SHORTEST_PAUSE), LONGEST_PAUSE)) from error


def _key(attempt: Attempt) -> tuple[str, str]:
    return attempt.build.metadata.namespace, attempt.id


def kept_parts(status: Object) -> list[str]:
    """Names of the ConfigMaps with a build's log and artifacts, by its status."""
    return [*(status.get("log") or ()), *((status.get("artifacts") or {}).get("configMaps") or ())]


def kept_bytes(status: Object) -> int:
    """Bytes in them; of a log that an earlier version kept, as many as it can be."""
    artifacts = status.get("artifacts") or {}
    parts = status.get("log") or ()
    log = status.get("logSize") or len(parts) * PART if parts else 0
    return int(log) + int(artifacts["size"] if artifacts.get("configMaps") else 0)
