"""Contract §5, "CI", before anything is built: who may ask, and with what."""

import httpx
import pytest

from .conftest import user_client
from .process import Api
from .signing import Signer

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
URL = "https://git.example.test/lab/arm.git"
UNKNOWN = {"error_message": "project not found"}
WRITING = (
    ("/ci/new", {"repo_url": URL}),
    ("/ci/project/arm/job", {"branch": "main"}),
    ("/ci/project/arm/job/7", {"do": "restart"}),
)
READING = ("/ci/projects", "/ci/project/arm/job/7", "/ci/project/arm/job/7/log")


async def test_there_are_no_projects(alice: httpx.AsyncClient) -> None:
    answer = await alice.get("/ci/projects")
    assert (answer.status_code, answer.json()) == (200, {})
    for path in READING[1:]:
        answer = await alice.get(path)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)
    for path, body in WRITING[1:]:
        answer = await alice.post(path, json=body)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)


async def test_builds_are_not_served_yet(alice: httpx.AsyncClient) -> None:
    full = {"ns": "arm", "repo_type": "git", "repo_url": URL, "repo_commit": "0123abcd"}
    for body in ({"repo_url": URL}, full, full | {"repo_branch": "main"}):
        answer = await alice.post("/ci/new", json=body)
        assert (answer.status_code, answer.json()) == (501, {"error_message": "CI builds are not served yet"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ci/new", {}),
        ("/ci/new", {"repo_url": "nowhere"}),
        ("/ci/new", {"ns": "arm", "repo_type": "git", "repo_url": URL}),
        ("/ci/new", {"ns": "arm", "repo_type": "hg", "repo_url": URL, "repo_branch": "main"}),
        ("/ci/project/arm/job", {}),
        ("/ci/project/arm/job", {"commit": "no hex"}),
        ("/ci/project/arm/job/7", {}),
        ("/ci/project/arm/job/7", {"do": "stop"}),
    ],
)
async def test_wrong_bodies_are_400(alice: httpx.AsyncClient, path: str, body: dict[str, str]) -> None:
    answer = await alice.post(path, json=body)
    assert answer.status_code == 400
    assert "option `" in answer.json()["error_message"]


async def test_who_may_ask(api: Api, signer: Signer, http: httpx.AsyncClient) -> None:
    constrained = user_client(api, signer.token("alice", **{"in": NOTHING}))
    reader = user_client(api, signer.token("alice", sc=["r"]))
    requests = [("POST", path, body) for path, body in WRITING] + [("GET", path, {}) for path in READING]
    async with constrained, reader:
        for method, path, body in requests:
            answer = await http.request(method, path, json=body)
            assert (answer.status_code, answer.json()) == (400, {"error_message": "wrong authorization token"})
            answer = await constrained.request(method, path, json=body)
            text = "token already constrained to another instance"
            assert (answer.status_code, answer.json()) == (400, {"error_message": text})
            answer = await reader.request(method, path, json=body)
            text = "token scope does not permit change"
            refused = (answer.status_code, answer.json()) == (400, {"error_message": text})
            assert refused is (method == "POST"), path


async def test_a_malformed_id_is_an_unrecognized_command(alice: httpx.AsyncClient) -> None:
    for path in ("/ci/project/-/job/7", "/ci/project/a%20b/job/7", "/ci/project/arm/job/", "/ci"):
        answer = await alice.get(path)
        assert (answer.status_code, answer.json()) == (400, {"error_message": "unrecognized command"})
