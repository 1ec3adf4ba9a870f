"""Fixtures: a pod before anything runs in it, and one that is served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .pod import Pod


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod before anything has started in it."""
    made = Pod(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def served(pod: Pod) -> Pod:
    """A pod with its door closed and its agent serving."""
    pod.start()
    return pod
