"""Answers that are sent piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from berth_api.http.errors import ApiError
from berth_core.kube import errors as cluster

log = structlog.get_logger(__name__)

LONGEST_SECONDS: Final = 300.0
"""Longest time for the whole of a body that does not wait for events."""
SEND_SECONDS: Final = 60.0
"""Seconds without progress after which a client is given up."""


class Streamed(StreamingResponse):
    """A body from a generator, sent no faster than the client takes it.

    The generator is closed when the answer ends, however it ends. An error of it breaks the connection off, so that the
    client can tell that the body is incomplete. So does a client that takes more than ``longest`` seconds in all.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str],
        longest: float | None = LONGEST_SECONDS,
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces
        self._longest = longest

    async def stream_response(self, send: Send) -> None:
        """Send the head, then each piece."""

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await send(message)
            except TimeoutError as error:
                raise ClientDisconnect from error

        async with aclosing(self._pieces):
            try:
                async with asyncio.timeout(self._longest):
                    await super().stream_response(patient)
            except TimeoutError as error:
                raise ClientDisconnect from error
            except (cluster.ClusterError, ApiError) as error:
                # Without its end the answer is incomplete, and the server closes the connection.
                log.warning("answer broken off", error=error.message)


async def begun(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Wait for the first piece, so that a failure before it becomes an error answer; return all pieces."""
    try:
        first = await anext(pieces)
    except StopAsyncIteration:
        first = b""
    return _with(first, pieces)


async def _with(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece
