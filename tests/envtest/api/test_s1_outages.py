"""Contract §1: the cluster out of reach, overloaded or odd: 503 with Retry-After, or a 500 that names the request."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from amount import but_first

from berth_core import names
from berth_core.kube.types import Kind
from berth_core.leases.availability import Lease, is_tombstone
from berth_core.leases.tombstones import bury
from berth_core.resources import FirewallRule, Instance, InstanceSpec, manifest
from berth_core.resources.instance import Claim

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


@pytest.mark.parametrize("status", but_first(429, 503, 500, 502, 504, stay=2))
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
    await is_left_to_the_operator(world, deployment)


async def is_left_to_the_operator(world: World, deployment: str) -> None:
    """A tombstone has the name of the lease's instance: the operator gives the lease back."""
    status = (await world.deployment_resource(deployment)).status
    assert status.lease is not None
    tombstone = Instance.parse(
        await world.client.get(Instance.api(), world.namespaces.workspaces, status.lease.instance)
    )
    assert is_tombstone(tombstone)
    assert tombstone.spec.claim is not None
    assert (tombstone.spec.user, tombstone.spec.claim.epoch) == (status.lease.user, status.epoch)
    assert names.IDEMPOTENCY_LABEL not in tombstone.metadata.labels


RBAC = (
    'instances.berth.dev is forbidden: User "system:serviceaccount:berth:berth-api" cannot {verb} resource "instances"'
    ' in API group "berth.dev" in the namespace "lab": RBAC: role.rbac.authorization.k8s.io "berth-api" not found'
)
"""Answer of an API server that was just started and has not read its roles."""


async def test_an_api_server_that_has_not_read_its_roles_yet_is_503(between: Between, world: World) -> None:
    deployment = await world.deployment(await world.type())
    body = json.dumps({"kind": "Status", "code": 403, "reason": "Forbidden", "message": RBAC}).encode()
    async with between.gateway.refusing(all_but_ends_of_tokens, 403, body):
        for method, path in (("GET", "/instances"), ("GET", f"/instance/{NOTHING}"), ("POST", f"/new/{deployment}")):
            answer = await between.alice.request(method, path)
            assert answer.status_code == 503, (path, answer.text)
            assert int(answer.headers["Retry-After"]) >= 1
    assert (await world.deployment_resource(deployment)).status.lease is None


def takes_the_lease(method: str, path: str) -> bool:
    return method == "PATCH" and "/workspacedeployments/" in path and path.endswith("/status")


async def test_a_request_whose_name_the_operator_has_taken_is_503_and_undoes_nothing(
    between: Between, world: World
) -> None:
    deployment = await world.deployment(await world.type())

    async def give_up() -> None:
        status = (await world.deployment_resource(deployment)).status
        assert status.lease is not None
        lease = Lease((await world.deployment_resource(deployment)).metadata.name, status.epoch)
        where, instance = world.namespaces.workspaces, status.lease.instance
        await bury(world.client, where, lease, instance=instance, user=status.lease.user)

    async with between.gateway.after(takes_the_lease, give_up):
        answer = await between.alice.post(f"/new/{deployment}")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    await is_left_to_the_operator(world, deployment)


async def test_a_create_that_was_done_already_is_success(between: Between, world: World) -> None:
    """Something between may send a request twice."""
    deployment = await world.deployment(await world.type())

    async def make() -> None:
        resource = await world.deployment_resource(deployment)
        lease = resource.status.lease
        assert lease is not None
        claim = Claim(deployment=resource.metadata.name, epoch=resource.status.epoch)
        spec = InstanceSpec(user=lease.user, deployments=[resource.metadata.name], claim=claim)
        where = world.namespaces.workspaces
        await world.client.create(Instance.api(), where, manifest(Instance, where, lease.instance, spec))

    async with between.gateway.after(takes_the_lease, make):
        answer = await between.alice.post(f"/new/{deployment}")
    assert answer.status_code == 200
    lease = (await world.deployment_resource(deployment)).status.lease
    assert lease is not None
    assert lease.instance == answer.json()["id"]


async def test_an_instance_that_the_cluster_refuses_is_left_to_the_operator(between: Between, world: World) -> None:
    deployment = await world.deployment(await world.type())
    none = {"count/instances.berth.dev": "0"}
    quotas, where = Kind("v1", "resourcequotas"), world.namespaces.workspaces
    await world.client.create(quotas, where, {"metadata": {"name": "none"}, "spec": {"hard": none}})
    used = {"status": {"hard": none, "used": none}}
    await world.client.patch(quotas, where, "none", used, subresource="status")
    try:
        answer = await between.alice.post(f"/new/{deployment}")
    finally:
        await world.client.delete(quotas, where, "none")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    text = answer.json()["error_message"]
    assert text.startswith("the cluster keeps no more instances (quota none): delete some")
    # The quota refuses a tombstone too.
    assert (await world.deployment_resource(deployment)).status.lease is not None
    assert "exceeded quota" in between.api.log.read_text()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"not json"), (200, b"[]"), (200, b""), (418, b"teapot"), (302, b"{}")],
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
