"""Contract §1: the cluster out of reach, overloaded or odd: 503 with Retry-After, or a 500 that names the request."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from berth_core.resources import FirewallRule, Instance

from . import process
from .conftest import Setting, user_client
from .gateway import Gateway, gateway
from .process import Api, in_thread
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"


@dataclass
class Between:
    """An API process that reaches the cluster through a gateway, and a client of alice's."""

    gateway: Gateway
    api: Api
    alice: httpx.AsyncClient


def all_but_ends_of_tokens(_: str, path: str) -> bool:
    """All requests but those that tell which tokens were ended: without these no token counts any more after 5 s."""
    return not path.endswith(("/tokenrevocations", "/accounts"))


@pytest_asyncio.fixture(scope="module")
async def between(setting: Setting, signer: Signer, world: World) -> AsyncIterator[Between]:
    async with gateway(setting.server.kubeconfig) as running:
        kubeconfig = running.kubeconfig(setting.kubeconfig, setting.folder / "between.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig))
        async with in_thread(process.running(settings, setting.folder / "between.log")) as api:
            async with user_client(api, signer.token("alice")) as alice:
                with world.heard_at(alice):
                    yield Between(running, api, alice)


async def test_without_a_cluster_answers_are_503_with_retry_after(away: Api, signer: Signer) -> None:
    async with user_client(away, signer.token("alice")) as alice:
        assert (await alice.get("/readyz")).status_code == 503
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
        assert (await alice.get("/healthz")).status_code == 200


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_cluster_that_throttles_or_fails_is_503_with_its_retry_after(
    between: Between, world: World, status: int
) -> None:
    held = (await between.alice.post(f"/new/{await world.type(deployments=1)}")).json()["id"]
    await world.bind(held)
    async with between.gateway.refusing(all_but_ends_of_tokens, status, Retry_After="7"):
        for method, path, body in (
            ("GET", "/instances", None),
            ("GET", f"/instance/{held}", None),
            ("GET", f"/instance/{held}/sshkey", None),
            ("GET", f"/firewall/{held}", None),
            ("POST", f"/firewall/{held}", {"src": "203.0.113.7"}),
            ("DELETE", f"/firewall/{held}", None),
            ("POST", f"/terminate/{held}", None),
            ("POST", "/revoke/" + "ab" * 32, None),
        ):
            answer = await between.alice.request(method, path, json=body)
            assert answer.status_code == 503, (method, path, answer.text)
            assert answer.headers["Retry-After"] == "7", path
            assert answer.json() == {"error_message": "the cluster cannot be reached. Try again later."}
    shown = (await between.alice.get(f"/instance/{held}")).json()
    assert shown["status"] == "INIT"
    objects, _ = await world.client.list(
        FirewallRule.api(), world.namespaces.workspaces, fields={"spec.instance": held}
    )
    assert objects == []


async def test_what_was_half_done_is_undone(between: Between, world: World) -> None:
    def storing_a_key(method: str, path: str) -> bool:
        return method == "POST" and path.endswith("/secrets")

    deployment = await world.deployment(await world.type())
    async with between.gateway.refusing(storing_a_key, 429):
        answer = await between.alice.post(f"/new/{deployment}")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["error"] == answer.json()["error_message"]
    found = await world.deployment_resource(deployment)
    assert found.status.lease is None
    assert found.status.epoch == 1
    made = (await between.alice.post(f"/new/{deployment}")).json()["id"]
    found = await world.deployment_resource(deployment)
    assert found.status.lease is not None
    assert found.status.lease.instance == made


async def test_what_the_cluster_refuses_for_good_leaves_nothing_either(between: Between, world: World) -> None:
    def making_an_instance(method: str, path: str) -> bool:
        return method == "POST" and path.endswith("/instances")

    deployment, before = await world.deployment(await world.type()), await world.with_a_key()
    refusal = b'{"message": "no such thing", "reason": "Forbidden"}'
    async with between.gateway.refusing(making_an_instance, 403, refusal):
        answer = await between.alice.post(f"/new/{deployment}")
    assert answer.status_code == 500
    assert answer.json()["error_message"] == "internal error"
    assert (await world.deployment_resource(deployment)).status.lease is None
    objects, _ = await world.client.list(Instance.api(), world.namespaces.workspaces)
    instances = {i.public_id for i in map(Instance.parse, objects)}
    assert await world.with_a_key() - before <= instances


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"not json"), (200, b"[]"), (200, b""), (418, b"teapot"), (401, b"{}"), (403, b"{}"), (302, b"{}")],
    ids=str,
)
async def test_what_nobody_expected_is_500_with_the_requests_id(between: Between, status: int, body: bytes) -> None:
    request_id = str(uuid.uuid4())
    for method, path in (("GET", "/instances"), ("GET", f"/instance/{NOTHING}"), ("POST", f"/terminate/{NOTHING}")):
        async with between.gateway.refusing(all_but_ends_of_tokens, status, body):
            headers = {"X-Request-Id": request_id, "Origin": "https://lab.example.test"}
            answer = await between.alice.request(method, path, headers=headers)
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-API-Version"] == "1"
        assert answer.headers["X-RateLimit-Limit"]
        assert answer.json() == {"error_message": "internal error", "request_id": answer.headers["X-Request-Id"]}
        # The caller learns the id, and the log has the rest under it.
        assert answer.headers["X-Request-Id"] in between.api.log.read_text()


@pytest.mark.parametrize("body", [b"not json", b"[]", b""], ids=str)
async def test_what_a_proxy_answers_ends_no_work_in_the_background(between: Between, body: bytes) -> None:
    complaints = "this is no answer of the cluster's API"
    before = between.api.log.read_text().count(complaints)

    async def has_complained() -> bool:
        assert (await between.alice.get("/healthz")).status_code == 200, "a task has ended"
        return between.api.log.read_text().count(complaints) > before

    async with between.gateway.refusing(lambda *_: True, 200, body):
        await eventually(has_complained)
    assert (await between.alice.get("/healthz")).status_code == 200

    async def is_served() -> bool:
        return (await between.alice.get("/instances")).status_code == 200

    await eventually(is_served)


async def test_a_cluster_that_comes_back_is_served_again(between: Between, world: World) -> None:
    async with between.gateway.refusing(lambda *_: True, 503):
        assert (await between.alice.get("/instances")).status_code == 503
    assert (await between.alice.get("/instances")).status_code == 200
    deployment = await world.deployment(await world.type())
    assert (await between.alice.post(f"/new/{deployment}")).status_code == 200
