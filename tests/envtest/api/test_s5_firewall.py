"""Contract §5, /firewall: as its owner edits it. Bound is written here in the operator's place."""

import asyncio

import httpx
import pytest

from berth_core.kube.connection import connected
from berth_core.resources import FirewallRule

from .conftest import Setting
from .world import World

pytestmark = pytest.mark.apiserver

INACTIVE = {"error_message": "instance not active"}
BUSY = "This instance is busy. Try again later."


async def bound(world: World, alice: httpx.AsyncClient) -> str:
    instance: str = (await alice.post(f"/new/{await world.type(deployments=1)}")).json()["id"]
    await world.bind(instance)
    return instance


async def rules(client: httpx.AsyncClient, instance: str) -> list[list[str]]:
    listed: list[list[str]] = (await client.get(f"/firewall/{instance}")).json()["rules"]
    return listed


async def test_there_is_no_chain_before_the_instance_is_bound(world: World, alice: httpx.AsyncClient) -> None:
    instance = (await alice.post(f"/new/{await world.type(deployments=1)}")).json()["id"]
    assert (await alice.get(f"/firewall/{instance}")).json() == {"rules": None}
    for method in ("POST", "DELETE"):
        answer = await alice.request(method, f"/firewall/{instance}")
        assert answer.status_code == 503
        assert answer.json() == {"result_message": BUSY, "error_message": BUSY}


