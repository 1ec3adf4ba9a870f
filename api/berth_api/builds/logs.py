"""Logs of a build: from its containers while they exist, from the kept log afterwards."""

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from berth_api.builds import artifacts
from berth_api.builds.view import BuildView
from berth_api.http.errors import MissingError
from berth_api.state import State
from berth_core import names
from berth_core.kube import errors as cluster
from berth_core.resources import Build

PARTS: Final = (
    (names.FETCH_STEP, names.FETCH_CONTAINER),
    (names.RUN_STEP, names.CHECKOUT_CONTAINER),
    (names.RUN_STEP, names.SCRIPT_CONTAINER),
)
"""Steps (``names.build_job``) and containers whose output is the log, in this order."""
PIECE: Final = 64 * 1024
DELETED: Final = "the log of this build was deleted"
_GZIP: Final = 16 + zlib.MAX_WBITS


async def text(state: State, build: Build) -> AsyncGenerator[bytes, None]:
    """Yield the output of the current attempt so far. Raises ClusterError."""
    source = stored(state, build) if is_stored(build) else live(state, build)
    async with aclosing(source):
        async for piece in source:
            yield piece


def is_stored(build: Build) -> bool:
    """Whether the log of the current attempt was kept."""
    return build.status.attempt == build.spec.attempt and build.status.log is not None


async def stored(state: State, build: Build) -> AsyncGenerator[bytes, None]:
    """Yield a kept log. Raises MissingError where it is gone, ClusterError where it cannot be read."""
    if not build.status.log:
        raise MissingError(DELETED)
    inflating = zlib.decompressobj(_GZIP)
    for name in build.status.log or ():
        try:
            packed = await artifacts.part(state, build, name)
        except cluster.NotFoundError as error:
            raise MissingError(DELETED) from error
        while packed:
            try:
                piece = inflating.decompress(packed, PIECE)
            except zlib.error as error:
                raise cluster.ClusterError(
                    f"the log of the Build {build.metadata.name} is damaged, restart the build: {error}"
                ) from error
            packed = inflating.unconsumed_tail
            if piece:
                yield piece
    if rest := inflating.flush():
        yield rest


async def live(state: State, build: Build) -> AsyncGenerator[bytes, None]:
    """Yield the output of the existing containers, each with a line feed at its end."""
    namespace = build.metadata.namespace
    for step, container in PARTS:
        pod = state.part(BuildView).pod(namespace, names.build_job(build.public_id, build.spec.attempt, step))
        if pod is None or not pod.has_begun(container):
            continue
        last = b"\n"
        try:
            async with aclosing(state.logs.pod_log(namespace, pod.name, container)) as pieces:
                async for piece in pieces:
                    last = piece[-1:] or last
                    yield piece
        except (cluster.NotFoundError, cluster.InvalidError):
            continue  # deleted, or not begun after all, since the watch showed it
        if last != b"\n":
            yield b"\n"
