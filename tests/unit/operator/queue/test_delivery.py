"""The webhook that tells of a reservation's turn."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from berth_core import ids
from berth_core.resources import Delivery, Reservation
from berth_operator.queue.delivery import delivery

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UID = "5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e11"
GRANT = {"deployment": "misty-1", "epoch": 3, "instance": "0196f0d2-0000-7000-8000-000000000001"}


def reservation(grant: dict[str, Any] | None = GRANT, name: str = "mine", **spec: Any) -> Reservation:
    inner = {"user": "alice", "workspaceType": "misty"}
    return Reservation.parse(
        {
            "metadata": {"name": name, "namespace": "lab", "uid": UID},
            "spec": inner | {"eventUrl": "https://example.org/hook", "instance": inner} | spec,
            "status": {"grant": grant} if grant else {},
        }
    )


def test_it_says_what_the_contract_promises() -> None:
    made = delivery(reservation(), NOW)
    assert made is not None
    spec = Delivery.parse(made).spec
    assert json.loads(spec.payload) == {
        "type": "reservation.fulfilled",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "reservation": UID,
            "instance": GRANT["instance"],
            "deployment": ids.deployment_id("lab", "misty-1"),
        },
    }
    assert (spec.url, spec.user) == ("https://example.org/hook", "alice")


def test_a_reservation_of_the_api_is_called_by_its_name() -> None:
    name = "0196f0d2-0000-7000-8000-000000000002"
    made = delivery(reservation(name=name), NOW)
    assert made is not None
    assert made["spec"]["reservation"] == name


def test_made_again_it_has_the_same_name_and_id() -> None:
    one, other = delivery(reservation(), NOW), delivery(reservation(), NOW + timedelta(hours=1))
    assert one is not None
    assert other is not None
    assert one["metadata"] == other["metadata"]
    assert one["spec"]["id"] == other["spec"]["id"]


def test_without_a_grant_or_a_url_there_is_none() -> None:
    assert delivery(reservation(grant=None), NOW) is None
    assert delivery(reservation(eventUrl=None), NOW) is None
