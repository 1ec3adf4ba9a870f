"""Due ends go before other work."""

import pytest

from berth_core.kube.model import timestamp
from berth_core.resources import Instance
from berth_operator.instances.decide import is_overdue

from ..samples import NOW, at, bound, instance


@pytest.mark.parametrize(
    "one",
    [
        bound(terminate=True),
        instance(terminate=True),
        bound(metadata={"deletionTimestamp": timestamp(NOW)}),
        bound(status={"expireTime": timestamp(NOW)}),
    ],
)
def test_what_was_told_to_end_or_has_expired_is_urgent(one: Instance) -> None:
    assert is_overdue(one, NOW)


@pytest.mark.parametrize(
    "one",
    [
        instance(),
        bound(status={"expireTime": timestamp(at(1))}),
        bound(terminate=True, status={"reason": "Terminated"}),
        bound(status={"reason": "Expired", "endTime": timestamp(NOW), "expireTime": timestamp(NOW)}),
    ],
)
def test_what_runs_on_or_is_marked_already_is_not(one: Instance) -> None:
    assert not is_overdue(one, NOW)
