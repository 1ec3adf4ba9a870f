"""What can be had: lists with filters, order and pages; single deployments; queue lengths."""

from typing import Any

import httpx
import pytest

from berth_core.resources import Reservation, WorkspaceDeployment, WorkspaceType

from .world import World, eventually

pytestmark = pytest.mark.apiserver

DISSOLVED = "2026-01-01T00:00:00Z"


async def ids(http: httpx.AsyncClient, path: str) -> list[str]:
    answer = await http.get(path)
    assert answer.status_code == 200
    listed: list[str] = answer.json()["workspace_deployments"]
    return listed


async def reserve(world: World, user: str, **spec: Any) -> None:
    """Put somebody in the queue, in the place of a later release's `reserve`."""
    target = {name: value for name, value in spec.items() if name in {"workspaceType", "deployments"}}
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Reservation",
        "metadata": {"generateName": "rsv-", "namespace": world.namespaces.workspaces},
        "spec": {"user": user, "instance": {"user": user} | target} | spec,
    }
    await world.client.create(Reservation.api(), world.namespaces.workspaces, body)


async def test_workspaces_lists_types_whether_or_not_there_are_deployments(
    world: World, http: httpx.AsyncClient
) -> None:
    empty, lent = await world.type(), await world.type(deployments=1)
    retired = await world.type(retired=True)
    listed = (await http.get("/workspaces")).json()["workspace_types"]
    assert listed == sorted(listed)
    assert {empty, lent} <= set(listed)
    assert retired not in listed
    for flag in ("with_dissolved", "with_dissolved=1", "with_dissolved=yes"):
        assert retired in (await http.get(f"/workspaces?{flag}")).json()["workspace_types"]
    for flag in ("with_dissolved=0", "with_dissolved=f", "with_dissolved=False"):
        assert retired not in (await http.get(f"/workspaces?{flag}")).json()["workspace_types"]


async def test_a_type_that_is_gone_is_known_by_its_dissolved_deployments_only(
    world: World, http: httpx.AsyncClient
) -> None:
    kind = await world.type()
    await world.deployment(kind, dissolved=DISSOLVED)
    await world.client.delete(WorkspaceType.api(), world.namespaces.workspaces, kind.replace("_", "-"))

    async def forgotten() -> bool:
        return kind not in (await http.get("/workspaces")).json()["workspace_types"]

    await eventually(forgotten)
    assert kind in (await http.get("/workspaces?with_dissolved")).json()["workspace_types"]


async def test_types_are_chosen_by_path_or_by_includes_and_excludes(world: World, http: httpx.AsyncClient) -> None:
    one, two = await world.type(), await world.type()
    first, second = await world.deployment(one), await world.deployment(two)
    assert await ids(http, f"/deployments/{one}") == [first]
    assert await ids(http, f"/deployments?types={one},{two}") == [first, second]
    assert await ids(http, f"/deployments/{one}?types={two}") == [second]
    for exclude in ("!", "%21", "%2521"):
        rest = await ids(http, f"/deployments?types={exclude}{one}")
        assert first not in rest
        assert second in rest
        assert await ids(http, f"/deployments?types={one},{two},{exclude}{two}") == [first]
    assert {first, second} <= set(await ids(http, "/deployments?types="))
    assert await ids(http, "/deployments/no_such_type") == []


async def test_q_is_found_in_type_region_and_description_in_any_case(world: World, http: httpx.AsyncClient) -> None:
    kind = await world.type(description="Types speak for deployments that say nothing")
    plain = await world.deployment(kind, region="Zürich")
    told = await world.deployment(kind, description="50%_off, on a ROOF")
    for text, found in (
        ("zÜrich", [plain]),
        ("roof", [told]),
        ("%25_", [told]),
        ("%25", [told]),
        ("SPEAK", [plain]),
        (kind.upper(), sorted([plain, told])),
        ("nowhere", []),
    ):
        assert sorted(await ids(http, f"/deployments/{kind}?q={text}")) == found, text


async def test_dissolved_ones_are_listed_on_demand(world: World, http: httpx.AsyncClient) -> None:
    kind = await world.type()
    gone = await world.deployment(kind, dissolved=DISSOLVED)
    there = await world.deployment(kind)
    assert await ids(http, f"/deployments/{kind}") == [there]
    assert set(await ids(http, f"/deployments/{kind}?with_dissolved")) == {gone, there}
    assert (await http.get(f"/deployment/{gone}")).json()["dissolved"] == DISSOLVED


