"""The NetworkPolicy of a type is applied once, follows the type, and goes some time after it."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from berth_core import names
from berth_core.firewall import Sources
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_operator.engine.clock import Clock
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.instances.firewall.policies import (
    GONE_SECONDS,
    TypePolicies,
    has_its_own,
    look_at_types,
    reconcile_policy,
    uphold,
)
from berth_operator.kinds import PODS, POLICIES, POLICY, TYPES
from berth_operator.registry import make_world

from ..samples import CONFIG, lease_parts, machine_parts, pod, type_

NAME = names.type_policy("bench")
KEY = Key(POLICY, "lab", "bench")


class Store:
    """The store as requests of :mod:`berth_operator.instances.firewall.policies` meet it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str], Object] = {}
        self.applied: list[Object] = []
        self.versions = 10

    async def get(self, kind: Kind, _namespace: str, name: str) -> Object:
        await asyncio.sleep(0)
        if (kind, name) not in self.objects:
            raise NotFoundError("not there")
        return self.objects[kind, name]

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        await asyncio.sleep(0)
        self.versions += 1
        metadata = manifest["metadata"] | {"uid": "u", "generation": 1, "resourceVersion": str(self.versions)}
        self.objects[kind, metadata["name"]] = made = manifest | {"metadata": metadata}
        self.applied.append(made)
        return made

    async def list(self, kind: Kind, _namespace: str, **_: Any) -> tuple[list[Object], str]:
        return [obj for (of, _), obj in self.objects.items() if of == kind], str(self.versions)

    async def delete(self, kind: Kind, _namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        metadata = self.objects[kind, name]["metadata"]
        assert (metadata["uid"], metadata["resourceVersion"]) == (uid, resource_version)
        del self.objects[kind, name]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def world(store: Store) -> World:
    made = make_world(CONFIG, cast(Client, store), Clock())
    knows(made)
    return made


def knows(world: World, version: int = 1, **spec: Any) -> None:
    """Have the cache know of the type."""
    world.cache[TYPES].put(type_(metadata={"resourceVersion": str(version)}, **spec).wire())


def forgets(world: World) -> None:
    world.cache[TYPES].retain("lab", set(), "100")


def test_a_lease_has_its_own_where_sources_are_exact_or_an_earlier_version_made_its_pod() -> None:
    assert not has_its_own(CONFIG, lease_parts(), None)
    assert not has_its_own(CONFIG, lease_parts(), pod(type="bench"))
    assert has_its_own(CONFIG, lease_parts(), pod(type=""))
    exact = type(CONFIG)(**{**vars(CONFIG), "sources": Sources.EXACT})
    assert has_its_own(exact, lease_parts(), pod(type="bench"))


def test_a_lease_of_a_machine_at_an_address_has_its_own_and_a_warm_pod_of_nobody_has_not() -> None:
    assert has_its_own(CONFIG, machine_parts(), pod(type="bench"))
    assert not has_its_own(CONFIG, replace(machine_parts(), instance=None, warm=True), None)


async def test_many_leases_of_a_type_apply_it_once(world: World, store: Store) -> None:
    digests = await asyncio.gather(*(uphold(world, type_()) for _ in range(5)))
    assert len(set(digests)) == len(store.applied) == 1


async def test_one_that_another_leader_has_applied_is_not_applied_again(world: World, store: Store) -> None:
    await uphold(world, type_())
    world.end_term()
    await uphold(world, type_())
    assert len(store.applied) == 1


async def test_it_follows_the_type_and_a_pass_that_has_seen_an_older_one_changes_nothing(
    world: World, store: Store
) -> None:
    await uphold(world, type_())
    knows(world, 2, network={"egress": "none"})
    await reconcile_policy(world, KEY)
    assert store.applied[-1]["spec"]["egress"] == []
    await uphold(world, type_())
    assert len(store.applied) == 2


async def missed_for_long(world: World) -> None:
    await reconcile_policy(world, KEY)
    world.state(TypePolicies).gone["lab", "bench"] -= GONE_SECONDS


async def test_it_goes_a_while_after_its_type_and_not_before_the_last_pod(world: World, store: Store) -> None:
    await uphold(world, type_())
    forgets(world)
    await missed_for_long(world)
    store.objects[PODS, "i-1"] = {"metadata": {"name": "i-1"}}
    await reconcile_policy(world, KEY)
    assert (POLICIES, NAME) in store.objects
    del store.objects[PODS, "i-1"]
    await reconcile_policy(world, KEY)
    assert (POLICIES, NAME) not in store.objects


async def test_it_stays_at_first_and_where_the_store_has_the_type(world: World, store: Store) -> None:
    await uphold(world, type_())
    forgets(world)
    assert 0 < (await reconcile_policy(world, KEY) or 0) <= GONE_SECONDS
    assert (POLICIES, NAME) in store.objects
    await missed_for_long(world)
    store.objects[TYPES, "bench"] = type_().wire()
    await reconcile_policy(world, KEY)
    assert (POLICIES, NAME) in store.objects


class Looks:
    """A sweep's list of NetworkPolicies after the type's was applied."""

    def __init__(self, world: World, store: Store) -> None:
        self.world, self.store, self.added = world, store, list[Key]()

    async def after(self, *, as_of: int = 100, **changes: Any) -> list[Key]:
        await uphold(self.world, type_())
        self.world.queue = cast(Any, self)
        shown = [{"metadata": one["metadata"] | changes} for one in self.store.applied if changes.get("name") != ""]
        look_at_types(self.world, "lab", shown, as_of)
        return self.added

    def add(self, key: Key) -> None:
        self.added.append(key)


@pytest.fixture
def looks(world: World, store: Store) -> Looks:
    return Looks(world, store)


async def test_one_that_stands_is_left_alone(looks: Looks) -> None:
    assert await looks.after() == []


@pytest.mark.parametrize("changes", [{"name": ""}, {"generation": 2, "resourceVersion": "99"}])
async def test_one_that_somebody_deleted_or_changed_is_applied_again(looks: Looks, changes: dict[str, Any]) -> None:
    assert await looks.after(**changes) == [KEY]
    assert looks.world.state(TypePolicies).applied == {}


async def test_a_list_from_before_it_was_applied_shows_nothing(looks: Looks) -> None:
    assert await looks.after(as_of=5, name="") == []


async def test_that_of_a_type_that_is_gone_is_looked_at(looks: Looks) -> None:
    await uphold(looks.world, type_())
    forgets(looks.world)
    assert await looks.after() == [KEY]
