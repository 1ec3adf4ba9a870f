"""What a user has. States beyond INIT are written here in the operator's place."""

from datetime import UTC, datetime

import httpx
import pytest

from berth_core import leasing
from berth_core.leasing import Lease
from berth_core.resources import Instance, WorkspaceDeployment

from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

MISSING = {"error_message": "instance not found"}
END = "2026-01-01T00:30:00Z"


async def made(client: httpx.AsyncClient, target: str) -> str:
    answer = await client.post(f"/new/{target}")
    assert answer.status_code == 200, answer.text
    instance: str = answer.json()["id"]
    return instance


async def test_an_instance_from_init_to_its_end(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, region="lab")
    instance = await made(alice, deployment)
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown.pop("starttime").endswith("Z")
    wdinfo = (await alice.get(f"/deployment/{deployment}")).json()
    assert wdinfo["instance"] == instance
    assert shown == {
        "id": instance,
        "deployment": deployment,
        "type": kind,
        "region": "lab",
        "status": "INIT",
        "rootuser": "root",
        "wdinfo": wdinfo,
    }
    await world.make_ready(instance)
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["status"] == "READY"
    assert shown["fwd"] == {"ipv4": "192.0.2.9", "port": 30022}
    assert shown["hostkeys"][0].startswith("ssh-ed25519 ")
    assert (shown["starttime"], shown["expires"]) == ("2026-01-01T00:00:00Z", "2026-01-01T01:00:01Z")
    ended = await alice.post(f"/terminate/{instance}")
    assert (ended.status_code, ended.content) == (200, b"")
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["status"] == "TERMINATING"
    assert not {"fwd", "hostkeys"} & shown.keys()
    await world.as_operator(instance, reason="Terminated", endTime=END, conditions={"Ended": "True", "Ready": "False"})
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert (shown["status"], shown["endtime"]) == ("TERMINATED", END)


async def test_one_that_starts_can_be_ended(world: World, alice: httpx.AsyncClient) -> None:
    instance = await made(alice, await world.type(deployments=1))
    assert (await alice.get(f"/instance/{instance}")).json()["status"] == "INIT"
    ended = await alice.post(f"/terminate/{instance}")
    assert (ended.status_code, ended.content) == (200, b"")
    assert (await alice.get(f"/instance/{instance}")).json()["status"] == "TERMINATING"


async def test_what_an_end_leaves_to_see(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind)
    instance = await made(alice, deployment)
    await world.make_ready(instance)
    await world.as_operator(instance, reason="Terminated", endTime=END, conditions={"Ended": "True", "Ready": "False"})
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert (shown["status"], shown["endtime"]) == ("TERMINATED", END)
    assert not {"expires", "fwd", "hostkeys", "message", "vpn"} & shown.keys()
    assert "instance" not in shown["wdinfo"]
    resource = await world.deployment_resource(deployment)
    await world.client.delete(WorkspaceDeployment.api(), resource.metadata.namespace, resource.metadata.name)
    # The deployment is gone: what is known of it is its id.
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert (shown["deployment"], shown["wdinfo"]) == (deployment, None)
    answer = (await alice.get("/instances?include_terminated")).json()
    position = answer["workspace_instances"].index(instance)
    assert answer["workspace_deployments"][position] == deployment
    assert None not in answer["workspace_deployments"]


async def test_the_lease_of_another_is_not_shown_as_ones_own(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type())
    first = await made(alice, deployment)
    await world.bind(first)
    assert (await alice.get(f"/instance/{first}")).json()["wdinfo"]["instance"] == first
    assert "instance" not in (await root.get(f"/instance/{first}")).json()["wdinfo"]
    await world.as_operator(first, reason="Terminated", endTime=END, conditions={"Ended": "True"})
    resource = await world.deployment_resource(deployment)
    # Given back in the operator's place.
    await leasing.give_back(
        world.client,
        resource.metadata.namespace,
        Lease(resource.metadata.name, resource.status.epoch),
        instance=first,
        completed=True,
        now=datetime.now(UTC),
    )
    second = await made(bob, deployment)
    assert "instance" not in (await alice.get(f"/instance/{first}")).json()["wdinfo"]
    assert (await bob.get(f"/instance/{second}")).json()["wdinfo"]["instance"] == second


