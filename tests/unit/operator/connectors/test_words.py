"""Words to the fences of connectors, and whether a machine behind one may be lent."""

from typing import Any

from berth_core.connectors.conditions import AT_REST, CONNECTED
from berth_core.resources import Connector, WorkspaceDeployment
from berth_operator.connectors import reach
from berth_operator.connectors.words import words


def sign(does: str, connector: str, deployment: str, epoch: int) -> str:
    return f"{does} {connector} {deployment} {epoch}"


def deployment(
    uid: str, epoch: int, *, leased: bool, name: str | None = "bench-7", port: int = 1
) -> WorkspaceDeployment:
    lease = {"instance": "i", "user": "ada", "claimedAt": "2026-12-01T12:00:00Z"} if leased else None
    way = {"connector": {"name": name, "ports": [{"port": 30002, "target": f"127.0.0.1:{port}"}]}} if name else None
    metadata = {"name": uid, "namespace": "lab", "uid": uid, "creationTimestamp": f"2026-12-01T12:00:0{uid[-1]}Z"}
    return WorkspaceDeployment.parse(
        {
            "metadata": metadata,
            "spec": {"type": "bench", **({"machine": way} if way else {})},
            "status": {"epoch": epoch, **({"lease": lease} if lease else {})},
        }
    )


def connector(*known: tuple[str, int, bool], **conditions: str) -> Connector:
    told = [{"deployment": uid, "epoch": epoch, "over": over, "word": "old"} for uid, epoch, over in known]
    shown = [
        {"type": kind, "status": status, "reason": "X", "message": "m", "lastTransitionTime": "2026-12-01T12:00:00Z"}
        for kind, status in conditions.items()
    ]
    metadata = {"name": "bench-7", "namespace": "lab", "uid": "c"}
    return Connector.parse({"metadata": metadata, "spec": {}, "status": {"words": told, "conditions": shown}})


def told(one: Connector, *deployments: WorkspaceDeployment) -> list[tuple[int, bool, str]]:
    return [(word.epoch, word.over, word.word) for word in words(one, deployments, sign)]


def test_a_lease_that_is_taken_or_given_back_is_said_once() -> None:
    assert told(connector(), deployment("d1", 1, leased=True)) == [(1, False, "begun c d1 1")]
    assert told(connector(("d1", 1, False)), deployment("d1", 1, leased=True)) == [(1, False, "old")]
    assert told(connector(("d1", 1, False)), deployment("d1", 1, leased=False)) == [(1, True, "ended c d1 1")]
    assert told(connector(("d1", 1, True)), deployment("d1", 2, leased=True)) == [(2, False, "begun c d1 2")]
    assert told(connector(), deployment("d1", 0, leased=False)) == []


def test_a_connector_hears_of_a_lease_that_it_knows_though_the_deployment_names_another_now() -> None:
    elsewhere = deployment("d1", 1, leased=False, name="bench-8")
    assert told(connector(("d1", 1, False)), elsewhere) == [(1, True, "ended c d1 1")]
    assert told(connector(), elsewhere) == []
    assert told(connector(("d1", 1, False)), deployment("d1", 1, leased=False, name=None)) == [
        (1, True, "ended c d1 1")
    ]


def test_a_deployment_that_is_gone_needs_no_word() -> None:
    assert told(connector(("d1", 1, True))) == []


def reason(one: Connector | None, wd: WorkspaceDeployment, *siblings: WorkspaceDeployment) -> str | None:
    fault = reach.judge(wd, one, list(siblings))
    return fault.reason if fault is not None else None


def test_a_machine_is_lent_while_its_host_is_linked_and_it_is_at_rest() -> None:
    wd = deployment("d1", 1, leased=False)
    assert reason(None, wd) == reach.MISSING
    assert reason(connector(), wd) == reach.GONE
    for status in ("False", "Unknown"):
        assert reason(connector(**{CONNECTED: status}), wd) == reach.GONE
    assert reason(connector(**{CONNECTED: "True"}), wd) is None
    assert reason(connector(**{CONNECTED: "True", AT_REST: "True"}), wd) is None
    assert reason(connector(**{CONNECTED: "True", AT_REST: "False"}), wd) == reach.NOT_AT_REST
    assert reason(None, deployment("d1", 1, leased=False, name=None)) is None


def test_of_deployments_with_one_target_the_oldest_alone_is_lent() -> None:
    linked: dict[str, Any] = {CONNECTED: "True"}
    older, younger = deployment("d1", 0, leased=False), deployment("d2", 0, leased=False)
    assert reason(connector(**linked), younger, older, younger) == reach.SHARED
    assert reason(connector(**linked), older, older, younger) is None
    assert reason(connector(**linked), deployment("d3", 0, leased=False, port=2), older, younger) is None
