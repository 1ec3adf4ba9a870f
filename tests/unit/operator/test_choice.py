from hypothesis import given
from hypothesis import strategies as st

from berth_core.model import timestamp
from berth_operator.decide.choice import Offer, Offers, Wish, applies, in_turn, obstacle

from .making import at


def wish(name: str, seconds: float = 0, type_: str = "bench", *deployments: str) -> Wish:
    return Wish(name, f"id-of-{name}", "ada", timestamp(at(seconds)), "" if deployments else type_, deployments)


def offer(name: str, version: int = 1, instances: int = 0, *, type_: str = "bench", free: bool = True) -> Offer:
    return Offer(name, type_, version, instances, free)


def order(offers: Offers, one: Wish) -> list[str]:
    """Names of what the wish would get, one after the other."""
    found = []
    while best := offers.best(one):
        found.append(best.name)
        offers.drop(best)
    return found


def test_newest_version_then_fewest_instances_then_name() -> None:
    machines = [
        offer("d", 1),
        offer("c", 2, 5),
        offer("b", 2, 1),
        offer("a", 2, 1),
        offer("busy", 9, free=False),
        offer("other", 9, type_="lathe"),
    ]
    assert order(Offers(machines), wish("me")) == ["a", "b", "c", "d"]
    assert order(Offers(machines), wish("me", 0, "", "d", "busy", "other", "absent")) == ["other", "d"]


def test_the_older_one_is_served_first_then_by_name() -> None:
    waiting = [wish("c", 1), wish("b", 0), wish("a", 1)]
    assert [one.name for one in in_turn(waiting)] == ["b", "a", "c"]


def test_what_is_in_the_way_is_said() -> None:
    me, older = wish("me"), wish("older", -1)
    assert "no WorkspaceDeployment of type bench" in obstacle(me, [me], [])
    assert "named x, y" in obstacle(wish("me", 0, "", "x", "y"), [], [offer("a")])
    busy = [offer(f"m{number:02}", free=False) for number in range(10)]
    told = obstacle(me, [me, older], busy)
    assert told == "none is free of m00, m01, m02, m03, m04, m05, m06, m07 and 2 more; 1 older Instances wait too"


def test_resources_are_read_as_the_api_server_gives_them() -> None:
    instance = {
        "metadata": {"name": "mine", "uid": "u-1", "creationTimestamp": "2026-11-25T12:00:00Z"},
        "spec": {"user": "ada", "deployments": ["a"]},
    }
    assert Wish.of(instance) == Wish("mine", "u-1", "ada", "2026-11-25T12:00:00Z", "", ("a",))
    machine = {"metadata": {"name": "a"}, "spec": {"type": "bench", "typeVersion": 3}}
    assert Offer.of(machine) == Offer("a", "bench", 3, 0, free=False)
    status = {"instances": 2, "conditions": [{"type": "Available", "status": "True"}]}
    assert Offer.of({**machine, "status": status}) == Offer("a", "bench", 3, 2, free=True)


@given(
    ages=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    wishes=st.data(),
    machines=st.integers(1, 4),
)
def test_nobody_goes_without_while_a_younger_one_gets_what_he_wished_for(
    ages: list[int], wishes: st.DataObject, machines: int
) -> None:
    names = [f"m{number}" for number in range(machines)]
    some = st.lists(st.sampled_from(names), min_size=1, unique=True)
    everyone = [wish(f"i{number}", age, "bench", *wishes.draw(some)) for number, age in enumerate(ages)]
    machinery = [offer(name) for name in names]
    offers, got = Offers(machinery), dict[str, Offer]()
    for one in in_turn(everyone):
        if best := offers.best(one):
            offers.drop(best)
            got[one.name] = best
    assert len({best.name for best in got.values()}) == len(got), "none is given twice"
    for one in everyone:
        assert one.name not in got or applies(one, got[one.name])
        if one.name not in got:
            envied = [other for other in everyone if other.name in got and applies(one, got[other.name])]
            assert all(other.turn < one.turn for other in envied)
