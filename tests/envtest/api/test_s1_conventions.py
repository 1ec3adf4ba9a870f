"""Contract §1: what holds for every request."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import httpx
import pytest

from . import process
from .conftest import TIMEOUT, Setting
from .process import Api
from .world import eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
UNRECOGNIZED = {"error_message": "unrecognized command"}


@pytest.fixture(scope="module")
def open_to_all(setting: Setting) -> Iterator[Api]:
    """A process for pages of any origin, behind a public URL."""
    settings = setting.environment(BERTH_ALLOWED_ORIGINS="*", BERTH_PUBLIC_URL="https://berth.example.test/")
    with process.running(settings, setting.folder / "origins.log") as running:
        yield running


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        return await client.get(url)


async def test_every_answer_names_version_type_and_request(http: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    ids = set()
    for client, path in ((http, "/"), (http, "/workspaces"), (http, "/nowhere"), (alice, f"/instance/{NOTHING}")):
        answer = await client.get(path)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-API-Version"] == "1"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/nowhere", None),
        ("GET", "/deployments/", None),
        ("GET", "/deployment/not-an-id", None),
        ("GET", "/queuelen/1", None),
        ("GET", f"/instance/{NOTHING}x", None),
        ("GET", f"/instance/{NOTHING}%2Fstatus", None),
        ("POST", "/new/bad-type", None),
        ("POST", "/deployments", "GET, HEAD, OPTIONS"),
        ("GET", "/new", "OPTIONS, POST"),
        ("PUT", f"/firewall/{NOTHING}", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("HEAD", "/new", "OPTIONS, POST"),
        ("TRACE", "/workspaces", "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/nowhere", None),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("PATCH", f"/terminate/{NOTHING}", "OPTIONS, POST"),
    ],
)
async def test_what_is_not_served_is_an_unrecognized_command(
    http: httpx.AsyncClient, method: str, path: str, allow: str | None
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers.get("Allow") == allow
    if method == "HEAD":
        assert answer.content == b""
        return
    expected = {**UNRECOGNIZED, "error": UNRECOGNIZED["error_message"]} if path.startswith("/new") else UNRECOGNIZED
    assert answer.json() == expected


async def test_ids_count_in_any_case(http: httpx.AsyncClient) -> None:
    answer = await http.get("/deployment/ABCDEF00-0000-4000-8000-000000000000")
    assert answer.status_code == 404
    assert answer.json() == {"error_message": "no workspace deployment found with given ID"}


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"1",
        b"{",
        b'"x"',
        b"\xff",
        b'{"a": "\xff"}',
        b"{}{}",
        b"null",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b'{"a":' * 10_000,
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"sshkey=abc",
        b"\x1f\x8b\x08\x00",
        "{}".encode("utf-16"),
    ],
    ids=lambda content: repr(content[:12]),
)
async def test_a_body_that_is_no_object_is_400(alice: httpx.AsyncClient, content: bytes) -> None:
    for path in ("/new/some_type", f"/terminate/{NOTHING}", f"/firewall/{NOTHING}"):
        answer = await alice.post(path, content=content)
        assert answer.status_code == 400
        assert answer.json()["error_message"] == "request body is not a JSON object"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=x",
        ";",
    ],
)
async def test_the_content_type_does_not_matter(alice: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await alice.post("/new/some_type", content=b'{"vpn": 1}', headers=headers)
    assert answer.json()["error"] == "value for option `vpn` has wrong type"
    for empty in (b"", b" \n"):
        answer = await alice.post("/new/some_type", content=empty, headers=headers)
        assert answer.status_code == 404


async def test_of_a_field_that_is_there_twice_the_last_counts(alice: httpx.AsyncClient) -> None:
    answer = await alice.post("/new/some_type", content=b'{"vpn": 1, "vpn": true}')
    assert answer.json()["error"] == "no matching wdeployment found"
    answer = await alice.post("/new/some_type", content=b'{"vpn": true, "vpn": 1}')
    assert answer.json()["error"] == "value for option `vpn` has wrong type"


async def test_a_body_that_is_too_large_is_413(alice: httpx.AsyncClient) -> None:
    answer = await alice.post("/new/some_type", content=b'{"x": "' + b"x" * 70_000 + b'"}')
    assert answer.status_code == 413
    assert answer.json().keys() == {"error", "error_message"}


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/vnd.rerobots.v1+json", 200),
        ("application/json", 200),
        ("*/*", 200),
        ("", 200),
        ("text/html", 200),
        ("application/vnd.berth.v1+json", 200),
        ("APPLICATION/VND.REROBOTS.V1+JSON", 200),
        ("application/vnd.rerobots.v1+json;q=0.5, text/plain", 200),
        ("application/vnd.rerobots.v9+json, */*;q=0.1", 200),
        ("application/vnd.rerobots.v10+json", 406),
        ("application/vnd.rerobots.v9+json", 406),
        ("application/vnd.rerobots.v9+json, application/vnd.rerobots.v1+json", 200),
        ("application/vnd.rerobots.v2+json; q=0.9", 406),
    ],
)
async def test_versions(http: httpx.AsyncClient, accept: str, status: int) -> None:
    answer = await http.get("/workspaces", headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["X-API-Version"] == "1"
    if status == 406:
        assert "application/vnd.rerobots.v1+json" in answer.json()["error_message"]


async def test_an_unknown_version_is_refused_before_anything_is_made(
    http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    unknown = {"Accept": "application/vnd.rerobots.v9+json"}
    for client, method, path in ((alice, "POST", "/new/x"), (http, "GET", "/nowhere"), (http, "OPTIONS", "/new")):
        answer = await client.request(method, path, headers=unknown)
        assert answer.status_code == 406
        assert answer.headers["Content-Type"] == "application/json"
        assert ("error" in answer.json()) == (path == "/new/x" or path == "/new")


async def test_head_is_get_without_the_body(http: httpx.AsyncClient, api: Api) -> None:
    for path in ("/", "/workspaces", "/deployments?info", f"/queuelen/{NOTHING}", "/healthz", "/openapi.json"):
        asked, shown = await http.head(path), await http.get(path)
        assert (asked.status_code, asked.content) == (shown.status_code, b"")
        for name in ("Content-Type", "Content-Length", "X-API-Version"):
            assert asked.headers[name] == shown.headers[name]
        assert asked.headers["X-Request-Id"] != shown.headers["X-Request-Id"]
    metrics = (await fetch(api.metrics_url)).text
    assert 'berth_api_requests_total{method="HEAD",route="/workspaces",status="200"}' in metrics


async def test_request_ids_are_taken_over_from_trusted_proxies_only(http: httpx.AsyncClient, second: Api) -> None:
    given = "proxy-4711.abc_DEF"
    for path in ("/workspaces", "/nowhere"):
        assert (await http.get(path, headers={"X-Request-Id": given})).headers["X-Request-Id"] == given
        async with httpx.AsyncClient(base_url=second.url, timeout=TIMEOUT) as direct:
            own = (await direct.get(path, headers={"X-Request-Id": given})).headers["X-Request-Id"]
        assert str(uuid.UUID(own)) == own
    for odd in ("short", "a" * 65, "with space", "line\tfeed", '"quoted"', ""):
        answer = await http.get("/workspaces", headers={"X-Request-Id": odd})
        assert str(uuid.UUID(answer.headers["X-Request-Id"]))


async def test_logs_carry_the_request_id(http: httpx.AsyncClient, api: Api) -> None:
    request_id = (await http.get("/workspaces")).headers["X-Request-Id"]

    async def is_logged() -> bool:
        whole, _, _ = api.log.read_text().rpartition("\n")  # the last line may be being written
        lines = [json.loads(line) for line in whole.splitlines()]
        return any(line["event"] == "request" and line["request_id"] == request_id for line in lines)

    await eventually(is_logged)


async def test_preflights_allow_configured_origins_only(http: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    for path in ("/new/some_type", "/workspaces", f"/firewall/{NOTHING}"):
        answer = await http.options(path, headers=asked | {"Origin": "https://lab.example.test"})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://lab.example.test"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        answer = await http.options(path, headers=asked | {"Origin": "https://evil.example.test"})
        assert answer.status_code == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        # A cached answer to one origin must not be given to another.
        assert "Origin" in answer.headers["Vary"]
    for path in ("/workspaces", "/nowhere"):
        answer = await http.get(path, headers={"Origin": "https://lab.example.test"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://lab.example.test"
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        limits = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"}
        assert exposed >= limits | {"Retry-After", "X-Request-Id", "X-API-Version"}
        assert limits <= {name for name in exposed if name in answer.headers}


async def test_origins_may_be_all_or_none(second: Api, open_to_all: Api) -> None:
    anyone = {"Origin": "https://anyone.example.test", "Access-Control-Request-Method": "DELETE"}
    async with httpx.AsyncClient(base_url=second.url, timeout=TIMEOUT) as client:
        for answer in (
            await client.options(f"/firewall/{NOTHING}", headers=anyone),
            await client.get("/", headers=anyone),
        ):
            assert answer.status_code == 200
            assert not [name for name in answer.headers if name.startswith("access-control-")]
    async with httpx.AsyncClient(base_url=open_to_all.url, timeout=TIMEOUT) as client:
        answer = await client.options(f"/firewall/{NOTHING}", headers=anyone)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, POST"
        assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
        answer = await client.post("/new", headers=anyone)
        assert answer.status_code == 400
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_urls_are_below_the_configured_address(open_to_all: Api) -> None:
    commands = (await fetch(open_to_all.url)).json()
    assert commands["deployment_details"] == "https://berth.example.test/deployment/{deployment}"


def test_a_configuration_that_cannot_be_used_ends_with_one_line(setting: Setting) -> None:
    settings = setting.environment(BERTH_TRUSTED_PROXIES="not-a-network")
    ended = subprocess.run(
        [sys.executable, "-m", "berth_api"], env=settings, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "BERTH_TRUSTED_PROXIES" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1
    assert "Traceback" not in ended.stderr