async def test_a_token_for_one_instance_learns_of_no_other(
    api: Api, signer: Signer, world: World, alice: httpx.AsyncClient
) -> None:
    deployments = [await world.deployment(await world.type()) for _ in range(2)]
    mine, other = [await made(alice, deployment) for deployment in deployments]
    async with user_client(api, signer.token("alice", **{"in": mine})) as client:
        assert (await client.get(f"/instance/{mine}")).json()["wdinfo"]["instance"] == mine
        assert (await client.get(f"/deployment/{deployments[0]}")).json()["instance"] == mine
        assert "instance" not in (await client.get(f"/deployment/{deployments[1]}")).json()
        for method, path in (
            ("GET", f"/instance/{other}"),
            ("GET", f"/instance/{other}/sshkey"),
            ("POST", f"/terminate/{other}"),
            ("GET", f"/firewall/{other}"),
            ("POST", f"/firewall/{other}"),
            ("DELETE", f"/firewall/{other}"),
            ("GET", "/instances"),
            ("GET", "/instances/some_type"),
        ):
            answer = await client.request(method, path)
            assert answer.status_code == 400, path
            assert answer.json() == {"error_message": "token already constrained to another instance"}


async def test_terminating_again_says_the_state(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2)
    instance, failed = await made(alice, kind), await made(alice, kind)
    await world.as_operator(failed, reason="StartFailed", message="the image cannot be pulled")
    await alice.post(f"/terminate/{instance}")
    for ended, word in ((instance, "TERMINATING"), (failed, "INIT_FAIL")):
        answer = await alice.post(f"/terminate/{ended}")
        assert answer.status_code == 400
        assert word in answer.json()["error_message"]
    await world.as_operator(instance, reason="Terminated", endTime=END, conditions={"Ended": "True"})
    assert "TERMINATED" in (await alice.post(f"/terminate/{instance}")).json()["error_message"]
    shown = (await alice.get(f"/instance/{failed}")).json()
    assert (shown["status"], shown["message"]) == ("INIT_FAIL", "the image cannot be pulled")


