"""Due ends go before other work."""

from typing import Any

import pytest

from berth_core.kube.model import timestamp
from berth_operator.instances.expiry.urgency import is_half_open, must_end

from ..samples import NOW, at, bound, instance


def wire(made: Any) -> dict[str, Any]:
    obj: dict[str, Any] = made.wire()
    return obj


@pytest.mark.parametrize(
    "obj",
    [
        wire(bound(terminate=True)),
        wire(instance(terminate=True)),
        wire(bound(metadata={"deletionTimestamp": timestamp(NOW)})),
        wire(bound(status={"expireTime": timestamp(NOW)})),
    ],
)
def test_what_was_told_to_end_or_has_expired_is_urgent(obj: dict[str, Any]) -> None:
    assert must_end(obj, NOW)


@pytest.mark.parametrize(
    "obj",
    [
        wire(instance()),
        wire(bound(status={"expireTime": timestamp(at(1))})),
        wire(bound(terminate=True, status={"reason": "Terminated"})),
        wire(bound(status={"reason": "Expired", "endTime": timestamp(NOW), "expireTime": timestamp(NOW)})),
    ],
)
def test_what_runs_on_or_is_marked_already_is_not(obj: dict[str, Any]) -> None:
    assert not must_end(obj, NOW)


def test_what_is_bound_and_not_ready_goes_before_what_is_not_bound() -> None:
    assert is_half_open(wire(bound()))
    assert not is_half_open(wire(instance()))
    assert not is_half_open(wire(bound(status={"readyTime": timestamp(NOW)})))
    assert not is_half_open(wire(bound(status={"reason": "Expired"})))
