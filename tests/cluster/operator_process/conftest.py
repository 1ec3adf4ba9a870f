"""An API server of its own for each test's namespaces, and operators that run against it."""

import base64
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from berth_cluster.apiserver import ApiServer
from berth_cluster.testing import Namespaces
from berth_core.client import Kind, connected

from .authority import authority
from .lab import SECRETS, Lab
from .process import Operators, restricted_kubeconfig


@pytest.fixture
async def lab(apiserver: ApiServer, namespaces: Namespaces) -> AsyncIterator[Lab]:
    async with connected("berth-test", str(apiserver.kubeconfig)) as client:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await client.create(Kind("v1", "serviceaccounts"), namespaces.workspaces, account)
        certificate, key = authority()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "berth-agent-ca"},
            "data": {
                "tls.crt": base64.b64encode(certificate).decode(),
                "tls.key": base64.b64encode(key).decode(),
            },
        }
        await client.create(SECRETS, namespaces.release, secret)
        yield Lab(client, namespaces)


@pytest.fixture
def operators(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(restricted_kubeconfig(apiserver, namespaces, tmp_path), namespaces, tmp_path)
    yield made
    made.stop_all()


@pytest.fixture
def operator(lab: Lab, operators: Operators) -> subprocess.Popen[bytes]:
    """One operator that runs."""
    return operators.start()
