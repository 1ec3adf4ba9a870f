"""Clients of old work as they are: the public Python client, and one that reads no more than they do."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from promised import promised
from rerobots import Instance
from rerobots.api import APIClient, BusyWorkspaceDeployment, Error, InstanceNotFound, WrongAuthToken

from . import ci
from .plainclient import PlainClient, RefusedError
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOBODY: Final = "0190f7a0-0000-7000-8000-000000000000"


def python_client(api: Api, token: str) -> APIClient:
    """The client from the package index, unmodified, at another base URL."""
    return APIClient(api_token=token, ignore_env=True, base_uri=api.url)


async def test_the_python_client_finds_what_can_be_had(api: Api, signer: Signer, world: World) -> None:
    type_name = await world.type(deployments=2)
    client = python_client(api, signer.token("alice"))
    assert type_name in await call(client.get_wtypes)
    found = await call(client.get_wdeployments, types=[type_name])
    assert [(wd["type"], wd["queuelen"]) for wd in found] == [(type_name, 0)] * 2
    page, pages = await call(client.get_wdeployments, types=[type_name], page=2, max_per_page=1)
    assert (page, pages) == (found[1:], 2)
    assert await call(client.get_wdeployments, query=type_name, maxlen=0, types=["!user_provided"]) == found
    assert (await call(client.get_wdeployment_info, found[0]["id"]))["type"] == type_name


async def test_the_python_client_takes_uses_and_ends_an_instance(api: Api, signer: Signer, world: World) -> None:
    deployment = await world.deployment(await world.type())
    client = python_client(api, signer.token("alice"))
    made = await call(client.request_instance, deployment, duration=600)
    assert made["sshkey"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    await world.make_ready(made["id"])
    assert made["id"] in await call(client.get_instances)
    assert (await call(client.get_instance_info, made["id"]))["status"] == "READY"
    await call(client.add_firewall_rule, made["id"], "ACCEPT", "198.51.100.0/24")
    assert ["198.51.100.0/24", "ACCEPT"] in await call(client.get_firewall_rules, made["id"])
    await call(client.flush_firewall_rules, made["id"])
    assert await call(client.get_firewall_rules, made["id"]) == []
    await call(client.terminate_instance, made["id"])
    assert made["id"] not in await call(client.get_instances)


async def test_the_python_client_s_instance_follows_its_instance(api: Api, signer: Signer, world: World) -> None:
    type_name = await world.type(deployments=1)
    client = python_client(api, signer.token("alice"))
    taken = await call(Instance, workspace_types=[type_name], apic=client)
    assert await call(taken.get_status) == "INIT"
    (listed,) = await call(client.get_wdeployments, types=[type_name])
    instance = (await call(client.get_wdeployment_info, listed["id"]))["instance"]
    await world.make_ready(instance)
    details = await call(taken.get_details)
    assert (details["type"], details["status"]) == (type_name, "READY")
    assert details["conn"].keys() == {"type", "ipv4", "port", "hostkeys"}
    again = await call(Instance, instance_id=instance, apic=client)
    await call(again.terminate)
    assert await call(taken.get_status) == "TERMINATING"


async def test_the_python_client_waits_in_the_queue(api: Api, signer: Signer, world: World) -> None:
    deployment = await world.deployment(await world.type())
    client = python_client(api, signer.token("alice"))
    await call(client.request_instance, deployment)
    with pytest.raises(BusyWorkspaceDeployment):
        await call(client.request_instance, deployment)
    waiting = await call(client.request_instance, deployment, reserve=True)
    assert waiting["success"] is False
    assert waiting["id"] in [reservation["id"] for reservation in await call(client.get_reservations)]
    await call(client.cancel_reservation, waiting["id"])
    assert waiting["id"] not in [reservation["id"] for reservation in await call(client.get_reservations)]


async def test_the_python_client_governs_access(api: Api, signer: Signer, world: World) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    client = python_client(api, signer.token("alice"))
    rule = await call(client.create_access_rule, deployment, "CAP_NO_INSTANTIATE", to_user="bob")
    assert [r["id"] for r in await call(client.get_access_rules, wdeployment_id=deployment)] == [rule]
    assert rule in [r["id"] for r in await call(client.get_access_rules, to_user="bob")]
    await call(client.del_access_rule, deployment, rule)
    assert await call(client.get_access_rules, wdeployment_id=deployment) == []


async def test_the_python_client_ends_its_tokens(api: Api, signer: Signer) -> None:
    first, second = signer.token("paula", jti="1"), signer.token("paula", jti="2")
    client = python_client(api, first)
    await call(client.revoke_token, token=second)

    async def is_wrong() -> bool:
        try:
            await call(python_client(api, second).get_instances)
        except WrongAuthToken:
            return True
        return False

    await eventually(is_wrong, seconds=promised(1))
    await call(client.purge)
    with pytest.raises(WrongAuthToken):
        await call(client.get_instances)
    assert await call(python_client(api, signer.token("paula")).get_instances) == []


async def test_the_python_client_asks_for_builds(api: Api, signer: Signer, world: World) -> None:
    client = python_client(api, signer.token("builder"))
    assert await call(client.get_ci_projects) == {}
    project = await call(client.create_ci_project, ci.URL)
    assert (await call(client.get_ci_projects))[project]["repo_url"] == ci.URL
    both = await ci.resource(world, await call(client.submit_ci_job, project, "main", ci.COMMIT))
    assert (both.spec.branch, both.spec.commit, both.spec.user) == ("main", ci.COMMIT, "builder")
    head = await ci.resource(world, await call(client.submit_ci_job, project, "main", None))
    assert (head.spec.branch, head.spec.commit) == ("main", None)
    with pytest.raises(Error, match="not found"):
        await call(client.submit_ci_job, "nobodys", "main", None)


async def test_the_python_client_tells_what_went_wrong(api: Api, signer: Signer) -> None:
    client = python_client(api, signer.token("alice"))
    with pytest.raises(InstanceNotFound):
        await call(client.get_instance_info, NOBODY)
    with pytest.raises(WrongAuthToken):
        await call(python_client(api, "not.a.token").get_instances)
    with pytest.raises(Error, match="no matching wdeployment found"):
        await call(client.request_instance, "no_such_type")
    with pytest.raises(Error, match="not found"):
        await call(client.submit_ci_job, "no-such-project", "main", "a" * 40)
    assert await call(client.status_addon_cam, NOBODY) == {"status": "notfound"}
    with pytest.raises(Error, match="add-on not available"):
        await call(client.activate_addon_cam, NOBODY)


REFUSALS: Final[dict[str, Callable[[PlainClient], Any]]] = {
    "no matching wdeployment found": lambda client: client.post("/new/no_such_type", {}),
    "value for option `sshkey` has wrong type": lambda client: client.post("/new/no_such_type", {"sshkey": 1}),
    "instance not found": lambda client: client.get(f"/instance/{NOBODY}"),
    "unrecognized command": lambda client: client.get("/no/such/route"),
    "no workspace deployment found with given ID": lambda client: client.get(f"/deployment/{NOBODY}"),
    "reservation not found": lambda client: client.delete(f"/reservation/{NOBODY}"),
    "add-on not available": lambda client: client.get(f"/addon/cam/{NOBODY}"),
}


@pytest.mark.parametrize("text", REFUSALS)
async def test_a_refusal_s_text_is_where_public_clients_look(text: str, api: Api, signer: Signer) -> None:
    client = PlainClient(api.url, signer.token("alice"))
    with pytest.raises(RefusedError) as refused:
        await call(REFUSALS[text], client)
    assert str(refused.value) == text


async def test_bodies_are_read_without_a_content_type(api: Api, signer: Signer, world: World) -> None:
    deployment = await world.deployment(await world.type())
    client = PlainClient(api.url, signer.token("alice"))
    made = await call(client.post, "/new", {"wds": [deployment]})
    assert made["success"] is True
    with pytest.raises(RefusedError, match="All matching workspace deployments are busy"):
        await call(client.post, f"/new/{deployment}")


async def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a client that blocks."""
    return await asyncio.to_thread(function, *arguments, **options)
