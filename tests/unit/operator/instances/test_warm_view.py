"""Which warm pods leave their node: those that nobody would bind there again."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_operator.engine.clock import Clock
from berth_operator.instances.warm.view import warm_sets
from berth_operator.kinds import NODES, PODS
from berth_operator.registry import make_world

from ..samples import CONFIG, NOW

READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def leaving(node: Object | None, *, bound: bool = True, **spec: Any) -> bool:
    """Whether a warm pod leaves the node `n`, which is as given; None where there is none."""
    world = make_world(CONFIG, cast(Client, SimpleNamespace()), Clock())
    if node is not None:
        world.cache[NODES].put({"metadata": {"name": "n", "uid": "n", "resourceVersion": "1"}, "status": READY} | node)
    metadata = {
        "name": "w",
        "namespace": "lab",
        "uid": "u",
        "resourceVersion": "1",
        "creationTimestamp": timestamp(NOW),
        "labels": {names.WARM_LABEL: "true", **names.epoch_labels(4, "one")},
    }
    world.cache[PODS].put({"metadata": metadata, "spec": spec | ({"nodeName": "n"} if bound else {}), "status": {}})
    (one,) = warm_sets(world, "lab", "one")
    return one.leaving


CORDONED: Object = {"spec": {"unschedulable": True}}


def test_a_pod_leaves_a_cordoned_node() -> None:
    assert leaving(CORDONED)


@pytest.mark.parametrize("node", [None, {}, {"spec": {"unschedulable": False}}])
def test_a_pod_stays_on_a_node_that_takes_others(node: Object | None) -> None:
    assert not leaving(node)


def test_a_pod_that_waits_for_a_node_stays() -> None:
    assert not leaving(CORDONED, bound=False)


def test_a_pod_that_would_come_there_again_stays() -> None:
    assert not leaving(CORDONED, tolerations=[{"operator": "Exists"}])
