"""Contract §5, GET /instance/:id. States beyond INIT are written here in the operator's place."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from berth_core.kube.model import timestamp
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import Instance, WorkspaceDeployment
from berth_core.resources.instance import Repo
from berth_dev.envtest.testing import vanished

from .conftest import Setting, made, replica_with_an_old_cache, through_gateway, user_client
from .gateway import Matches
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

MISSING = {"error_message": "instance not found"}
END = "2026-01-01T00:30:00Z"


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
        "progress": {"bound": False, "pod": False, "network": False},
    }
    await world.bind(instance)
    await world.as_operator(instance, conditions={"PodReady": "True"})
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["progress"] == {"bound": True, "pod": True, "network": False}
    since = await world.make_ready(instance)
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["status"] == "READY"
    assert "progress" not in shown
    assert shown["fwd"] == {"ipv4": "192.0.2.9", "port": 30022}
    assert shown["hostkeys"][0].startswith("ssh-ed25519 ")
    end = (since + timedelta(seconds=3600)).replace(microsecond=0)
    assert (shown["starttime"], shown["expires"]) == ("2026-01-01T00:00:00Z", timestamp(end))
    ended = await alice.post(f"/terminate/{instance}")
    assert (ended.status_code, ended.content) == (200, b"")
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["status"] == "TERMINATING"
    assert not {"fwd", "hostkeys"} & shown.keys()
    await world.as_operator(instance, reason="Terminated", endTime=END, conditions={"Ended": "True", "Ready": "False"})
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert (shown["status"], shown["endtime"]) == ("TERMINATED", END)


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
    await vanished(world.client, resource.metadata.namespace, resource.metadata.name)
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


async def test_what_it_says_of_its_deployment_is_read_live(
    setting: Setting, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type(), region="lab")
    instance = await made(alice, deployment)
    async with replica_with_an_old_cache(setting, "workspacedeployments") as replica:
        found = (await world.deployment_resource(deployment)).metadata
        moved = {"spec": {"region": "roof"}}
        await world.client.patch(WorkspaceDeployment.api(), found.namespace, found.name, moved)
        async with user_client(replica, signer.token("alice")) as alice_there:
            shown = (await alice_there.get(f"/instance/{instance}")).json()
    assert shown["region"] == shown["wdinfo"]["region"] == "roof"


async def test_an_instance_and_its_deployment_are_read_side_by_side_and_answered_as_one_after_the_other(
    setting: Setting, world: World, signer: Signer, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type())
    instance, space = await made(alice, deployment), world.namespaces.workspaces
    name = (await world.deployment_resource(deployment)).metadata.name
    other = await world.deployment(await world.type())
    not_mine, others_name = await made(bob, other), (await world.deployment_resource(other)).metadata.name

    def of(*resources: str) -> Matches:
        return lambda method, path: method == "GET" and path.rpartition(f"/{space}/")[2] in resources

    # Its cache shows which deployment each instance has, and goes on to do so.
    async with through_gateway(setting, signer, old="workspacedeployments") as (between, _, client):

        async def both_are_asked_for() -> None:
            async def is_asked_for() -> bool:
                return any(line.endswith(f"/workspacedeployments/{name}") for line in between.asked)

            await eventually(is_asked_for)

        async with between.after(of(f"instances/{instance}"), both_are_asked_for):
            shown = await client.get(f"/instance/{instance}")
        assert (shown.status_code, shown.json()["wdinfo"]["instance"]) == (200, instance)

        async with between.refusing(of(f"workspacedeployments/{name}", f"workspacedeployments/{others_name}"), 503):
            assert (await client.get(f"/instance/{instance}")).status_code == 503
            answer = await client.get(f"/instance/{not_mine}")
            assert (answer.status_code, answer.json()) == (404, MISSING)
        async with between.refusing(of(f"instances/{instance}"), 503):
            assert (await client.get(f"/instance/{instance}")).status_code == 503

        found = (await world.deployment_resource(deployment)).metadata
        await vanished(world.client, found.namespace, found.name)
        shown = await client.get(f"/instance/{instance}")
        assert (shown.status_code, shown.json()["wdinfo"]) == (200, None)
        await world.client.patch(Instance.api(), space, instance, {"metadata": {"finalizers": None}})
        await world.client.delete(Instance.api(), space, instance)
        async with between.refusing(of(f"workspacedeployments/{name}"), 503):
            answer = await client.get(f"/instance/{instance}")
            assert (answer.status_code, answer.json()) == (404, MISSING)


async def test_an_instance_outlives_its_deployment(world: World, alice: httpx.AsyncClient) -> None:
    deployment = await world.deployment(await world.type(), region="lab")
    instance = await made(alice, deployment)
    await world.make_ready(instance)
    found = (await world.deployment_resource(deployment)).metadata
    await vanished(world.client, found.namespace, found.name)
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert (shown["deployment"], shown["type"], shown["region"], shown["wdinfo"]) == (deployment, "", "", None)
    assert (await alice.get(f"/deployment/{deployment}")).status_code == 404
    assert (await alice.get(f"/instances?details&user={instance}")).status_code == 200
    assert (await alice.get(f"/firewall/{instance}")).status_code == 200
    assert (await alice.post(f"/terminate/{instance}")).status_code == 200


async def test_ids_are_the_same_in_either_case(
    world: World, api: Api, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment, other = await world.deployment(kind, owners=["alice"]), await world.deployment(kind)
    instance = await made(alice, deployment.upper(), keepalive=True)
    assert (await alice.post("/new", json={"wds": [other.upper(), other, deployment.upper()]})).status_code == 200
    place = (await alice.post("/new", json={"wds": [other.upper()], "reserve": True})).json()["id"]
    async with user_client(api, signer.token("alice", **{"in": instance.upper()})) as limited:
        assert (await limited.get(f"/instance/{instance}")).status_code == 200
    for path, status in (
        (f"/deployment/{deployment.upper()}", 200),
        (f"/deployment/{deployment.upper()}/rules", 200),
        (f"/queuelen/{deployment.upper()}", 200),
        (f"/qlen?wds={deployment.upper()}", 200),
        (f"/instance/{instance.upper()}", 200),
        (f"/instance/{instance.upper()}/sshkey", 200),
        (f"/firewall/{instance.upper()}", 200),
        (f"/vpn/{instance.upper()}", 200),
        (f"/reservation/{place.upper()}", 200),
    ):
        assert (await alice.get(path)).status_code == status, path
    assert (await alice.post(f"/deployment/{deployment.upper()}/lockout")).status_code == 200
    assert (await alice.post(f"/instance/{instance.upper()}/ka")).status_code == 200
    assert (await alice.post(f"/terminate/{instance.upper()}")).status_code == 200
    assert (await alice.delete(f"/reservation/{place.upper()}")).status_code == 200


async def test_a_repository_has_room_in_the_type_or_is_400(world: World, alice: httpx.AsyncClient) -> None:
    volume = {"name": "data", "mountPath": "/root/arm", "emptyDir": {}}
    kind = await world.type(deployments=1, template={"image": "example.test/workspace:1", "volumes": [volume]})
    url = "https://example.test/lab/arm.git"
    for options in ({}, {"reserve": True}):
        answer = await alice.post(f"/new/{kind}", json={"repo": {"url": url}} | options)
        assert answer.status_code == 400
        assert "in the way of the type's volume at /root/arm: choose another `path`" in answer.json()["error"]
    instance = (await alice.post(f"/new/{kind}", json={"repo": {"url": url, "path": "work"}})).json()["id"]
    assert (await world.instance_resource(instance)).spec.repo == Repo(url=url, path="work")
    busy = await alice.post(f"/new/{kind}", json={"repo": {"url": url}, "reserve": True})
    assert (busy.status_code, "choose another `path`" in busy.json()["error"]) == (400, True)

    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["repo"] == {"url": url, "path": "/root/work", "cloned": False}
    assert shown["progress"]["repo"] is False
    await world.make_ready(instance)
    await world.as_operator(instance, conditions={"RepositoryReady": "True"})
    shown = (await alice.get(f"/instance/{instance}")).json()
    assert shown["repo"] == {"url": url, "path": "/root/work", "cloned": True, "message": ""}
