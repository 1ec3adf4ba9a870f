"""Contract §5, POST /new: who gets what, and what stays when nobody does."""

import asyncio
import base64

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_public_key

from berth_core import names
from berth_core.kube.types import Kind
from berth_core.leases.availability import is_tombstone
from berth_core.resources import Instance, WorkspaceDeployment

from . import process
from .conftest import Setting, user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

SSHKEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice@laptop"
BUSY = "All matching workspace deployments are busy. Try again later."
SECRETS = Kind("v1", "secrets")


async def test_an_instance_is_made_with_claim_options_and_the_callers_address(
    world: World, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    body = {"sshkey": SSHKEY + "\n", "expire_d": 600, "unknown": "ignored"}
    answer = await alice.post(f"/new/{kind}", json=body, headers={"X-Forwarded-For": "10.1.1.1, 203.0.113.7"})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"success", "id"}
    made = await world.instance_resource(answer.json()["id"])
    assert made.spec.user == "alice"
    assert made.spec.ssh_keys == [SSHKEY]
    assert made.spec.expire_after == 600
    assert made.spec.requester_address == "203.0.113.7"
    assert made.spec.claim is not None
    assert made.spec.deployments == [made.spec.claim.deployment]
    wd = WorkspaceDeployment.parse(
        await world.client.get(WorkspaceDeployment.api(), world.namespaces.workspaces, made.spec.claim.deployment)
    )
    assert wd.status.lease is not None
    assert (wd.status.lease.instance, wd.status.lease.user) == (made.public_id, "alice")
    assert wd.status.epoch == made.spec.claim.epoch == 1


async def test_without_a_key_a_pair_is_made_that_public_clients_can_load(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    answer = (await alice.post(f"/new/{kind}")).json()
    assert answer["success"] is True
    pem = answer["sshkey"]
    assert pem.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert pem.endswith("-----END RSA PRIVATE KEY-----\n")
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    made = await world.instance_resource(answer["id"])
    public = load_ssh_public_key(made.spec.ssh_keys[0].encode())
    assert public == key.public_key()
    assert (await alice.get(f"/instance/{answer['id']}/sshkey")).json() == {"key": pem}
    assert (await bob.get(f"/instance/{answer['id']}/sshkey")).status_code == 404
    secret = await world.client.get(SECRETS, world.namespaces.access, names.instance_object(answer["id"]))
    assert secret["metadata"]["labels"][names.INSTANCE_LABEL] == answer["id"]
    assert base64.b64decode(secret["data"][names.PRIVATE_KEY]).decode() == pem


async def test_of_32_requests_at_once_over_two_processes_exactly_one_wins(
    api: Api, second: Api, world: World, signer: Signer
) -> None:
    deployment, before = await world.deployment(await world.type()), await world.with_a_key()
    clients = [user_client((api, second)[n % 2], signer.token(f"racer-{n}")) for n in range(32)]
    answers = await asyncio.gather(*(client.post(f"/new/{deployment}") for client in clients))
    await asyncio.gather(*(client.aclose() for client in clients))
    won = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    lost = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in lost} == {503}
    assert all(answer.json() == {"result_message": BUSY, "error_message": BUSY} for answer in lost)
    wd = await world.deployment_resource(deployment)
    assert wd.status.lease is not None
    assert wd.status.lease.instance == won[0]
    assert wd.status.epoch == 1
    objects, _ = await world.client.list(Instance.api(), world.namespaces.workspaces)
    racers = [i for i in map(Instance.parse, objects) if i.spec.user.startswith("racer-")]
    assert [i.public_id for i in racers] == won
    instances = {i.public_id for i in map(Instance.parse, objects)}
    assert await world.with_a_key() - before <= instances


