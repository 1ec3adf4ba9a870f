"""Contract §5, "Access rules": who may have a deployment, and who decides that."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from berth_core import ids, names
from berth_core.resources import AccessRule, WorkspaceType
from berth_dev.envtest.testing import vanished

from .conftest import Setting, replica_with_an_old_cache, through_gateway, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

YES, NO = "CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"
UNKNOWN = "no workspace deployment found with given ID"
NOTHING = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture
async def there(second: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    """Alice, at the other replica."""
    async with user_client(second, signer.token("alice")) as client:
        yield client


async def add(client: httpx.AsyncClient, deployment: str, cap: str, user: str | None = None) -> int:
    """Make a rule; its number."""
    body = {"cap": cap} | ({"user": user} if user is not None else {})
    answer = await client.post(f"/deployment/{deployment}/rule", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"rule_id"}
    number: int = answer.json()["rule_id"]
    return number


async def shown(client: httpx.AsyncClient, deployment: str, query: str = "") -> list[dict[str, Any]]:
    """The rules of a deployment, as both lists show them."""
    answer = await client.get(f"/deployment/{deployment}/rules{query}")
    assert answer.status_code == 200, answer.text
    rules: list[dict[str, Any]] = answer.json()["rules"]
    everywhere = (await client.get(f"/rules{query}")).json()["rules"]
    assert [r for r in everywhere if r["wdeployment_id"] == deployment] == rules
    return rules


async def test_a_rule_is_shown_as_clients_know_it(world: World, alice: httpx.AsyncClient) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    first, second = await add(alice, deployment, NO), await add(alice, deployment, YES, "bob")
    rules = await shown(alice, deployment)
    assert [(r["id"], r["user"], r["capability"]) for r in rules] == [(first, "*", NO), (second, "bob", YES)]
    for rule in rules:
        assert rule.keys() == {"id", "date_created", "user", "wdeployment_id", "capability", "param"}
        assert (rule["wdeployment_id"], rule["param"]) == (deployment, None)
        assert rule["date_created"].endswith("Z")
        assert datetime.fromisoformat(rule["date_created"])
    assert [r["id"] for r in await shown(alice, deployment, "?to_user=bob")] == [second]
    assert [r["id"] for r in await shown(alice, deployment, "?to_user=%2A")] == [first]
    assert await shown(alice, deployment, "?to_user=carol") == []


async def test_a_rule_made_or_deleted_through_one_replica_is_so_in_both_lists_of_the_other_at_once(
    world: World, alice: httpx.AsyncClient, there: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    for here, elsewhere in ((alice, there), (there, alice)) * 5:
        number = await add(here, deployment, YES, "bob")
        assert [r["id"] for r in await shown(elsewhere, deployment)] == [number]
        assert (await here.delete(f"/deployment/{deployment}/rule/{number}")).status_code == 200
        assert await shown(elsewhere, deployment) == []


async def test_a_rule_made_through_one_replica_is_obeyed_by_the_other_at_once(
    world: World, alice: httpx.AsyncClient, second: Api, signer: Signer
) -> None:
    deployments = [await world.deployment(await world.type(), owners=["alice"]) for _ in range(6)]
    async with user_client(second, signer.token("bob")) as bob:
        for deployment in deployments:
            number = await add(alice, deployment, NO, "bob")
            refused = await bob.post(f"/new/{deployment}")
            assert refused.status_code == 403
            assert refused.json()["error"] == "the access rules do not permit this instantiation"
            await alice.delete(f"/deployment/{deployment}/rule/{number}")
            assert (await bob.post(f"/new/{deployment}")).status_code == 200


async def test_neither_a_grant_nor_a_refusal_nor_an_owners_list_rests_on_a_cache(
    setting: Setting, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    closing, opening, other = [await world.deployment(kind, owners=["alice"]) for _ in range(3)]
    number = await add(alice, opening, NO, "bob")
    async with replica_with_an_old_cache(setting, "accessrules") as replica:
        async with user_client(replica, signer.token("alice")) as alice_there:
            await add(alice, closing, NO, "bob")
            await alice.delete(f"/deployment/{opening}/rule/{number}")
            assert [r["capability"] for r in await shown(alice_there, closing)] == [NO]
            assert await shown(alice_there, opening) == []
        async with user_client(replica, signer.token("bob")) as bob_there:
            # Bob's public list shows that the cache is old.
            listed = (await bob_there.get("/rules?to_user=bob")).json()["rules"]
            assert [r["wdeployment_id"] for r in listed if r["wdeployment_id"] in (closing, opening)] == [opening]
            assert (await bob_there.post(f"/new/{closing}")).status_code == 403
            assert (await bob_there.post(f"/new/{opening}")).status_code == 200
            # Of the type, Bob may have only the deployment that is taken: the free one is refused, despite the cache.
            await add(alice, other, NO)
            assert (await bob_there.post(f"/new/{kind}")).status_code == 503


async def test_the_most_specific_rule_decides_who_gets_an_instance(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type(access="closed")
    deployments = [await world.deployment(kind, owners=["alice"]) for _ in range(4)]
    one, two, three, four = deployments
    assert (await bob.post(f"/new/{kind}")).status_code == 403
    await add(alice, one, YES, "bob")
    assert (await bob.post(f"/new/{kind}")).status_code == 200
    await add(alice, two, YES)
    await add(alice, two, NO, "bob")
    assert (await bob.post(f"/new/{two}")).status_code == 403
    await add(root, three, NO, "alice")
    assert (await alice.post(f"/new/{three}")).status_code == 403
    assert (await root.post(f"/new/{three}")).status_code == 200
    await add(alice, four, YES)
    await add(alice, four, NO)
    assert (await bob.post(f"/new/{four}")).status_code == 403
    assert (await alice.post(f"/new/{four}")).status_code == 200


async def test_a_list_serves_with_what_the_rules_permit(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    better = await world.deployment(kind, typeVersion=2, owners=["alice"])
    other = await world.deployment(kind, typeVersion=1)
    await add(alice, better, NO, "bob")
    made = (await bob.post("/new", json={"wds": [better, other]})).json()["id"]
    assert (await bob.get(f"/instance/{made}")).json()["deployment"] == other


async def test_any_token_reads_and_sees_what_concerns_it(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    numbers = [await add(alice, deployment, YES, user) for user in ("bob", "carol", "*")]
    assert [r["id"] for r in await shown(alice, deployment)] == numbers
    assert [r["id"] for r in await shown(root, deployment)] == numbers
    # Bob's list of everything is a public one: it may lag.
    await eventually(lambda: lists(bob, numbers[2]))
    assert [r["id"] for r in await shown(bob, deployment)] == [numbers[0], numbers[2]]
    assert await shown(bob, deployment, "?to_user=carol") == []
    for path in ("/rules", f"/deployment/{deployment}/rules"):
        refused = await http.get(path)
        assert (refused.status_code, refused.json()) == (400, {"error_message": "wrong authorization token"})


async def lists(client: httpx.AsyncClient, number: int) -> bool:
    """Whether the list of everything has a rule."""
    return number in [r["id"] for r in (await client.get("/rules")).json()["rules"]]


CHANGES = [
    ("POST", "rule", {"cap": YES}),
    ("DELETE", "rule/1", None),
    ("POST", "lockout", None),
    ("DELETE", "lockout", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=lambda value: str(value))
async def test_only_owners_and_superusers_change_rules_and_lockout(
    world: World, api: Api, signer: Signer, bob: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    url = f"/deployment/{deployment}/{path}"
    refused = await bob.request(method, url, json=body)
    assert refused.status_code == 403
    assert "only owners" in refused.json()["error_message"]
    for claims, text in (
        ({"sc": ["r"]}, "token scope does not permit change"),
        ({"in": NOTHING}, "token already constrained to another instance"),
    ):
        async with user_client(api, signer.token("alice", **claims)) as limited:
            answer = await limited.request(method, url, json=body)
        assert (answer.status_code, answer.json()) == (400, {"error_message": text})
    missing = await bob.request(method, f"/deployment/{NOTHING}/{path}", json=body)
    assert (missing.status_code, missing.json()) == (404, {"error_message": UNKNOWN})
    wd = await world.deployment_resource(deployment)
    assert not wd.spec.lockout
    assert await rules_of(world, deployment) == []


async def rules_of(world: World, deployment: str) -> list[AccessRule]:
    """The resources."""
    objects, _ = await world.client.list(AccessRule.api(), world.namespaces.workspaces)
    rules = map(AccessRule.parse, objects)
    return [r for r in rules if ids.deployment_id(r.metadata.namespace, r.spec.deployment) == deployment]


async def test_tokens_that_may_not_be_used_here_read_nothing(api: Api, signer: Signer) -> None:
    async with user_client(api, signer.token("alice", **{"in": NOTHING})) as limited:
        answer = await limited.get("/rules")
    assert (answer.status_code, answer.json()["error_message"]) == (
        400,
        "token already constrained to another instance",
    )


@pytest.mark.parametrize("rule", ["65535", "0", "2147483648", "9999999999"])
async def test_an_unknown_number_is_404(world: World, alice: httpx.AsyncClient, rule: str) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    answer = await alice.delete(f"/deployment/{deployment}/rule/{rule}")
    assert (answer.status_code, answer.json()) == (404, {"error_message": "rule not found"})


@pytest.mark.parametrize("rule", ["one", "-1", "1.0", "007", "10000000000", "1" * 5000, "%D9%A1"])
async def test_a_malformed_number_is_no_command(world: World, alice: httpx.AsyncClient, rule: str) -> None:
    answer = await alice.delete(f"/deployment/{NOTHING}/rule/{rule}")
    assert (answer.status_code, answer.json()) == (400, {"error_message": "unrecognized command"})


async def test_the_number_of_another_deployments_rule_is_unknown(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    mine, other = [await world.deployment(kind, owners=["alice"]) for _ in range(2)]
    number = await add(alice, mine, NO)
    assert (await alice.delete(f"/deployment/{other}/rule/{number}")).status_code == 404
    assert [r["id"] for r in await shown(alice, mine)] == [number]


@pytest.mark.parametrize(
    ("body", "option"),
    [({}, "cap"), ({"cap": 1}, "cap"), ({"cap": "CAP_EVERYTHING"}, "cap"), ({"cap": YES, "user": 1}, "user")],
)
async def test_a_wrong_option_is_400_and_names_itself(
    world: World, alice: httpx.AsyncClient, body: dict[str, object], option: str
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    answer = await alice.post(f"/deployment/{deployment}/rule", json=body)
    assert answer.status_code == 400
    assert answer.json()["error_message"].startswith(f"value for option `{option}`")


async def test_rules_made_at_once_through_two_replicas_have_different_small_numbers(
    world: World, alice: httpx.AsyncClient, there: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    numbers = await asyncio.gather(*(add((alice, there)[n % 2], deployment, YES, f"user-{n}") for n in range(24)))
    assert len(set(numbers)) == 24
    assert all(1 <= number <= 65535 for number in numbers)
    found = await rules_of(world, deployment)
    assert {r.spec.rule_id for r in found} == set(numbers)
    assert {r.metadata.name for r in found} == {f"rule-{number}" for number in numbers}


async def test_replicas_hear_of_a_deleted_rule_though_the_first_request_ended_before_it_could_say_so(
    setting: Setting, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, owners=["alice"])
    path = f"/deployment/{deployment}/rule/{await add(alice, deployment, YES, 'bob')}"
    before = await mark_of(world, kind)
    async with through_gateway(setting, signer) as (between, _, client):
        async with between.refusing(lambda method, at: method == "PATCH" and "/workspacetypes/" in at, 503):
            assert (await client.delete(path)).status_code == 503
        assert await mark_of(world, kind) == before
        assert (await client.delete(path)).status_code == 404
    assert await mark_of(world, kind) != before


async def mark_of(world: World, kind: str) -> str | None:
    """Mark that says that a rule or a reservation of a type was made or taken away."""
    where = {"spec.typeName": kind}
    (found,), _ = await world.client.list(WorkspaceType.api(), world.namespaces.workspaces, fields=where)
    return WorkspaceType.parse(found).status.admission_mark


async def test_a_rule_goes_with_its_deployment_and_is_marked_as_ours(world: World, alice: httpx.AsyncClient) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    await add(alice, deployment, NO)
    (rule,) = await rules_of(world, deployment)
    wd = await world.deployment_resource(deployment)
    (owner,) = rule.metadata.owner_references
    assert (owner.kind, owner.name, owner.uid) == ("WorkspaceDeployment", wd.metadata.name, wd.metadata.uid)
    assert not owner.block_owner_deletion
    assert rule.metadata.labels[names.MANAGED_BY_LABEL] == names.MANAGED_BY


async def test_rules_made_with_kubectl_count_and_can_be_deleted(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    wd = await world.deployment_resource(deployment)
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "AccessRule",
        "metadata": {"name": "not-bob"},
        "spec": {"deployment": wd.metadata.name, "user": "bob", "capability": NO, "ruleID": 70000},
    }
    await world.client.create(AccessRule.api(), world.namespaces.workspaces, body)
    assert (await bob.post(f"/new/{deployment}")).status_code == 403
    # A number that clients cannot hold does not make the next one so.
    assert await add(alice, deployment, YES, "carol") <= 65535
    assert (await alice.delete(f"/deployment/{deployment}/rule/70000")).status_code == 200
    assert (await bob.post(f"/new/{deployment}")).status_code == 200


async def test_rules_of_a_deployment_that_is_no_more_are_seen_by_superusers_only(
    world: World, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, owners=["alice"])
    number = await add(root, deployment, NO, "bob")

    async def sees(client: httpx.AsyncClient) -> bool:
        rules = (await client.get("/rules?to_user=bob")).json()["rules"]
        return (deployment, number) in [(r["wdeployment_id"], r["id"]) for r in rules]

    async def is_hidden() -> bool:
        return not await sees(bob)

    await eventually(lambda: sees(bob))
    # Nothing collects garbage here; where the cluster does, the rule goes a moment later.
    name = (await world.deployment_resource(deployment)).metadata.name
    await vanished(world.client, world.namespaces.workspaces, name)
    await eventually(is_hidden)
    assert await sees(root)
    assert (await root.get(f"/deployment/{deployment}/rules")).json() == {"error_message": UNKNOWN}
    await world.client.delete(AccessRule.api(), world.namespaces.workspaces, f"rule-{number}")
