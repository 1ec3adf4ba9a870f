"""Nodes with the driver, on the API server of all tests and on one that is as an older cluster's."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, make_namespaces

from .lab import Lab, lab, policy_held

OLDER = (
    "feature-gates=DRADeviceTaints=false,DRADeviceTaintRules=false",
    "runtime-config=resource.k8s.io/v1beta1=true",
)
"""Flags that take device taints away, and add v1beta1 of the API. Without v1 it is never ready."""


@pytest.fixture(scope="module")
def policed(apiserver: ApiServer) -> Iterator[ApiServer]:
    """The API server with the chart's policy."""
    with policy_held(apiserver):
        yield apiserver


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="k-") as path:
        yield Path(path)


@pytest.fixture
def here(policed: ApiServer, namespaces: Namespaces, folder: Path) -> Iterator[Lab]:
    with lab(policed, namespaces, folder) as made:
        yield made


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with tiers.running(tmp_path_factory.mktemp("older"), flags=OLDER) as server:
        yield server


@pytest.fixture
def older_lab(older: ApiServer, folder: Path) -> Iterator[Lab]:
    with lab(older, make_namespaces(older), folder) as made:
        yield made
