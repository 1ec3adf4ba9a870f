"""Contract §5, GET /deployments: filters, order, pages."""

import httpx
import pytest

from .world import World, eventually

pytestmark = pytest.mark.apiserver

DISSOLVED = "2026-01-01T00:00:00Z"


async def ids(http: httpx.AsyncClient, path: str) -> list[str]:
    answer = await http.get(path)
    assert answer.status_code == 200
    listed: list[str] = answer.json()["workspace_deployments"]
    return listed


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
