"""Errors that nobody expected: what a process, a pass or a task may fail with, and what is a finding."""

from collections.abc import Iterator
from typing import Final

from berth_core.kube.errors import ClusterError
from berth_operator.errors import OperatorError

EXPECTED: Final = (ClusterError, OperatorError, TimeoutError)
"""The cluster or an agent did not do what it was asked: the work is done again."""


def crashes(error: BaseException | None) -> Iterator[str]:
    """Yield each error that nobody expected; of a group, each of its own."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from crashes(one)
    elif error is not None and not isinstance(error, EXPECTED):
        yield f"{type(error).__name__}: {error}"
