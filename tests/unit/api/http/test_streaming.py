"""An answer that is sent piece by piece has a time in all."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from berth_api.http.streaming import Streamed


async def test_a_reader_who_is_slow_in_all_is_given_up() -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    async def slowly(_: Message) -> None:
        await asyncio.sleep(0.01)

    answer = Streamed(pieces(), "text/plain", {}, longest=0.1)
    async with asyncio.timeout(10):
        with pytest.raises(ClientDisconnect):
            await answer.stream_response(slowly)
    assert closed.is_set()
