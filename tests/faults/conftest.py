"""Fixtures of the fault tests: a stage with namespaces of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from ..envtest.operator.conftest import lab_in
from . import stage as stages
from .seeds import SEED
from .stage import Stage


@pytest.fixture
async def stage(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> AsyncIterator[Stage]:
    async with (
        lab_in(apiserver, namespaces, judge=True) as lab,
        stages.stage(apiserver, namespaces, lab, tmp_path) as made,
    ):
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed of what was made up at random."""
    terminalreporter.write_line(f"FAULTS_SEED={SEED}")
