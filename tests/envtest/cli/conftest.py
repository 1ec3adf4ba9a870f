"""`berth` and the chart's Jobs as people and clusters run them: processes against an API server."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from forked import finished

from berth_cli.jobs.keys import ensure_keys
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]
"""Called with a command's words, and by keyword with environment variables and `stdin` (empty by default)."""


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    async with connected("berth-test", str(apiserver.kubeconfig)) as made:
        yield made


def run(module: str, words: tuple[str, ...], kubeconfig: Path, changes: dict[str, str], stdin: str = "") -> Done:
    environment = os.environ | {"KUBECONFIG": str(kubeconfig), "COLUMNS": "200", "NO_COLOR": "1"} | changes
    done = finished(module, words, environment, stdin)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def berth(apiserver: ApiServer) -> Run:
    """`berth WORDS` as an administrator."""
    return lambda *words, stdin="", **changes: run("berth_cli.main", words, apiserver.kubeconfig, changes, stdin)


@pytest.fixture
def release(namespaces: Namespaces) -> list[str]:
    """Words that name the test's namespaces to commands that need both."""
    return ["-n", namespaces.release, "--access-namespace", namespaces.access]


@pytest.fixture
def access(namespaces: Namespaces) -> list[str]:
    """Words that name the test's access namespace."""
    return ["--access-namespace", namespaces.access]


@pytest.fixture
def keys_job(apiserver: ApiServer, namespaces: Namespaces) -> Run:
    """The Job that makes keys, in the test's release namespace."""
    settings = {"BERTH_NAMESPACE": namespaces.release}
    return lambda **changes: run("berth_cli.jobs.keys", (), apiserver.kubeconfig, settings | changes)


@pytest.fixture
async def installed(client: Client, namespaces: Namespaces) -> None:
    """The keys that the Job makes are there; without the start of a process."""
    await ensure_keys(client, namespaces.release, datetime.now(UTC))


@pytest.fixture
def uninstall_job(apiserver: ApiServer, namespaces: Namespaces) -> Run:
    """The Job that ends leases, with a short deadline."""
    settings = {
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
        "BERTH_ACCESS_NAMESPACE": namespaces.access,
        "BERTH_UNINSTALL_DEADLINE": "1",
    }
    return lambda **changes: run("berth_cli.jobs.uninstall", (), apiserver.kubeconfig, settings | changes)
