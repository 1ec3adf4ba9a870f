"""The rules of an instance are taken from the list of all rules, unless news came since."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from berth_core.kube.client import Client
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.resources import FirewallRule
from berth_operator.engine.clock import Clock
from berth_operator.engine.controllers import wake
from berth_operator.engine.world import World
from berth_operator.instances.firewall.rules import RulesListed, read_rules, refuses_us
from berth_operator.instances.memory import Memories, Memory
from berth_operator.kinds import INSTANCES, RULES
from berth_operator.registry import make_world

from ..samples import CONFIG, ID, bound, pod, rule

LISTED = 10
"""Version of the list of all rules."""


class AskedError(Exception):
    """The API server was asked."""


async def _ask(*_: object, fields: Mapping[str, str], not_older_than: int | None) -> tuple[list[Object], str]:
    raise AskedError(fields["spec.instance"], not_older_than)


@pytest.fixture
def world() -> World:
    """A world that knows one instance, and may not read."""
    made = make_world(CONFIG, cast(Client, SimpleNamespace(list=_ask)), Clock())
    made.queue = cast(Any, SimpleNamespace(add=lambda _key: None))
    made.cache[INSTANCES].put(bound().wire())
    made.cache[RULES].put(wire("second", 9, order=1))
    made.cache[RULES].put(wire("first", 4))
    return made


def wire(name: str, version: int, order: int = 0) -> Object:
    return rule(name, "192.0.2.7/32", order=order, resourceVersion=str(version), uid=f"uid-of-{name}").wire()


async def read(world: World) -> list[str]:
    return [found.metadata.name for found in await read_rules(world, bound(), world.state(Memories).of("lab", ID))]


async def test_they_are_as_the_list_showed_them(world: World) -> None:
    world.state(RulesListed)["lab"] = LISTED
    assert await read(world) == ["first", "second"]


async def test_without_a_list_of_all_they_are_read(world: World) -> None:
    with pytest.raises(AskedError) as asked:
        await read(world)
    assert asked.value.args == (ID, None), "nobody knows what was deleted before: only a consistent list shows it"


async def test_one_that_is_younger_than_the_list_makes_them_be_read(world: World) -> None:
    world.state(RulesListed)["lab"] = LISTED
    world.cache[RULES].put(wire("third", 11))
    with pytest.raises(AskedError) as asked:
        await read(world)
    assert asked.value.args == (ID, 11), "the list has the rules of all events"


@pytest.mark.parametrize("known", [False, True])
async def test_one_that_was_deleted_since_makes_them_be_read(world: World, *, known: bool) -> None:
    world.state(RulesListed)["lab"] = LISTED
    if known:
        assert await read(world) == ["first", "second"]
    gone = wire("first", 12)
    world.cache[RULES].remove(gone)
    wake(world, RULES, gone, gone=True)
    with pytest.raises(AskedError) as asked:
        await read(world)
    assert asked.value.args == (ID, 12), "the deletion is older than the list"


async def test_the_rules_of_what_has_ended_leave_no_trace(world: World) -> None:
    ended = bound(status={"endTime": "2026-11-25T12:00:00Z"}, metadata={"resourceVersion": "13"})
    world.cache[INSTANCES].put(ended.wire())
    wake(world, RULES, wire("first", 14), gone=True)
    assert world.state(Memories).known("lab", ID) is None


async def test_one_that_came_and_went_while_no_watch_told_is_found_by_the_next_list_of_all(world: World) -> None:
    async def show(*_: object, **__: object) -> tuple[list[Object], str]:
        return [wire("first", 4), wire("ghost", 11)], "11"

    world.client = cast(Client, SimpleNamespace(list=show))
    assert await read(world) == ["first", "ghost"]
    vanished = world.cache[RULES].retain("lab", {("lab", "first")}, "13")
    for gone in vanished:
        wake(world, RULES, gone, gone=True)
    memory = world.state(Memories).of("lab", ID)
    assert {gone["metadata"]["name"] for gone in vanished} == {"ghost", "second"}
    assert memory.rules is None, "they are read again"


@pytest.mark.parametrize(
    ("rules", "refuses"),
    [
        ([], False),
        ([rule("a", "127.0.0.0/8", "REJECT")], True),
        ([rule("a", "127.0.0.0/8", "DROP")], False),
        ([rule("a", "192.0.2.7/32", "REJECT")], False),
        ([rule("a", "0.0.0.0/0", "REJECT", order=1), rule("b", "127.0.0.1/32", "ACCEPT")], False),
    ],
)
def test_a_refusal_counts_unless_a_rule_refuses_the_operator(rules: list[FirewallRule], refuses: bool) -> None:
    assert refuses_us(Memory(rules=rules), pod(ip="127.0.0.1")) is refuses


async def test_a_rule_that_lets_in_and_cannot_be_read_lets_nobody_in(world: World) -> None:
    world.state(RulesListed)["lab"] = LISTED
    odd = wire("odd", 9, order=0)
    odd["spec"]["order"] = -1
    world.cache[RULES].put(odd)
    assert await read(world) == ["first", "second"]


async def test_with_another_that_cannot_be_read_the_firewall_stays_as_it_is(world: World) -> None:
    world.state(RulesListed)["lab"] = LISTED
    odd = wire("odd", 9, order=0)
    odd["spec"]["action"] = "LOG"
    world.cache[RULES].put(odd)
    with pytest.raises(UnreadableError):
        await read(world)
