"""Patience of the chart's Jobs."""

import pytest

from berth_cli.jobs import common
from berth_core.kube.errors import ForbiddenError, UnavailableError


class Step:
    """Fails so many times with an error, then succeeds."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self.calls


async def test_what_cannot_be_reached_is_tried_again() -> None:
    assert await common.patiently(Step(1, UnavailableError("away")), seconds=30) == 2


async def test_patience_ends() -> None:
    step = Step(9, UnavailableError("away"))
    with pytest.raises(UnavailableError):
        await common.patiently(step, seconds=0)
    assert step.calls == 1


async def test_a_refusal_is_not_repeated() -> None:
    step = Step(9, ForbiddenError("no"))
    with pytest.raises(ForbiddenError):
        await common.patiently(step, seconds=30)
    assert step.calls == 1
