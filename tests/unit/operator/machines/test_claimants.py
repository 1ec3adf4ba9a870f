"""The holder of a machine's endpoints, by the caches, and while an instance is being bound."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any, cast

import pytest

from berth_core.kube.client import Client
from berth_core.kube.errors import ConflictError
from berth_core.kube.model import timestamp
from berth_core.machines.placement import IN_USE, NOT_GRANTED, OUTSIDE
from berth_core.resources import Instance, WorkspaceDeployment
from berth_operator.engine.clock import Clock
from berth_operator.engine.world import World
from berth_operator.kinds import DEPLOYMENTS, INSTANCES
from berth_operator.machines.claimants import Binding, fault, fault_of_bound, reserved, rivals
from berth_operator.registry import make_world

from ..samples import CONFIG, NOW, at, deployment, instance

ARM: dict[str, Any] = {"network": {"addresses": ["192.0.2.40/32"], "ports": [{"port": 22}]}}
OTHER: dict[str, Any] = {"network": {"addresses": ["192.0.2.41/32"]}}
HOLDER = "01900000-0000-7000-8000-00000000000a"


@pytest.fixture
def world() -> World:
    return make_world(replace(CONFIG, machines=(ip_network("192.0.2.0/24"),)), cast(Client, None), Clock())


def knows(
    world: World, name: str, age: float = 0, *, lease: bool = False, told: dict[str, Any] | None = None, **spec: Any
) -> WorkspaceDeployment:
    """Have the cache know of a deployment; the greater its age, the older."""
    held: dict[str, Any] = (
        {"lease": {"instance": HOLDER, "user": "ada", "claimedAt": timestamp(NOW)}, "epoch": 3} if lease else {}
    )
    metadata = {"resourceVersion": "1", "creationTimestamp": timestamp(at(-age))}
    wd = deployment(name, metadata=metadata, status={**held, **(told or {})}, **spec)
    world.cache[DEPLOYMENTS].put(wd.wire())
    return wd


def runs(world: World, name: str, machine: dict[str, Any], **status: Any) -> Instance:
    """Have the cache know of an instance that is bound to a deployment."""
    fields = {"id": HOLDER, "deployment": name, "epoch": 3, "machine": machine, **status}
    bound = instance(name=HOLDER, status=fields)
    world.cache[INSTANCES].put(bound.wire())
    return bound


def test_a_deployment_without_an_address_has_no_fault(world: World) -> None:
    assert fault(world, knows(world, "one")) is None
    assert fault(world, knows(world, "two", machine={})) is None


def test_an_address_outside_is_a_fault(world: World) -> None:
    found = fault(world, knows(world, "one", machine={"network": {"addresses": ["198.51.100.1/32"]}}))
    assert found is not None
    assert found.reason == OUTSIDE


def test_the_younger_of_two_is_not_lent(world: World) -> None:
    elder, younger = knows(world, "one", 60, machine=ARM), knows(world, "two", machine=ARM)
    assert fault(world, elder) is None
    found = fault(world, younger)
    assert found is not None
    assert found.reason == IN_USE
    assert [obj["metadata"]["name"] for obj in rivals(world, elder.wire())] == ["two"]


def test_whoever_named_it_first_keeps_it_as_its_status_records(world: World) -> None:
    elder = knows(world, "one", 60, machine=ARM)
    first = knows(world, "two", machine=ARM, told={"endpoints": ARM["network"]})
    assert fault(world, first) is None
    found = fault(world, elder)
    assert found is not None
    assert "lab/two" in found.message


def test_an_older_one_with_a_fault_of_its_own_blocks_nobody(world: World) -> None:
    online = {"type": "Online", "status": "False", "reason": NOT_GRANTED, "lastTransitionTime": timestamp(NOW)}
    knows(world, "one", 60, machine=ARM, told={"conditions": [online], "endpoints": ARM["network"]})
    assert fault(world, knows(world, "two", machine=ARM)) is None


@pytest.mark.parametrize("spec", [{"dissolved": timestamp(NOW)}, {"metadata": {"deletionTimestamp": timestamp(NOW)}}])
def test_one_that_goes_away_leaves_its_endpoints(world: World, spec: dict[str, Any]) -> None:
    fields = dict(spec)
    metadata = {"resourceVersion": "1", "creationTimestamp": timestamp(at(-60)), **fields.pop("metadata", {})}
    world.cache[DEPLOYMENTS].put(deployment("one", metadata=metadata, machine=ARM, **fields).wire())
    assert fault(world, knows(world, "two", machine=ARM)) is None


def test_a_lease_keeps_what_its_deployment_names_no_more(world: World) -> None:
    knows(world, "one", lease=True, machine=OTHER)
    bound = runs(world, "one", ARM)
    two = knows(world, "two", 60, machine=ARM)
    found = fault(world, two)
    assert found is not None
    assert "lab/one" in found.message
    assert fault_of_bound(world, knows(world, "one", lease=True, machine=OTHER), bound) is None, "it is its own"


def test_endpoints_are_free_once_the_lease_has_gone_back(world: World) -> None:
    knows(world, "one", machine=OTHER)
    runs(world, "one", ARM, reason="Terminated")
    assert fault(world, knows(world, "two", machine=ARM)) is None


def test_an_instance_holds_its_machine_though_its_deployment_is_gone_or_it_cannot_be_read(world: World) -> None:
    two = knows(world, "two", 60, machine=ARM)
    bound = runs(world, "gone", ARM)
    found = fault(world, two)
    assert found is not None
    assert "lab/gone" in found.message
    broken = {**bound.wire(), "spec": {"user": 7}}
    broken["metadata"] = broken["metadata"] | {"resourceVersion": "2"}
    world.cache[INSTANCES].put(broken)
    assert world.cache[INSTANCES].unreadable()
    assert fault(world, two) is not None


def test_a_late_bind_is_found_before_anything_is_opened_for_it(world: World) -> None:
    knows(world, "one", lease=True, machine=ARM)
    runs(world, "one", ARM)
    late = instance(name="late", status={"id": "late", "deployment": "two", "epoch": 1, "machine": ARM})
    found = fault_of_bound(world, knows(world, "two", 60, machine=ARM), late)
    assert found is not None
    assert found.reason == IN_USE


def test_two_binds_at_once_never_have_the_same_endpoints(world: World) -> None:
    one, two = knows(world, "one", 60, machine=ARM), knows(world, "two", machine=OTHER)
    with reserved(world, one, instance(name="a")):
        with reserved(world, two, instance(name="b")):
            assert len(world.state(Binding)) == 2
        changed = knows(world, "three", 120, machine=ARM)
        with pytest.raises(ConflictError), reserved(world, changed, instance(name="c")):
            pytest.fail("it must not be bound")
    assert not world.state(Binding)


def test_a_bind_that_was_decided_before_another_had_the_endpoints_is_refused(world: World) -> None:
    one = knows(world, "one", 60, machine=ARM)
    knows(world, "two", lease=True, machine=ARM)
    runs(world, "two", ARM)
    with pytest.raises(ConflictError), reserved(world, one, instance(name="a")):
        pytest.fail("it must not be bound")