async def test_rules_are_appended_in_order_and_cleared(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    assert await rules(alice, instance) == []
    for body in (
        {"src": "203.0.113.7"},
        {"src": "198.51.100.9/24", "action": "DROP"},
        {"src": "0.0.0.0/0", "action": "REJECT"},
        {"src": "2001:db8::/32"},
    ):
        answer = await alice.post(f"/firewall/{instance}", json=body)
        assert (answer.status_code, answer.content) == (200, b"")
    await alice.post(f"/firewall/{instance}", headers={"X-Forwarded-For": "203.0.113.99"})
    expected = [
        ["203.0.113.7/32", "ACCEPT"],
        ["198.51.100.0/24", "DROP"],
        ["0.0.0.0/0", "REJECT"],
        ["2001:db8::/32", "ACCEPT"],
        ["203.0.113.99/32", "ACCEPT"],
    ]
    assert await rules(alice, instance) == expected
    assert (await alice.delete(f"/firewall/{instance}")).status_code == 200
    assert await rules(alice, instance) == []


async def test_sources_of_both_families_are_shown_as_networks(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    for src in ("2001:db8::7/64", "::ffff:203.0.113.7", "203.0.113.7/0"):
        assert (await alice.post(f"/firewall/{instance}", json={"src": src})).status_code == 200
    # Without a source it is the caller's address alone, of whatever family.
    for hops in ("2001:db8::9", "198.51.100.1, 203.0.113.9"):
        await alice.post(f"/firewall/{instance}", content=b"", headers={"X-Forwarded-For": hops})
    networks = ["2001:db8::/64", "203.0.113.7/32", "0.0.0.0/0", "2001:db8::9/128", "203.0.113.9/32"]
    assert await rules(alice, instance) == [[network, "ACCEPT"] for network in networks]


async def test_rules_of_ones_own_hand_are_seen_and_cleared_too(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "FirewallRule",
        "metadata": {"name": f"by-hand-{instance}", "namespace": world.namespaces.workspaces},
        "spec": {"instance": instance, "order": 7, "source": "203.0.113.0/24", "action": "DROP"},
    }
    await world.client.create(FirewallRule.api(), world.namespaces.workspaces, body)
    await alice.post(f"/firewall/{instance}", json={"src": "203.0.113.7"})
    assert await rules(alice, instance) == [["203.0.113.0/24", "DROP"], ["203.0.113.7/32", "ACCEPT"]]
    assert (await alice.delete(f"/firewall/{instance}")).status_code == 200
    assert await rules(alice, instance) == []


async def test_rules_added_at_once_are_all_there(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    sources = [f"203.0.113.{n}" for n in range(16)]
    answers = await asyncio.gather(*(alice.post(f"/firewall/{instance}", json={"src": s}) for s in sources))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(await rules(alice, instance)) == sorted([f"{s}/32", "ACCEPT"] for s in sources)


async def test_clearing_removes_what_lets_in_before_what_keeps_out(
    setting: Setting, world: World, alice: httpx.AsyncClient
) -> None:
    instance = await bound(world, alice)
    for n in range(6):
        await alice.post(
            f"/firewall/{instance}", json={"src": f"203.0.113.{n}", "action": ("DROP", "ACCEPT", "REJECT")[n % 3]}
        )
    async with connected("watch", str(setting.server.kubeconfig)) as client:
        namespace = setting.namespaces.workspaces
        fields = {"spec.instance": instance}
        _, version = await client.list(FirewallRule.api(), namespace, fields=fields)
        clearing = asyncio.create_task(alice.delete(f"/firewall/{instance}"))
        gone: list[str] = []
        async for event in client.watch(FirewallRule.api(), namespace, version, fields=fields):
            if event.type == "DELETED":
                gone.append(event.object["spec"]["action"])
            if len(gone) == 6:
                break
        assert (await clearing).status_code == 200
    assert gone[:2] == ["ACCEPT", "ACCEPT"]
    assert "ACCEPT" not in gone[2:]


async def test_rules_made_with_kubectl_are_seen_and_cleared(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "FirewallRule",
        "metadata": {"name": f"{instance}-1", "namespace": world.namespaces.workspaces},
        "spec": {"instance": instance, "order": 0, "source": "192.0.2.0/24", "action": "DROP"},
    }
    await world.client.create(FirewallRule.api(), world.namespaces.workspaces, body)
    assert (await alice.post(f"/firewall/{instance}", json={"src": "192.0.2.1"})).status_code == 200
    assert await rules(alice, instance) == [["192.0.2.0/24", "DROP"], ["192.0.2.1/32", "ACCEPT"]]
    await alice.delete(f"/firewall/{instance}")
    assert await rules(alice, instance) == []


async def test_rules_go_with_their_instance(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    await alice.post(f"/firewall/{instance}")
    objects, _ = await world.client.list(
        FirewallRule.api(), world.namespaces.workspaces, fields={"spec.instance": instance}
    )
    owner = FirewallRule.parse(objects[0]).metadata.owner_references[0]
    assert (owner.kind, owner.uid) == ("Instance", (await world.instance_resource(instance)).metadata.uid)


@pytest.mark.parametrize("src", ["", "x", "203.0.113.256", "203.0.113.0/33", "fe80::1%eth0", 7, [], {}, True])
async def test_a_wrong_source_is_400(world: World, alice: httpx.AsyncClient, src: object) -> None:
    answer = await alice.post("/firewall/00000000-0000-4000-8000-000000000000", json={"src": src})
    assert answer.status_code == 400
    text = "value for option `src` must be an IPv4 address or subnet in CIDR notation"
    assert answer.json() == {"error_message": text}


@pytest.mark.parametrize("action", ["", "accept", "LOG", 1, []])
async def test_a_wrong_action_is_400(alice: httpx.AsyncClient, action: object) -> None:
    answer = await alice.post("/firewall/00000000-0000-4000-8000-000000000000", json={"action": action})
    assert answer.status_code == 400
    assert answer.json() == {"error_message": "value for option `action` not recognized"}


async def test_an_ended_instance_has_no_firewall(world: World, alice: httpx.AsyncClient) -> None:
    instance = await bound(world, alice)
    await alice.post(f"/terminate/{instance}")
    for method in ("GET", "POST", "DELETE"):
        answer = await alice.request(method, f"/firewall/{instance}")
        assert answer.status_code == 400
        assert answer.json() == INACTIVE
