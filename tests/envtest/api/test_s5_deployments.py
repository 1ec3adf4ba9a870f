"""Contract §5, GET /deployments: filters, order, pages."""

import httpx
import pytest

from .conftest import Setting
from .world import World, eventually

pytestmark = pytest.mark.apiserver

DISSOLVED = "2026-01-01T00:00:00Z"


async def ids(http: httpx.AsyncClient, path: str) -> list[str]:
    answer = await http.get(path)
    assert answer.status_code == 200
    listed: list[str] = answer.json()["workspace_deployments"]
    return listed


async def test_types_are_chosen_by_path_or_by_includes_and_excludes(world: World, http: httpx.AsyncClient) -> None:
    one, two = sorted([await world.type(), await world.type()])
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


async def test_odd_parameters_mean_what_they_can(world: World, http: httpx.AsyncClient) -> None:
    kind, other = await world.type(), await world.type()
    one, two = sorted([await world.deployment(kind, region="Zürich") for _ in range(2)])
    await world.deployment(other, region="lab")
    huge = "9" * 5000
    for query, expected in (
        # Of a parameter that stands several times the last counts.
        (f"types={other}&types={kind}", [one, two]),
        (f"types={kind},%21{kind}", []),
        (f"types={kind}&maxlen=0", [one, two]),
        (f"types={kind}&maxlen={huge}", [one, two]),
        (f"types={kind}&max_per_page=1&page={huge}", [two]),
        (f"types={kind}&max_per_page={huge}&page={huge}", [one, two]),
        (f"types={kind}&q=Z%C3%9CRICH", [one, two]),
        (f"types={kind}&q=%00", [one, two]),
        (f"types={kind}&q=%FF", []),
        (f"types={kind}&sort_by=&unknown=1", [one, two]),
    ):
        assert await ids(http, f"/deployments/{other}?{query}") == expected, query
    for flag, there in (("info", True), ("info=", True), ("info=F", False), ("info=FALSE", False), ("info=no", True)):
        answer = (await http.get(f"/deployments/{kind}?{flag}")).json()
        assert ("info" in answer) is there, flag


async def test_a_deployment_outlives_its_type(
    setting: Setting, world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(description="An arm", supportedAddons=["cam"])
    deployment = await world.deployment(kind)
    setting.server.kubectl("delete", "wt", kind.replace("_", "-"), "-n", world.namespaces.workspaces)

    async def is_bare() -> bool:
        info = (await http.get(f"/deployments/{kind}?info")).json()["info"][deployment]
        return bool((info["desc"], info["supported_addons"]) == ("", []))

    await eventually(is_bare)
    shown = (await alice.get(f"/deployment/{deployment}")).json()
    assert (shown["type"], shown["desc"], shown["supported_addons"]) == (kind, "", [])
    assert kind not in (await http.get("/workspaces?with_dissolved")).json()["workspace_types"]
    assert (await alice.get(f"/qlen/{kind}")).json() == {}
    for target in (kind, deployment):
        answer = await alice.post(f"/new/{target}")
        assert (answer.status_code, answer.json()["error"]) == (404, "no matching wdeployment found")