async def test_as_many_requests_as_deployments_all_win(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=6)
    answers = await asyncio.gather(*(alice.post(f"/new/{kind}", json={"sshkey": SSHKEY}) for _ in range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    shown = (await alice.get(f"/instances/{kind}")).json()
    assert set(shown["workspace_instances"]) == {answer.json()["id"] for answer in answers}
    assert len(set(shown["workspace_deployments"])) == 6


async def test_busy_is_503_with_both_fields(world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=1)
    assert (await alice.post(f"/new/{kind}")).status_code == 200
    answer = await bob.post(f"/new/{kind}")
    assert answer.status_code == 503
    assert answer.json() == {"result_message": BUSY, "error_message": BUSY}


async def test_the_newest_version_goes_first_and_lists_choose_within_themselves(
    world: World, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    old = await world.deployment(kind, typeVersion=1)
    new = await world.deployment(kind, typeVersion=2)
    third = await world.deployment(kind, typeVersion=1)
    first = (await alice.post(f"/new/{kind}")).json()["id"]
    assert (await alice.get(f"/instance/{first}")).json()["deployment"] == new
    listed = (await alice.post("/new", json={"wds": [new, old, old]})).json()["id"]
    assert (await alice.get(f"/instance/{listed}")).json()["deployment"] == old
    assert (await alice.post("/new", json={"wds": [new, old]})).status_code == 503
    assert (await alice.post(f"/new/{third}")).status_code == 200


async def test_a_deployment_that_was_given_back_can_be_had_at_once(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type())
    await alice.post(f"/new/{deployment}")
    wd = await world.deployment_resource(deployment)
    # Given back in the operator's place; the caches of the API may not know yet.
    await world.client.patch(
        WorkspaceDeployment.api(),
        wd.metadata.namespace,
        wd.metadata.name,
        {"status": {"lease": None}},
        subresource="status",
    )
    assert (await bob.post(f"/new/{deployment}")).status_code == 200


@pytest.mark.parametrize(
    ("spec", "by_id", "by_type"),
    [({"lockout": True}, 400, 400), ({"dissolved": "2026-01-01T00:00:00Z"}, 400, 404)],
    ids=["locked out", "dissolved"],
)
async def test_what_cannot_be_had_says_so(
    world: World, alice: httpx.AsyncClient, spec: dict[str, object], by_id: int, by_type: int
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, **spec)
    assert (await alice.post(f"/new/{deployment}")).status_code == by_id
    answer = await alice.post(f"/new/{kind}")
    assert answer.status_code == by_type
    assert answer.json()["error"] == answer.json()["error_message"]


async def test_without_a_heartbeat_it_is_503_by_id_and_404_by_type(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, heartbeat="node")
    await world.silence(deployment, since="2026-01-01T00:00:00Z")
    answer = await alice.post(f"/new/{kind}", json={"reserve": True})
    assert (answer.status_code, answer.json()["error"]) == (404, "no matching wdeployment found")
    for path, body in ((f"/new/{deployment}", {}), ("/new", {"wds": [deployment]})):
        answer = await alice.post(path, json=body | {"reserve": True})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "offline (Silent since 2026-01-01T00:00:00Z)" in answer.json()["error"]
        assert "result_message" not in answer.json()


async def test_under_maintenance_owners_alone_get_one_and_others_are_told_why_and_may_wait(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type()
    repair = {"reason": "new gripper", "until": "2200-01-01T17:00:00Z"}
    deployment = await world.deployment(kind, owners=["alice"], maintenance=repair)
    for path, body in ((f"/new/{deployment}", {}), ("/new", {"wds": [deployment]}), (f"/new/{kind}", {})):
        answer = await bob.post(path, json=body)
        assert answer.status_code == 503
        assert "under maintenance until 2200-01-01T17:00:00Z: new gripper" in answer.json()["error"]
        assert int(answer.headers["Retry-After"]) > 0
    reserved = (await bob.post(f"/new/{kind}", json={"reserve": True})).json()
    assert reserved["success"] is False
    assert reserved["id"] in [one["id"] for one in (await bob.get("/reservations")).json()["reservations"]]
    shown = (await bob.get(f"/deployment/{deployment}")).json()
    assert (shown["maintenance"], shown["online"]) == (repair, True)
    listed = (await bob.get("/deployments", params={"info": "1", "types": kind})).json()["info"][deployment]
    assert listed["maintenance"] == repair
    mine = await alice.post(f"/new/{deployment}")
    assert mine.status_code == 200, "a waiter who is no owner does not block one"
    other = await world.deployment(kind, maintenance=repair)
    assert (await alice.post(f"/new/{other}")).status_code == 503
    assert (await root.post(f"/new/{other}")).status_code == 200


async def test_a_closed_type_admits_owners_and_superusers_only(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type(access="closed")
    deployment = await world.deployment(kind, owners=["alice"])
    other = await world.deployment(kind)
    refused = await bob.post(f"/new/{kind}")
    assert refused.status_code == 403
    assert "access rules" in refused.json()["error"]
    assert (await alice.post(f"/new/{other}")).status_code == 403
    made = (await alice.post(f"/new/{kind}")).json()["id"]
    assert (await alice.get(f"/instance/{made}")).json()["deployment"] == deployment
    assert (await root.post(f"/new/{other}")).status_code == 200


async def test_unknown_targets_are_404(world: World, alice: httpx.AsyncClient) -> None:
    known = await world.deployment(await world.type())
    nothing = "00000000-0000-4000-8000-000000000000"
    for path, body in (
        ("/new/no_such_type", {}),
        (f"/new/{nothing}", {}),
        ("/new", {"wds": [known, nothing]}),
        ("/new", {"wds": [known, ""]}),
        ("/new", {"wds": ["../../../instances"]}),
    ):
        answer = await alice.post(path, json=body)
        assert answer.status_code == 404, answer.text
        text = "no matching wdeployment found"
        assert answer.json() == {"error": text, "error_message": text}


async def test_lists_must_be_of_one_type(world: World, alice: httpx.AsyncClient) -> None:
    mixed = [await world.deployment(await world.type()) for _ in range(2)]
    assert (await alice.post("/new", json={"wds": mixed})).status_code == 400


async def test_allow_noop_answers_with_the_instance_that_is_there(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2)
    first = (await alice.post(f"/new/{kind}", json={"allow_noop": True})).json()["id"]
    again = (await alice.post(f"/new/{kind}", json={"allow_noop": True})).json()
    assert again == {"success": True, "id": first}
    await alice.post(f"/terminate/{first}")
    assert (await alice.post(f"/new/{kind}", json={"allow_noop": True})).json()["id"] != first


async def test_allow_noop_looks_at_what_was_asked_for(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    one, two = [await world.deployment(kind) for _ in range(2)]
    first = (await alice.post(f"/new/{one}")).json()["id"]
    assert (await alice.post("/new", json={"wds": [two, one], "allow_noop": True})).json()["id"] == first
    second = (await alice.post(f"/new/{two}", json={"allow_noop": True})).json()["id"]
    assert second != first
    other = await world.type(deployments=1)
    assert (await alice.post(f"/new/{other}", json={"allow_noop": True})).json()["id"] not in {first, second}


async def test_a_token_for_some_types_gets_nothing_of_others(world: World, api: Api, signer: Signer) -> None:
    kind, other = await world.type(), await world.type()
    mine, foreign = await world.deployment(kind), await world.deployment(other)
    async with user_client(api, signer.token("alice", wt=[kind])) as client:
        for path, body in ((f"/new/{other}", {}), (f"/new/{foreign}", {}), ("/new", {"wds": [foreign]})):
            answer = await client.post(path, json=body | {"reserve": True})
            assert answer.status_code == 400
            assert answer.json()["error"].startswith("token scope does not permit instantiation")
        assert (await client.post(f"/new/{mine}")).status_code == 200


async def test_a_token_for_one_length_of_time_gets_just_that(world: World, api: Api, signer: Signer) -> None:
    kind = await world.type(deployments=2)
    async with user_client(api, signer.token("alice", opt={"expire_d": 60})) as client:
        answer = await client.post(f"/new/{kind}", json={"expire_d": 61})
        assert answer.status_code == 400
        assert "`expire_d`" in answer.json()["error"]
        for body in ({}, {"expire_d": 60}):
            made = (await client.post(f"/new/{kind}", json=body)).json()["id"]
            assert (await world.instance_resource(made)).spec.expire_after == 60


async def test_limits_of_the_type_hold(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2, limits={"maxExpireAfter": 100, "maxPerUser": 1})
    assert (await alice.post(f"/new/{kind}", json={"expire_d": 101})).status_code == 400
    assert (await alice.post(f"/new/{kind}", json={"expire_d": 100})).status_code == 200
    assert (await alice.post(f"/new/{kind}", json={"expire_d": 100})).status_code == 403


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sshkey", 7),
        ("sshkey", "ssh-ed25519 AAAA"),
        ("vpn", "yes"),
        ("reserve", 1),
        ("eurl", ""),
        ("eurl", "ftp://example.test/"),
        ("expire_d", "60"),
        ("expire_d", True),
        ("expire_d", 0),
        ("expire_d", 1.5),
        ("keepalive", []),
        ("allow_noop", "true"),
        ("repo", "https://example.test/x.git"),
        ("repo", {"path": "x"}),
        ("repo", {"url": "git@example.test:x.git"}),
        ("repo", {"url": "https://ada:secret@example.test/x.git"}),
        ("repo", {"url": "https://example.test/x.git", "path": "/etc/berth"}),
        ("repo", {"url": "https://example.test/x.git", "path": "a/../../etc"}),
    ],
)
async def test_a_wrong_option_is_400_and_names_itself(
    world: World, alice: httpx.AsyncClient, option: str, value: object
) -> None:
    answer = await alice.post("/new/any_type", json={option: value})
    assert answer.status_code == 400
    assert f"`{option}`" in answer.json()["error"]


async def test_a_launch_that_fails_half_way_is_undone(setting: Setting, world: World, signer: Signer) -> None:
    deployment = await world.deployment(await world.type())
    # In the release's namespace the process may look after tokens, and has no right to store a key.
    grant(setting, "tokens-only", "accounts.berth.dev,tokenrevocations.berth.dev", "list,watch")
    settings = setting.environment(BERTH_ACCESS_NAMESPACE=setting.namespaces.release)
    with process.running(settings, setting.folder / "keyless.log") as keyless:
        async with user_client(keyless, signer.token("alice")) as alice:
            answer = await alice.post(f"/new/{deployment}")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    wd = await world.deployment_resource(deployment)
    assert (wd.status.epoch, wd.status.instances) == (1, 0)
    assert wd.status.lease is not None
    tombstone = await world.client.get(Instance.api(), world.namespaces.workspaces, wd.status.lease.instance)
    assert is_tombstone(Instance.parse(tombstone)), "the operator gives the lease back at once"


def grant(setting: Setting, name: str, resources: str, verbs: str) -> None:
    """Give the API's account some rights in the release's namespace."""
    namespace = setting.namespaces.release
    kubectl = setting.server.kubectl
    kubectl("create", "role", name, "-n", namespace, f"--resource={resources}", f"--verb={verbs}")
    kubectl("create", "rolebinding", name, "-n", namespace, f"--role={name}", f"--serviceaccount={namespace}:berth-api")
