"""Contract §1: requests that no well-behaved client sends: an answer in JSON, and never a traceback."""

import asyncio
import json
import time
from urllib.parse import urlsplit

import httpx
import pytest

from berth_api.http.protocol import HEAD_SECONDS

from . import process
from .conftest import Setting
from .process import Api

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"


async def exchange(api: Api, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes; the status, headers and body of the answer."""
    parts = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 20)
    writer.close()
    return int(head[0].split()[1]), headers, body


def get(target: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: berth.test", *headers, b"", b""))


@pytest.mark.parametrize(
    "target",
    [
        b"//workspaces",
        b"/workspaces/",
        b"/workspaces//",
        b"/./workspaces",
        b"/workspaces%00",
        b"/workspaces%0a",
        b"/workspaces%ff%fe",
        b"/workspaces%zz",
        b"/workspaces%",
        b"/deployments/%0a",
        b"/deployment/" + NOTHING.encode() + b"%0A",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/workspaces%2f",
        b"/" + b"a" * 20_000,
        b"/\xc3\xa4",
        b"/%F0%9F%A4%96",
    ],
)
async def test_an_odd_path_is_an_unrecognized_command(api: Api, target: bytes) -> None:
    status, headers, body = await exchange(api, get(target))
    assert status == 400
    assert json.loads(body)["error_message"] in {"unrecognized command", "malformed HTTP request"}
    assert headers["content-type"] == "application/json"
    assert headers["x-api-version"] == "1"
    assert len(headers["x-request-id"]) == 36


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n",
        get(b"*"),
        get(b"/", b"no colon here"),
        get(b"/", b"Bad\x00Name: x"),
        b"POST /purge HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /purge HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /purge HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        get(b"/", b"X-Large: " + b"x" * 66_000),
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_what_is_no_request_is_refused_in_json(api: Api, request_bytes: bytes) -> None:
    status, headers, body = await exchange(api, request_bytes)
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert headers["x-api-version"] == "1"
    assert len(headers["x-request-id"]) == 36
    assert json.loads(body).keys() == {"error_message"}


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX-Endless: ", b"GET / HTTP/1.1\r\n"])
async def test_a_head_that_never_ends_is_not_kept_in_memory(api: Api, start: bytes) -> None:
    more = b"x" * 16_384 if not start.endswith(b"\n") else b"X-One-More: y\r\n" * 1000
    parts = urlsplit(api.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(start)
    with pytest.raises(ConnectionError):
        await flood(writer, more)
    writer.close()


async def test_a_body_that_never_ends_is_given_up(setting: Setting) -> None:
    running = process.running(setting.environment(BERTH_BODY_SECONDS="3"), setting.folder / "body.log")
    async with process.in_thread(running) as hasty:
        parts = urlsplit(hasty.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"POST /purge HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        begun = time.monotonic()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"Connection: close" in head
        assert time.monotonic() - begun >= 2
        writer.close()
    assert "Traceback" not in hasty.log.read_text()


async def flood(writer: asyncio.StreamWriter, more: bytes) -> None:
    """Send 20 MB, or as much as the other side takes."""
    for _ in range(20_000_000 // len(more)):
        writer.write(more)
        await writer.drain()
        await asyncio.sleep(0)  # let the loop see that the other side has closed


@pytest.mark.parametrize("host", [b"[", b"a b", b"\xff", b"x/y?z#", b"", b"[::1", b"evil.test/new/", b"x:99999999"])
async def test_an_odd_host_does_no_harm(api: Api, host: bytes) -> None:
    for target in (b"/", b"/nowhere", b"/workspaces", b"/new"):
        request = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        status, headers, body = await exchange(api, request)
        assert status in {200, 400}, body
        assert headers["content-type"] == "application/json"
        assert json.loads(body)


async def test_other_forms_of_a_request_are_served(api: Api) -> None:
    for request in (
        b"GET http://berth.test/workspaces HTTP/1.1\r\nHost: berth.test\r\n\r\n",
        b"GET /workspaces HTTP/1.0\r\n\r\n",
        b"GET /workspaces?a=%ff&b=%&&=&c HTTP/1.1\r\nHost: x\r\n\r\n",
        get(b"/workspaces", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        get(
            b"/workspaces",
            b"Accept: \xff\xfe, ;;,q=",
            b"Origin: \xff",
            b"X-Forwarded-For: \xff, ,",
            b"X-Request-Id: \xff",
        ),
        get(b"/workspaces", b"Content-Length: 2") + b"{}",
    ):
        status, headers, _ = await exchange(api, request)
        assert status == 200, request
        assert headers["x-api-version"] == "1"


async def test_a_client_that_goes_away_in_the_middle_does_no_harm(api: Api, http: httpx.AsyncClient) -> None:
    parts = urlsplit(api.url)
    for part in (b'{"us', b""):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"POST /purge HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + part)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await http.get("/workspaces")).status_code == 200


def test_none_of_this_left_a_traceback(api: Api) -> None:
    # Runs last in this module: the log of everything above.
    lines = api.log.read_text().splitlines()
    assert [line for line in lines if "Traceback" in line or "unexpected failure" in line] == []


@pytest.mark.release(twin="tests/envtest/api/test_s1_malformed_requests.py::test_a_body_that_never_ends_is_given_up")
async def test_who_never_finishes_a_head_is_not_waited_for(api: Api) -> None:
    """Neither a client that says nothing, nor one that goes on and on; between requests a connection may rest."""
    parts = urlsplit(api.url)
    (silent, one), (slow, two), (resting, three) = [
        await asyncio.open_connection(parts.hostname, parts.port) for _ in range(3)
    ]
    three.write(get(b"/workspaces"))
    two.write(b"GET /workspaces HTTP/1.1\r\nHost: berth.test\r\n")
    ends = asyncio.gather(*(asyncio.wait_for(reader.read(), HEAD_SECONDS + 10) for reader in (silent, slow)))
    while not ends.done():
        two.write(b"X-More: and more\r\n")
        await asyncio.wait({ends}, timeout=1)
    for answer in ends.result():
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'{"error_message":"malformed HTTP request"}')
    three.write(get(b"/workspaces", b"Connection: close"))
    assert (await asyncio.wait_for(resting.read(), 10)).count(b"HTTP/1.1 200 ") == 2
    for writer in (one, two, three):
        writer.close()
