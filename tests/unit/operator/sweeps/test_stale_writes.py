"""A NetworkPolicy that another has changed or deleted is applied anew by the pass over its instance."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_core.resources.instance import InForce
from berth_operator.engine.clock import Clock
from berth_operator.engine.workqueue import Key
from berth_operator.instances.memory import Memories, Memory
from berth_operator.kinds import INSTANCE, INSTANCES, LATE, POLICIES
from berth_operator.registry import make_world
from berth_operator.sweeps.stale_writes import sweep_late

from ..samples import CONFIG, ID, bound

OWN = {names.INSTANCE_LABEL: ID}
WARM = {names.WARM_LABEL: "true", **names.epoch_labels(3, "one")}
APPLIED = 3
"""Generation of the NetworkPolicy when it was applied."""


class Swept:
    """One sweep over a namespace with one NetworkPolicy, of the instance that runs."""

    def __init__(self, labels: dict[str, str], generation: int) -> None:
        self.added: list[Key] = []
        metadata: Object = {"name": "door", "namespace": "lab", "uid": "p", "resourceVersion": "1", "labels": labels}
        policy: Object = {"metadata": metadata | {"generation": generation}}

        async def pages(kind: Kind, *_: object, **__: object) -> AsyncIterator[tuple[list[Object], str]]:
            yield ([policy] if kind == POLICIES else []), "7"

        self.world = make_world(CONFIG, cast(Client, SimpleNamespace(pages=pages)), Clock())
        self.world.queue = cast(Any, SimpleNamespace(add=self.added.append))
        self.world.cache[INSTANCES].put(bound(status={"warm": True}).wire())

    @property
    def memory(self) -> Memory:
        return self.world.state(Memories).of("lab", ID)

    async def after(self, applied: int, policy: str = "a digest") -> list[Key]:
        self.memory.policy, self.memory.policy_generation = policy, applied
        self.memory.policy_name = self.memory.policy_name or "door"
        self.memory.acknowledged = InForce(generation=1, digest="0")
        await sweep_late(self.world, Key(LATE, "", ""))
        return self.added


@pytest.mark.parametrize("labels", [OWN, WARM])
async def test_one_that_was_changed_is_applied_and_pushed_anew(labels: dict[str, str]) -> None:
    swept = Swept(labels, APPLIED + 1)
    assert [key.sort for key in await swept.after(APPLIED)] == [INSTANCE]
    assert (swept.memory.policy, swept.memory.acknowledged) == ("", None)


@pytest.mark.parametrize("labels", [OWN, WARM])
async def test_one_that_is_as_it_was_applied_is_left_alone(labels: dict[str, str]) -> None:
    swept = Swept(labels, APPLIED)
    assert await swept.after(APPLIED) == []
    assert swept.memory.policy


async def test_a_list_from_before_it_was_applied_shows_no_change_of_anothers() -> None:
    swept = Swept(OWN, APPLIED)
    swept.memory.policy_version = 2
    assert await swept.after(APPLIED + 1) == []
    assert swept.memory.policy


async def test_that_of_a_warm_pod_is_looked_at_once_though_it_was_not_applied_yet() -> None:
    assert [key.sort for key in await Swept(WARM, APPLIED).after(0)] == [INSTANCE]


async def test_that_of_a_warm_pod_for_the_next_epoch_is_nobody_s() -> None:
    assert await Swept(WARM | {names.EPOCH_LABEL: "4"}, APPLIED + 1).after(APPLIED) == []


async def test_one_that_this_process_has_not_applied_waits_for_the_pass_that_will() -> None:
    assert await Swept(OWN, APPLIED).after(0, policy="") == []


async def test_one_that_was_deleted_is_applied_and_pushed_anew() -> None:
    swept = Swept(OWN, APPLIED)
    swept.memory.policy_name = "gone"
    assert [key.sort for key in await swept.after(APPLIED)] == [INSTANCE]
    assert (swept.memory.policy, swept.memory.acknowledged) == ("", None)


async def test_one_that_was_applied_after_the_list_is_not_missed() -> None:
    swept = Swept(OWN, APPLIED)
    swept.memory.policy_name, swept.memory.policy_version = "new", 8
    assert await swept.after(APPLIED) == []


async def test_that_of_a_lease_that_ends_is_not_missed() -> None:
    swept = Swept(OWN, APPLIED)
    swept.memory.policy_name, swept.memory.ending_since = "gone", 1.0
    assert await swept.after(APPLIED) == []
