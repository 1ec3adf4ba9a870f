"""Who waits for what."""

from berth_api.queue import Queues

from .samples import CREATED, deployment, held, reservation


def test_reservations_for_the_type_and_for_lists_with_the_deployment_count() -> None:
    one, two = deployment("one"), deployment("two", status=held())
    queues = Queues(
        [
            reservation("a", workspaceType="arm"),
            reservation("b", deployments=["one", "two", "one"]),
            reservation("c", deployments=["two"]),
            reservation("d", workspaceType="leg"),
        ]
    )
    assert queues.applying(one.resource) == 2
    assert queues.length(one.resource) == 3
    assert queues.length(two.resource) == 4


def test_nobody_waits_and_nobody_has_it() -> None:
    assert Queues([]).length(deployment("one").resource) == 0
    assert Queues([]).length(deployment("one", status=held()).resource) == 1


def test_a_reservation_whose_turn_has_come_counts_no_more() -> None:
    granted = {"grant": {"deployment": "one", "epoch": 1, "instance": "i"}}
    fulfilled = {"type": "Fulfilled", "status": "True", "reason": "Made", "lastTransitionTime": CREATED}
    queues = Queues(
        [
            reservation("a", workspaceType="arm", status=granted),
            reservation("b", workspaceType="arm", status={"conditions": [fulfilled]}),
        ]
    )
    assert queues.length(deployment("one").resource) == 0
