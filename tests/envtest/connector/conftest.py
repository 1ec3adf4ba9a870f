from collections.abc import Iterator
from pathlib import Path

import pytest

from .robot import Robot
from .world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "hub")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def robot() -> Iterator[Robot]:
    made = Robot()
    try:
        yield made
    finally:
        made.close()
