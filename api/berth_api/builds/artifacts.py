"""Artifacts of a build: a tarball in ConfigMaps beside it, or in the archive."""

import base64
import hashlib
from collections.abc import AsyncGenerator

import structlog

from berth_api.http.errors import AwayError, MissingError
from berth_api.state import State
from berth_core import names
from berth_core.archive import storage
from berth_core.kube import errors as cluster
from berth_core.kube.types import Kind
from berth_core.resources import Build
from berth_core.resources.build import IN_ARCHIVE

CONFIG_MAPS = Kind("v1", "configmaps")
PIECE = 64 * 1024
DELETED = "no artifacts: they were deleted"
SILENT = "the archive of builds does not answer. Try again later."

log = structlog.get_logger(__name__)


async def part(state: State, build: Build, name: str) -> bytes:
    """Read one part of a log or of artifacts. Raises NotFoundError, UnavailableError; AwayError of the archive."""
    namespace = build.metadata.namespace
    if build.status.kept_in == IN_ARCHIVE:
        if state.archive is None:
            raise AwayError("it lies in an archive that this process does not know: ask an administrator.")
        try:
            return await state.archive.get(storage.key(namespace, build.metadata.uid, name))
        except cluster.UnavailableError as error:
            log.warning("archive unavailable", error=error.message)
            raise AwayError(SILENT) from error
    obj = await state.logs.get(CONFIG_MAPS, namespace, name)
    return base64.b64decode((obj.get("binaryData") or {}).get(names.PART_KEY, ""))


async def pieces(state: State, build: Build) -> AsyncGenerator[bytes, None]:
    """Yield the tarball (gzip), once it was read whole. Raises MissingError; ClusterError where it is damaged."""
    artifacts = build.status.artifacts if build.status.attempt == build.spec.attempt else None
    if artifacts is None:
        raise MissingError("no artifacts")
    if not artifacts.config_maps:
        raise MissingError(DELETED)
    digest, data = hashlib.sha256(), bytearray()
    for name in artifacts.config_maps:
        try:
            piece = await part(state, build, name)
        except cluster.NotFoundError as error:
            raise MissingError(DELETED) from error
        digest.update(piece)
        data += piece
    if (digest.hexdigest(), len(data)) != (artifacts.sha256, artifacts.size):
        raise cluster.ClusterError(
            f"artifacts of the Build {build.metadata.name} do not match their SHA-256: restart the build"
        )
    for start in range(0, len(data), PIECE):
        yield bytes(data[start : start + PIECE])
