from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from berth_core.model import timestamp
from berth_core.resources import Instance
from berth_operator.decide.choice import may_take, obstacle

from .making import NOW, at, deployment, instance


def named(name: str, seconds: float = 0, **spec: Any) -> Instance:
    return instance(name=name, metadata={"creationTimestamp": timestamp(at(seconds))}, **spec)


HELD = {"lease": {"instance": "x", "user": "eve", "claimedAt": timestamp(NOW)}, "epoch": 1}


def test_newest_version_then_fewest_instances_then_name() -> None:
    machines = [
        deployment("d", typeVersion=1),
        deployment("c", typeVersion=2, status={"instances": 5}),
        deployment("b", typeVersion=2, status={"instances": 1}),
        deployment("a", typeVersion=2, status={"instances": 1}),
        deployment("busy", typeVersion=9, status=HELD),
        deployment("locked", typeVersion=9, lockout=True),
        deployment("other", type="lathe", typeVersion=9),
    ]
    assert [wd.metadata.name for wd in may_take(named("me"), [], machines, NOW)] == ["a", "b", "c", "d"]


def test_an_older_one_that_waits_goes_first_where_it_applies() -> None:
    machines = [deployment("a"), deployment("b")]
    older = named("older", -1, deployments=["a"])
    younger = named("younger", 1)
    assert [wd.metadata.name for wd in may_take(named("me"), [older, younger], machines, NOW)] == ["b"]


def test_what_is_in_the_way_is_said() -> None:
    assert "no WorkspaceDeployment of type bench" in obstacle(named("me"), [], [])
    assert "named x, y" in obstacle(named("me", deployments=["x", "y"]), [], [deployment("a")])
    assert obstacle(named("me"), [named("older", -1)], [deployment("a", status=HELD)]).endswith(
        "1 older Instances wait too"
    )


@given(
    ages=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    wishes=st.data(),
    machines=st.integers(1, 4),
)
def test_two_that_wait_never_may_take_the_same_deployment(
    ages: list[int], wishes: st.DataObject, machines: int
) -> None:
    names = [f"m{number}" for number in range(machines)]
    everyone = [
        named(f"i{number}", age, deployments=wishes.draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))
        for number, age in enumerate(ages)
    ]
    deployments = [deployment(name) for name in names]
    taken: set[str] = set()
    for one in everyone:
        others = [other for other in everyone if other is not one]
        mine = {wd.metadata.name for wd in may_take(one, others, deployments, NOW)}
        assert not mine & taken
        taken |= mine
    assert taken, "somebody may take something"
