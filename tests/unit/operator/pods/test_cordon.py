"""Which nodes are cordoned, since when, and which pods come to them all the same."""

from typing import Any

import pytest

from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_operator.pods.cordon import TAINT, is_cordoned, last_cordon, tolerates_cordon

from ..samples import NOW, at


def node(*taints: Object, unschedulable: bool = True) -> Object:
    return {"metadata": {"name": "n"}, "spec": {"unschedulable": unschedulable, "taints": list(taints)}}


def added(seconds: float) -> Object:
    return TAINT | {"timeAdded": timestamp(at(seconds))}


def test_a_node_is_cordoned_where_it_says_so() -> None:
    assert is_cordoned(node())
    assert not any(map(is_cordoned, (None, {}, {"spec": {}}, node(unschedulable=False))))


def test_the_last_cordon_is_of_a_node_that_is_cordoned_still() -> None:
    other = {"key": "lab", "effect": "NoSchedule", "timeAdded": timestamp(at(9))}
    assert last_cordon([node(added(0), other), node(added(-5)), node(added(7), unschedulable=False)]) == NOW


@pytest.mark.parametrize("nodes", [[], [{"metadata": {"name": "n"}}], [node()], [node(TAINT)]])
def test_without_the_node_controllers_word_nothing_tells_when(nodes: list[Object]) -> None:
    assert last_cordon(nodes) is None


@pytest.mark.parametrize(
    ("toleration", "tolerates"),
    [
        (TAINT | {"operator": "Exists"}, True),
        (TAINT, True),
        (TAINT | {"operator": "Equal", "value": ""}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        (TAINT | {"operator": "Equal", "value": "true"}, False),
        (TAINT | {"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "lab", "operator": "Exists"}, False),
    ],
)
def test_a_pod_comes_to_a_cordoned_node_by_its_toleration_only(toleration: dict[str, Any], tolerates: bool) -> None:
    assert tolerates_cordon(toleration) is tolerates
