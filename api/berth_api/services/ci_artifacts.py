"""What a build left behind: a tarball in ConfigMaps beside it."""

import base64
import hashlib

from berth_api.errors import MissingError
from berth_api.state import State
from berth_core import errors as cluster
from berth_core import names
from berth_core.client import Kind
from berth_core.resources import Build

CONFIG_MAPS = Kind("v1", "configmaps")


async def part(state: State, namespace: str, name: str) -> bytes:
    """Read one part of a log or of artifacts. Raises NotFoundError."""
    found = await state.client.get(CONFIG_MAPS, namespace, name)
    return base64.b64decode((found.get("binaryData") or {}).get(names.PART_KEY, ""))


async def read(state: State, build: Build) -> bytes:
    """Read the tarball (gzip), whole. Raises MissingError, and ClusterError where it is not what the build says."""
    artifacts = build.status.artifacts if build.status.attempt == build.spec.attempt else None
    if artifacts is None:
        raise MissingError("no artifacts")
    digest, data = hashlib.sha256(), bytearray()
    for name in artifacts.config_maps:
        try:
            found = await part(state, build.metadata.namespace, name)
        except cluster.NotFoundError as error:
            raise MissingError("no artifacts: they were deleted") from error
        digest.update(found)
        data += found
    if (digest.hexdigest(), len(data)) != (artifacts.sha256, artifacts.size):
        raise cluster.ClusterError(f"artifacts of the Build {build.metadata.name} do not match their SHA-256")
    return bytes(data)