async def test_ties_go_to_those_that_can_be_had(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    made = sorted([await world.deployment(kind) for _ in range(4)])
    await alice.post(f"/new/{made[0]}")

    async def last() -> bool:
        return await ids(http, f"/deployments/{kind}") == [*made[1:], made[0]]

    await eventually(last)
    assert await ids(http, f"/deployments/{kind}?maxlen=0") == made[1:]
    for odd in ("u", "-1", "x", "", "1e3"):
        assert len(await ids(http, f"/deployments/{kind}?maxlen={odd}")) == 4
    for order in ("dec_wtype", "inc_count", "dec_count", "nonsense"):
        assert await ids(http, f"/deployments/{kind}?sort_by={order}") == [*made[1:], made[0]]


async def test_types_are_sorted_both_ways(world: World, http: httpx.AsyncClient) -> None:
    one, two = sorted([await world.type(), await world.type()])
    first, second = await world.deployment(one), await world.deployment(two)
    for order, expected in (("", [first, second]), ("inc_wtype", [first, second]), ("dec_wtype", [second, first])):
        assert await ids(http, f"/deployments?types={two},{one}&sort_by={order}") == expected


async def test_pages(world: World, http: httpx.AsyncClient) -> None:
    kind = await world.type()
    made = sorted([await world.deployment(kind) for _ in range(5)])
    for query, items, count in (
        ("", made, 1),
        ("max_per_page=0", made, 1),
        ("max_per_page=2", made[:2], 3),
        ("max_per_page=2&page=2", made[2:4], 3),
        ("max_per_page=2&page=3", made[4:], 3),
        ("max_per_page=2&page=99", made[4:], 3),
        ("max_per_page=2&page=0", made[:2], 3),
        ("max_per_page=x&page=y", made, 1),
        ("max_per_page=-1", made, 1),
        ("max_per_page=5", made, 1),
    ):
        answer = (await http.get(f"/deployments/{kind}?{query}")).json()
        assert answer == {"workspace_deployments": items, "page_count": count}, query


async def test_info_is_of_the_page(world: World, http: httpx.AsyncClient) -> None:
    kind = await world.type(supportedAddons=["cam"], description="An arm")
    made = sorted([await world.deployment(kind, region="lab", typeVersion=3) for _ in range(3)])
    answer = (await http.get(f"/deployments/{kind}?info&max_per_page=2")).json()
    assert list(answer["info"]) == made[:2]
    info = answer["info"][made[0]]
    assert info.pop("created").endswith("Z")
    assert info == {
        "type": kind,
        "type_version": 3,
        "supported_addons": ["cam"],
        "desc": "An arm",
        "region": "lab",
        "icounter": 0,
        "queuelen": 0,
        "online": True,
    }
    assert "info" not in (await http.get(f"/deployments/{kind}?info=0")).json()


async def test_a_deployment_shows_what_applies(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, description="Left arm", heartbeat="node")
    fields = {"id", "type", "type_version", "supported_addons", "desc", "region"}
    fields |= {"icounter", "created", "queuelen", "online"}
    shown = (await http.get(f"/deployment/{deployment}")).json()
    assert shown.keys() == fields
    instance = (await alice.post(f"/new/{deployment}")).json()["id"]
    assert (await alice.get(f"/deployment/{deployment}")).json()["instance"] == instance
    assert "instance" not in (await bob.get(f"/deployment/{deployment}")).json()
    wd = await world.deployment_resource(deployment)
    offline = {"type": "Online", "status": "False", "reason": "Silent", "message": "", "lastTransitionTime": DISSOLVED}
    # Written in the operator's place.
    await world.client.patch(
        WorkspaceDeployment.api(),
        wd.metadata.namespace,
        wd.metadata.name,
        {"status": {"conditions": [offline]}},
        subresource="status",
    )
    await world.client.patch(
        WorkspaceDeployment.api(), wd.metadata.namespace, wd.metadata.name, {"spec": {"lockout": True}}
    )
    shown = (await root.get(f"/deployment/{deployment}")).json()
    assert (shown["online"], shown["lockout"], shown["heartbeat"], shown["queuelen"]) == (False, True, DISSOLVED, 1)
    assert "heartbeat" not in (await alice.get(f"/deployment/{deployment}")).json()
    await alice.post(f"/terminate/{instance}")
    assert "instance" not in (await alice.get(f"/deployment/{deployment}")).json()


async def test_the_queue_counts_reservations_that_apply(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    one, two = await world.deployment(kind), await world.deployment(kind)
    name = (await world.deployment_resource(one)).metadata.name

    async def lengths() -> list[int]:
        return [(await http.get(f"/queuelen/{wd}")).json()["len"] for wd in (one, two)]

    async def has(expected: list[int]) -> None:
        async def holds() -> bool:
            return await lengths() == expected

        await eventually(holds)

    await has([0, 0])
    await alice.post(f"/new/{one}")
    assert await lengths() == [1, 0]
    await reserve(world, "bob", workspaceType=kind)
    await has([2, 2])
    await reserve(world, "carol", deployments=[name])
    await has([3, 2])
    assert (await http.get(f"/queuelen/{one}")).json() == {"id": one, "len": 3}
    assert (await http.get(f"/deployment/{one}")).json()["queuelen"] == 3
    assert await ids(http, f"/deployments/{kind}?maxlen=2") == [two]
    # A queue keeps the next one who comes waiting, though nobody has it.
    assert (await http.get(f"/deployment/{two}")).json()["queuelen"] == 2


async def test_unknown_deployments_are_404(http: httpx.AsyncClient) -> None:
    for path in ("/deployment", "/queuelen"):
        answer = await http.get(f"{path}/00000000-0000-4000-8000-000000000000")
        assert answer.status_code == 404
        assert answer.json() == {"error_message": "no workspace deployment found with given ID"}
