"""Keepers that run against a real API server, with relays at addresses of this machine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking
from berth_dev.envtest.testing import Namespaces

from ..operator.conftest import lab, operators
from .process import Keepers, restricted_kubeconfig
from .relay import Relay, relay

__all__ = ["lab", "operators"]


@pytest.fixture
def keepers(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> Iterator[Keepers]:
    with asking(apiserver) as ask:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespaces.keeper}}
        ask("", "POST", "/api/v1/namespaces", body, dry=False).raise_for_status()
    made = Keepers(restricted_kubeconfig(apiserver, namespaces, tmp_path), namespaces, tmp_path)
    yield made
    made.stop_all()


@pytest.fixture
async def pdu(tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay with TLS."""
    async with relay(tmp_path) as made:
        yield made
