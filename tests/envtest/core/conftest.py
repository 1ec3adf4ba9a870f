"""An administrator's client of the API server, and a namespace of the test's own."""

from collections.abc import AsyncIterator

import pytest

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    async with connected("berth-test", str(apiserver.kubeconfig)) as made:
        yield made


@pytest.fixture
def namespace(namespaces: Namespaces) -> str:
    return namespaces.workspaces
