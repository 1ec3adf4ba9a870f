"""Single probes, against real servers on loopback: which addresses are allowed is decided before."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth_cli.admin.keys.material import new_authority
from berth_core.resources.workspacedeployment import HttpHealth
from berth_dev.ports import closed_port
from berth_operator.presence.decide import Outcome
from berth_operator.presence.probe import LINE_BYTES, ask
from berth_operator.presence.target import Target

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answers(text: bytes, heard: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(request)
        writer.write(text)
        writer.close()

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def asked(port: int, path: str = "/", *, tls: bool = False, seconds: float = 5) -> Outcome | None:
    return await ask(Target("127.0.0.1", port, HttpHealth(port=port, path=path, tls=tls)), seconds)


async def test_a_port_that_accepts_answers_and_a_closed_one_does_not() -> None:
    async with serving(silent) as port:
        assert await ask(Target("127.0.0.1", port), 5) == Outcome(answered=True)
    with closed_port() as port:
        told = await ask(Target("127.0.0.1", port), 5)
    assert told is not None
    assert not told.answered
    assert "refused" in told.why


async def test_a_connection_is_not_kept() -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        over.set()

    async with serving(serve) as port:
        assert await ask(Target("127.0.0.1", port), 5) == Outcome(answered=True)
        await asyncio.wait_for(over.wait(), 5)


@pytest.mark.parametrize(
    ("text", "answered", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True, ""),
        (b"HTTP/1.0 204\r\n\r\n", True, ""),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", True, ""),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False, "status 404"),
        (b"HTTP/1.1 503 Away\r\n\r\n", False, "status 503"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False, "status 100"),
        (b"SSH-2.0-robot\r\n", False, "the answer is no HTTP"),
        (b"HTTP/1.1 200 " + b"x" * 4 * LINE_BYTES, False, "the answer is no HTTP"),
        (b"", False, "the connection was closed"),
    ],
)
async def test_an_answer_counts_by_its_status(text: bytes, answered: bool, why: str) -> None:
    heard: list[bytes] = []
    async with serving(answers(text, heard)) as port:
        assert await asked(port, "/status?full=1") == Outcome(answered, why)
    assert len(heard) == 1, "no redirect is followed"
    assert heard[0].startswith(b"GET /status?full=1 HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_machine_may_sign_its_own_certificate(tmp_path: Path) -> None:
    pair, certificate, key = new_authority(datetime.now(UTC)), tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_text(pair.certificate)
    key.write_text(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving(answers(b"HTTP/1.1 200 OK\r\n\r\n"), context) as port:
        assert await asked(port, tls=True) == Outcome(answered=True)
        plain = await asked(port)
        assert plain is not None
        assert not plain.answered


async def test_silence_is_a_miss_after_the_time() -> None:
    async with serving(silent) as port:
        assert await asked(port, seconds=0.2) == Outcome(answered=False, why="nothing came within 0.2 s")


async def test_a_process_that_stood_still_has_heard_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    ahead, time = [0.0], loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + ahead[0])
    async with serving(silent) as port:
        probe = asyncio.ensure_future(asked(port, seconds=5))
        await asyncio.sleep(0.1)
        ahead[0] = 3600
        assert await probe is None
