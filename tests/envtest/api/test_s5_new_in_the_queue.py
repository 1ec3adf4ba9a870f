"""Contract §5, POST /new: people in the queue come first."""

import httpx
import pytest

from berth_core.resources import AccessRule, Instance

from .conftest import Setting, made, replica_with_an_old_cache, through_gateway, user_client
from .signing import Signer
from .test_quotas import give_back
from .world import World

pytestmark = pytest.mark.apiserver


async def test_a_newcomer_does_not_get_what_another_waits_for(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind)
    await world.wait_in_queue("bob", workspaceType=kind)
    for path in (f"/new/{kind}", f"/new/{deployment}"):
        answer = await alice.post(path)
        assert answer.status_code == 503
        assert answer.json()["result_message"].startswith("All matching workspace deployments are busy")
    assert (await alice.post(f"/new/{kind}", json={"reserve": True})).json()["success"] is False
    # Now alice waits too, so that bob is no better off.
    assert (await bob.post(f"/new/{kind}")).status_code == 503


async def test_what_nobody_else_waits_for_is_had(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    one, two = await world.deployment(kind), await world.deployment(kind)
    name = (await world.deployment_resource(one)).metadata.name
    await world.wait_in_queue("bob", deployments=[name])
    made = (await alice.post(f"/new/{kind}")).json()
    assert (await alice.get(f"/instance/{made['id']}")).json()["deployment"] == two
    assert (await bob.post(f"/new/{one}")).status_code == 200


async def test_an_instance_made_with_kubectl_waits_too(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=1)
    namespace = world.namespaces.workspaces
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Instance",
        "metadata": {"generateName": "waits-"},
        "spec": {"user": "bob", "workspaceType": kind},
    }
    made = await world.made(Instance.api(), body)
    assert (await alice.post(f"/new/{kind}")).status_code == 503
    await world.client.delete(Instance.api(), namespace, made["metadata"]["name"])
    assert (await alice.post(f"/new/{kind}")).status_code == 200


async def test_who_may_not_have_it_keeps_nobody_from_it(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    name = (await world.deployment_resource(await world.deployment(kind))).metadata.name
    await world.wait_in_queue("bob", workspaceType=kind)
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "AccessRule",
        "metadata": {"generateName": "no-"},
        "spec": {"deployment": name, "user": "bob", "capability": "CAP_NO_INSTANTIATE", "ruleID": 1},
    }
    await world.made(AccessRule.api(), body)
    assert (await alice.post(f"/new/{kind}")).status_code == 200


async def test_who_has_as_many_as_he_may_have_keeps_nobody_from_more(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=2, limits={"maxPerUser": 1})
    assert (await bob.post(f"/new/{kind}")).status_code == 200
    await world.wait_in_queue("bob", workspaceType=kind)
    assert (await alice.post(f"/new/{kind}")).status_code == 200


async def test_who_was_promised_a_place_is_not_passed_where_the_watch_does_not_show_him(
    setting: Setting, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    async with replica_with_an_old_cache(setting, "reservations") as replica:
        holder = await made(alice, kind)
        assert (await alice.post(f"/new/{kind}", json={"reserve": True})).json()["success"] is False
        await give_back(world, holder)
        async with user_client(replica, signer.token("bob")) as bob:
            assert (await bob.post(f"/new/{kind}")).status_code == 503


async def test_a_grant_lists_nothing_and_reads_no_deployment_where_nothing_has_changed(
    setting: Setting, world: World, signer: Signer
) -> None:
    kind, other = await world.type(deployments=1), await world.type()
    targets = kind, await world.deployment(other)
    async with through_gateway(setting, signer) as (between, _, alice):
        for target in targets:
            between.asked.clear()
            await made(alice, target)
            asked = [line.replace(world.namespaces.workspaces, "") for line in between.asked]
            read = ("/reservations", "/accessrules", "/instances", "/workspacedeployments")
            assert [line for line in asked if line.startswith("GET") and any(map(line.__contains__, read))] == []
            assert sum(line.startswith("PATCH") for line in asked) == 1, asked
