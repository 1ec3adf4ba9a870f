"""What holds for every request: bodies, versions, errors, preflights, service routes."""

import subprocess
import sys

import httpx
import pytest

from . import process
from .conftest import Setting, user_client
from .process import Api
from .signing import Signer

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
UNRECOGNIZED = {"error_message": "unrecognized command"}


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def test_every_answer_names_version_type_and_request(http: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    ids = set()
    for client, path in ((http, "/"), (http, "/workspaces"), (http, "/nowhere"), (alice, f"/instance/{NOTHING}")):
        answer = await client.get(path)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-API-Version"] == "1"
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
        ("POST", "/deployments", "GET, OPTIONS"),
        ("GET", "/new", "OPTIONS, POST"),
        ("PUT", f"/firewall/{NOTHING}", "DELETE, GET, OPTIONS, POST"),
        ("PATCH", f"/terminate/{NOTHING}", "OPTIONS, POST"),
    ],
)
async def test_what_is_not_served_is_an_unrecognized_command(
    http: httpx.AsyncClient, method: str, path: str, allow: str | None
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 400
    expected = {**UNRECOGNIZED, "error": UNRECOGNIZED["error_message"]} if path.startswith("/new") else UNRECOGNIZED
    assert answer.json() == expected
    assert answer.headers.get("Allow") == allow


async def test_ids_count_in_any_case(http: httpx.AsyncClient) -> None:
    answer = await http.get("/deployment/ABCDEF00-0000-4000-8000-000000000000")
    assert answer.status_code == 404
    assert answer.json() == {"error_message": "no workspace deployment found with given ID"}


@pytest.mark.parametrize("content", [b"[]", b"1", b"{", b'"x"', b"\xff", b"{}{}", b"null"])
async def test_a_body_that_is_no_object_is_400(alice: httpx.AsyncClient, content: bytes) -> None:
    for path in ("/new/some_type", f"/terminate/{NOTHING}", f"/firewall/{NOTHING}"):
        answer = await alice.post(path, content=content)
        assert answer.status_code == 400
        assert answer.json()["error_message"] == "request body is not a JSON object"


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_the_content_type_does_not_matter(alice: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await alice.post("/new/some_type", content=b'{"vpn": 1}', headers=headers)
    assert answer.json()["error"] == "value for option `vpn` has wrong type"
    for empty in (b"", b" \n"):
        answer = await alice.post("/new/some_type", content=empty, headers=headers)
        assert answer.status_code == 404


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
    answer = await http.get("/workspaces", headers={"Origin": "https://lab.example.test"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://lab.example.test"
    assert "Origin" in answer.headers["Vary"]


async def test_the_commands_are_urls_below_the_address_that_was_asked(
    http: httpx.AsyncClient, api: Api, setting: Setting
) -> None:
    commands = (await http.get("/")).json()
    assert commands["workspace_types"].startswith(f"{api.url}/workspaces")
    historic = {"workspace_types", "workspace_deployments", "deployment_details", "create_instance"}
    assert historic | {"firewall", "terminate_instance"} <= commands.keys()
    settings = setting.environment(BERTH_PUBLIC_URL="https://berth.example.test/")
    with process.running(settings, setting.folder / "public.log") as public:
        commands = (await fetch(public.url)).json()
    assert commands["deployment_details"] == "https://berth.example.test/deployment/{deployment}"


async def test_the_openapi_document_describes_every_route(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    paths = document["paths"]
    assert {"/", "/workspaces", "/deployments/{type_name}", "/new", "/instance/{instance_id}/sshkey"} <= paths.keys()
    assert {p["name"] for p in paths["/deployments"]["get"]["parameters"]} >= {
        "q",
        "maxlen",
        "types",
        "sort_by",
        "info",
    }
    assert "sshkey" in str(paths["/new/{type_name}"]["post"]["requestBody"])
    for operations in paths.values():
        for operation in operations.values():
            assert operation["summary"]
    assert (await http.get("/docs")).status_code == 200


async def test_health_readiness_and_metrics(http: httpx.AsyncClient, api: Api) -> None:
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).json() == {"missing": []}
    await http.get("/queuelen/" + NOTHING)
    metrics = (await fetch(api.metrics_url)).text
    assert 'berth_api_requests_total{method="GET",route="/queuelen/{deployment_id:id}",status="404"}' in metrics
    assert (await http.get("/metrics")).status_code == 400


async def test_without_a_cluster_answers_are_503_with_retry_after(setting: Setting, signer: Signer) -> None:
    away = setting.folder / "away.kubeconfig"
    away.write_text(
        setting.kubeconfig.read_text().replace(setting.server.url, f"https://127.0.0.1:{process.free_port()}")
    )
    settings = process.environment(away, setting.namespaces, setting.jwks)
    with process.running(settings, setting.folder / "away.log", until="/healthz") as api:
        assert (await fetch(api.url + "/readyz")).status_code == 503
        async with user_client(api, signer.token("alice")) as alice:
            for method, path in (
                ("GET", "/workspaces"),
                ("GET", "/deployments"),
                ("GET", f"/deployment/{NOTHING}"),
                ("GET", f"/queuelen/{NOTHING}"),
                ("GET", "/instances"),
                ("GET", f"/instance/{NOTHING}"),
                ("POST", "/new/some_type"),
                ("POST", f"/terminate/{NOTHING}"),
                ("DELETE", f"/firewall/{NOTHING}"),
            ):
                answer = await alice.request(method, path)
                assert answer.status_code == 503, path
                assert int(answer.headers["Retry-After"]) >= 1
                assert "cluster" in answer.json()["error_message"]
        assert (await fetch(api.url + "/healthz")).status_code == 200


def test_a_configuration_that_cannot_be_used_ends_with_one_line(setting: Setting) -> None:
    settings = setting.environment(BERTH_TRUSTED_PROXIES="not-a-network")
    ended = subprocess.run(
        [sys.executable, "-m", "berth_api"], env=settings, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "BERTH_TRUSTED_PROXIES" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1
    assert "Traceback" not in ended.stderr
