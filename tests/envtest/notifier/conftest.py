"""Notifiers that run against a real API server, with keys as the installation makes them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from berth_core.kube.connection import connected
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from .post import Post
from .process import Notifiers, restricted_kubeconfig


@pytest.fixture
async def post(apiserver: ApiServer, namespaces: Namespaces) -> AsyncIterator[Post]:
    async with connected("berth-test", str(apiserver.kubeconfig)) as client:
        yield Post(client, namespaces.workspaces)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The signing Secret as it is mounted."""
    folder = tmp_path_factory.mktemp("webhook-signing")
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ed25519.pem").write_bytes(pem)
    (folder / "master").write_bytes(b"m" * 32)
    return folder


@pytest.fixture
def notifiers(apiserver: ApiServer, namespaces: Namespaces, keys: Path, tmp_path: Path) -> Iterator[Notifiers]:
    made = Notifiers(restricted_kubeconfig(apiserver, namespaces, tmp_path), namespaces, keys, tmp_path)
    yield made
    made.stop_all()
