"""An API server of its own for each test's namespaces, and operators that run against it."""

import base64
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from forked import Process
from recording import SWITCH, judged

from berth_core.kube.connection import connected
from berth_core.kube.types import Kind
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import NODES, Puppets, own_addresses
from berth_dev.envtest.testing import Namespaces

from .authority import authority
from .lab import SECRETS, Lab
from .process import Operators, restricted_kubeconfig


@asynccontextmanager
async def lab_in(server: ApiServer, namespaces: Namespaces, *, judge: bool = False) -> AsyncIterator[Lab]:
    """Namespaces with what an operator needs to begin; with ``judge`` what is committed there must be legal."""
    async with connected("berth-test", str(server.kubeconfig)) as client:
        # Where there are controllers, one of them makes it too.
        metadata = {"name": "default", "namespace": namespaces.workspaces}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        await client.apply(Kind("v1", "serviceaccounts"), account)
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
        async with AsyncExitStack() as stack:
            if judge or SWITCH in os.environ:
                names = namespaces.workspaces, namespaces.release, namespaces.workspaces
                await stack.enter_async_context(judged(client, *names))
            yield Lab(client, namespaces)


@pytest.fixture
async def lab(apiserver: ApiServer, namespaces: Namespaces) -> AsyncIterator[Lab]:
    async with lab_in(apiserver, namespaces) as made:
        yield made


@pytest.fixture
def addresses() -> Iterator[IPv4Address]:
    """First of the addresses on loopback that the test has for pods."""
    with own_addresses() as first:
        yield first


@pytest.fixture
async def puppets(lab: Lab, addresses: IPv4Address) -> AsyncIterator[Puppets]:
    """A node of the test's own, with pods and agents that are played."""
    made = Puppets(lab.client, lab.namespace, f"node-of-{lab.namespace}", addresses)
    address = {"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
    async with made.playing():
        await lab.client.patch(NODES, None, made.node, address, subresource="status")
        yield made


@pytest.fixture
def operators(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(restricted_kubeconfig(apiserver, namespaces, tmp_path), namespaces, tmp_path)
    yield made
    made.stop_all()


@pytest.fixture
def operator(lab: Lab, operators: Operators) -> Process:
    """One operator that runs."""
    return operators.start()
