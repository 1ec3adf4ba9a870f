"""The status that a replica of the hub writes for a connector."""

from datetime import UTC, datetime
from typing import Any, cast

from berth_core.connectors.certificates import Facts
from berth_core.connectors.conditions import AT_REST, CONNECTED
from berth_core.kube.conditions import find
from berth_core.resources import Connector
from berth_hub.links import Linked
from berth_hub.reporting import desired
from berth_tunnel.link import Link

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def connector(*replicas: str) -> Connector:
    links = [{"replica": replica, "since": "2026-12-01T11:00:00Z"} for replica in replicas]
    metadata = {"name": "b", "namespace": "lab", "uid": "c", "resourceVersion": "1", "generation": 2}
    return Connector.parse({"metadata": metadata, "spec": {}, "status": {"links": links}})


def linked(not_at_rest: int = 0) -> Linked:
    made = Linked("c", cast("Facts", None), "0.1.0", NOW, cast("Link", None))
    made.not_at_rest = not_at_rest
    return made


def shown(one: Connector, kind: str) -> Any:
    condition = find(one.status.conditions, kind)
    return condition and (condition.status, condition.reason)


def test_a_replica_adds_and_removes_its_own_link_only() -> None:
    after = desired(connector("hub-1"), linked(), "hub-0", {"hub-0", "hub-1"}, NOW)
    assert [one.replica for one in after.status.links] == ["hub-0", "hub-1"]
    after = desired(after, None, "hub-0", {"hub-0", "hub-1"}, NOW)
    assert [one.replica for one in after.status.links] == ["hub-1"]
    assert shown(after, CONNECTED) == ("True", "Linked")


def test_links_of_replicas_that_are_gone_are_removed_and_with_the_last_the_host_is_not_connected() -> None:
    after = desired(connector("hub-1"), None, "hub-0", {"hub-0"}, NOW)
    assert after.status.links == []
    assert shown(after, CONNECTED) == ("False", "LinkLost")


def test_a_connector_that_was_never_linked_gets_no_condition() -> None:
    assert desired(connector(), None, "hub-0", {"hub-0"}, NOW) == connector()


def test_a_machine_that_is_not_at_rest_shows() -> None:
    after = desired(connector(), linked(1), "hub-0", {"hub-0"}, NOW)
    assert shown(after, AT_REST) == ("False", "StopFailing")
    assert shown(desired(after, linked(), "hub-0", {"hub-0"}, NOW), AT_REST) == ("True", "Rested")


def test_a_repeated_decision_writes_nothing() -> None:
    once = desired(connector(), linked(), "hub-0", {"hub-0"}, NOW)
    assert desired(once, linked(), "hub-0", {"hub-0"}, NOW).status == once.status
