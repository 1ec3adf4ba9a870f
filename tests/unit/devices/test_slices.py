from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.types import Object
from berth_devices.discovery.inventory import ATTRIBUTES, Device
from berth_devices.slices import IN_ONE_SLICE, Pool, Writes, decide, has_taints, written_as

POOL = Pool("node-1", "uid-1", "resource.k8s.io/v1")
DEVICES = st.lists(
    st.builds(
        Device,
        name=st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        attributes=st.just(dict.fromkeys(ATTRIBUTES, "")),
        node=st.just("/dev/x"),
        path=st.just("/dev/x"),
        major=st.just(1),
        minor=st.just(3),
        present=st.booleans(),
    ),
    max_size=150,
    unique_by=lambda device: device.name,
)


def applied(current: list[Object], writes: Writes) -> list[Object]:
    """The slices after the writes, as an API server answers."""
    after = {one["metadata"]["name"]: one for one in current if one["metadata"]["name"] not in writes.delete}
    for body in writes.apply:
        devices = [
            {**one, "taints": [{**taint, "timeAdded": "2026-12-01T00:00:00Z"} for taint in one["taints"]]}
            if "taints" in one
            else one
            for one in body["spec"]["devices"]
        ]
        after[body["metadata"]["name"]] = {**body, "spec": {**body["spec"], "devices": devices}}
    return list(after.values())


@given(DEVICES, DEVICES, st.integers(0, 5))
def test_after_the_writes_the_pool_is_complete_and_a_second_look_writes_nothing(
    before: list[Device], after: list[Device], written: int
) -> None:
    first = applied([], decide(POOL, before, [], written))
    writes = decide(POOL, after, first, 0)
    second = applied(first, writes)
    assert decide(POOL, after, second, 0) == Writes()
    assert sum(len(piece["spec"]["devices"]) for piece in second) == len(after)
    (pool,) = {
        (one["spec"]["pool"]["name"], one["spec"]["pool"]["generation"], one["spec"]["pool"]["resourceSliceCount"])
        for one in second
    }
    assert (pool[0], pool[2]) == ("node-1", len(second))
    assert all(len(one["spec"]["devices"]) <= IN_ONE_SLICE for one in second)


@given(DEVICES, DEVICES)
def test_each_change_has_a_higher_generation_than_all_before(before: list[Device], after: list[Device]) -> None:
    first = applied([], decide(POOL, before, [], 0))
    for body in decide(POOL, after, first, 0).apply:
        assert body["spec"]["pool"]["generation"] > max(one["spec"]["pool"]["generation"] for one in first)


def test_the_generation_grows_though_somebody_deleted_the_slices() -> None:
    (body,) = decide(POOL, [], [], 7).apply
    assert body["spec"]["pool"]["generation"] == 8


def test_a_node_without_devices_says_so() -> None:
    (body,) = decide(POOL, [], [], 0).apply
    assert body["spec"]["devices"] == []


def test_slices_go_with_their_node() -> None:
    (body,) = decide(POOL, [], [], 0).apply
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Node", "node-1", "uid-1")
    assert body["spec"]["nodeName"] == "node-1"


@pytest.mark.parametrize("version", ["resource.k8s.io/v1", "resource.k8s.io/v1beta1"])
def test_an_unplugged_device_has_a_taint_that_evicts_nobody(version: str) -> None:
    device = Device("arm", dict.fromkeys(ATTRIBUTES, ""), "/dev/x", "/dev/x", 1, 3, present=False)
    written = written_as(device, version)
    parts = written["basic"] if version.endswith("v1beta1") else written
    assert parts["taints"] == [{"key": "devices.berth.dev/unplugged", "effect": "NoSchedule"}]
    assert set(parts["attributes"]) == set(ATTRIBUTES)
    assert has_taints(written)
    withheld = written_as(replace(device, withheld="other"), version)
    assert withheld.get("basic", withheld)["taints"][0]["key"] == "devices.berth.dev/withheld"
    assert not has_taints(written_as(replace(device, present=True), version))


def test_names_of_slices_of_long_nodes_differ() -> None:
    nodes = [f"{'n' * 250}{number}" for number in (1, 2)]
    made = {replace(POOL, node=node).slice_name(0) for node in nodes}
    assert len(made) == 2
    assert all(len(name) <= 253 for name in made)
