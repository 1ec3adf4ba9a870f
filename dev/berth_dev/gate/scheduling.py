"""A plugin of pytest-xdist: files that need the same costly server run in one worker, which starts with them.

Other files are scopes by themselves, in the order in which they are named.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

CHART: Final = "chart"
CONTROLLERS: Final = "controllers"
_SHARED: Final = (CHART, CONTROLLERS)
"""Scopes of several files."""
_ENVTEST: Final = "tests/envtest/"
_TAKES_CONTROLLERS: Final = re.compile(r"\bcontrollers: ApiServer\b")
"""A parameter: the fixture of tests/conftest.py, of a test or of another fixture."""


class Servers(LoadScopeScheduling):
    """Gives each scope to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        root: Path = self.config.rootpath
        return scope(root, nodeid.partition("::")[0])


@cache
def scope(root: Path, file: str) -> str:
    """Name the scope of a file. The controller of pytest-xdist knows no fixtures, so the file's text tells them."""
    if file.startswith(f"{_ENVTEST}chart/"):
        return CHART
    if file.startswith(_ENVTEST) and _TAKES_CONTROLLERS.search((root / file).read_text(encoding="utf-8")):
        return CONTROLLERS
    return file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Servers:
    """Replace the scheduler that ``--dist`` names."""
    return Servers(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the scopes of several files first: they take longest."""
    items.sort(key=lambda item: scope(config.rootpath, item.nodeid.partition("::")[0]) not in _SHARED)