async def test_what_is_not_the_callers_is_not_there(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    instance = await made(alice, await world.type(deployments=1))
    nothing = "00000000-0000-4000-8000-000000000000"
    for method, path in (
        ("GET", "/instance/{}"),
        ("GET", "/instance/{}/sshkey"),
        ("POST", "/terminate/{}"),
        ("GET", "/firewall/{}"),
        ("POST", "/firewall/{}"),
        ("DELETE", "/firewall/{}"),
    ):
        for target in (instance, nothing):
            answer = await bob.request(method, path.format(target))
            assert answer.status_code == 404
            assert answer.json() == MISSING
    assert (await root.get(f"/instance/{instance}")).json()["status"] == "INIT"
    assert (await root.post(f"/terminate/{instance}")).status_code == 200


async def test_lists_are_the_callers_and_active_by_default(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=4)
    running, ending, failed = [await made(alice, kind) for _ in range(3)]
    other = await made(bob, kind)
    await alice.post(f"/terminate/{ending}")
    await world.as_operator(failed, reason="StartFailed")
    for client, query, expected in (
        (alice, "", {running}),
        (alice, "include_terminated", {running, ending}),
        (alice, "include_terminated=false", {running, ending}),
        (alice, "include_init_fail", {running, failed}),
        (alice, "include_init_fail&include_terminated", {running, ending, failed}),
        (alice, "user=bob", {running}),
        (bob, "", {other}),
        (root, "", {running, other}),
        (root, "user=bob", {other}),
        (root, "user=nobody", set()),
    ):
        answer = (await client.get(f"/instances/{kind}?{query}")).json()
        assert set(answer["workspace_instances"]) == expected, query
        assert len(answer["workspace_deployments"]) == len(expected)
        assert answer["page_count"] == 1
    assert running in (await alice.get("/instances")).json()["workspace_instances"]
    assert (await alice.get("/instances/another_type")).json()["workspace_instances"] == []


async def test_starts_are_compared_as_times(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=3)
    starts = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.250000Z", "2026-01-01T00:00:01Z")
    instances = [await made(alice, kind) for _ in starts]
    for instance, start in zip(instances, starts, strict=True):
        await world.bind(instance)
        await world.as_operator(instance, startTime=start)
    answer = (await alice.get(f"/instances/{kind}?sort_by=inc_start_date")).json()
    assert answer["workspace_instances"] == instances
    for odd in ("", "sort_by=nonsense", "sort_by=dec_start_date"):
        assert (await alice.get(f"/instances/{kind}?{odd}")).json()["workspace_instances"] == instances[::-1]
    for query, items, count in (
        ("max_per_page=0", instances[::-1], 1),
        ("max_per_page=2", instances[:0:-1], 2),
        ("max_per_page=2&page=2", instances[:1], 2),
        ("max_per_page=2&page=99", instances[:1], 2),
        ("max_per_page=2&page=x", instances[:0:-1], 2),
        ("max_per_page=x", instances[::-1], 1),
    ):
        answer = (await alice.get(f"/instances/{kind}?{query}")).json()
        assert (answer["workspace_instances"], answer["page_count"]) == (items, count), query


async def test_lists_are_parallel_sorted_and_paged(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    deployments = [await world.deployment(kind) for _ in range(3)]
    instances = [await made(alice, deployment) for deployment in deployments]
    for number, instance in enumerate(instances):
        await world.bind(instance)
        await world.as_operator(instance, startTime=f"2026-01-01T00:00:0{number}Z")
    answer = (await alice.get(f"/instances/{kind}")).json()
    assert answer["workspace_instances"] == instances[::-1]
    assert answer["workspace_deployments"] == deployments[::-1]
    answer = (await alice.get(f"/instances/{kind}?sort_by=inc_start_date&max_per_page=2&page=2&details")).json()
    assert answer["page_count"] == 2
    assert answer["workspace_instances"] == [
        {
            "id": instances[2],
            "status": "INIT",
            "deployment": deployments[2],
            "type": kind,
            "region": "",
            "starttime": "2026-01-01T00:00:02Z",
            "rootuser": "root",
            "endtime": None,
        }
    ]
    assert answer["workspace_deployments"] == [deployments[2]]


async def test_the_private_key_is_for_as_long_as_the_instance(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2)
    instance = await made(alice, kind)
    assert (await alice.get(f"/instance/{instance}/sshkey")).status_code == 200
    await alice.post(f"/terminate/{instance}")
    answer = await alice.get(f"/instance/{instance}/sshkey")
    assert (answer.status_code, answer.json()) == (400, {"error_message": "instance not active"})
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
    brought = (await alice.post(f"/new/{kind}", json={"sshkey": key})).json()["id"]
    assert (await alice.get(f"/instance/{brought}/sshkey")).status_code == 404


async def test_an_instance_made_with_kubectl_is_shown_once_it_is_bound(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind)
    name = f"by-hand-{kind.replace('_', '-')}"
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Instance",
        "metadata": {"name": name, "namespace": world.namespaces.workspaces},
        "spec": {"user": "alice", "workspaceType": kind},
    }
    uid: str = (await world.client.create(Instance.api(), world.namespaces.workspaces, body))["metadata"]["uid"]
    assert (await alice.get(f"/instance/{uid}")).json() == MISSING
    assert uid not in (await alice.get("/instances")).json()["workspace_instances"]
    resource = await world.deployment_resource(deployment)
    # Bound in the operator's place.
    status = {"id": uid, "deployment": resource.metadata.name, "epoch": 1}
    await world.client.patch(
        Instance.api(), world.namespaces.workspaces, name, {"status": status}, subresource="status"
    )
    assert (await alice.get(f"/instance/{uid}")).json()["deployment"] == deployment
    assert (await alice.get(f"/instances/{kind}")).json()["workspace_instances"] == [uid]
    assert (await alice.post(f"/terminate/{uid}")).status_code == 200

    async def ending() -> bool:
        return bool((await alice.get(f"/instance/{uid}")).json()["status"] == "TERMINATING")

    await eventually(ending)
