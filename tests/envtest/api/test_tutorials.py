"""The tutorial "Lend your first robot" with a real API, operator and command line, on a node that is played.

No container runs here: the workspace's ssh is left out, and hooks succeed. tests/e2e/test_tutorials.py plays it whole.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import tutorials

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import NODES, Puppets
from berth_dev.envtest.testing import Namespaces

from .test_with_operator import Release, release

__all__ = ["release"]

pytestmark = pytest.mark.apiserver

JOBS = Kind("batch/v1", "jobs")
NODE = "node-2"
LEFT_OUT = {". .berth/env": "true", "berth ssh -- printenv ROBOT": "true"}


@pytest.fixture
def namespaces(apiserver: ApiServer) -> Namespaces:
    """Namespaces of the tutorial's names."""
    named = Namespaces(release="berth", workspaces="berth-workspaces", access="berth-access")
    for name in (named.release, named.workspaces, named.access):
        apiserver.kubectl("create", "namespace", name)
    return named


async def succeed(client: Client, namespace: str) -> None:
    """Report success of each Job of the namespace, as a Job controller does once its pod has ended."""
    seen: set[str] = set()
    while True:
        jobs, _ = await client.list(JOBS, namespace)
        for job in jobs:
            if job["metadata"]["uid"] not in seen:
                seen.add(job["metadata"]["uid"])
                with suppress(NotFoundError):
                    await client.patch(JOBS, namespace, job["metadata"]["name"], _success(), subresource="status")
        await asyncio.sleep(0.1)


def _success() -> Object:
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    words = ("SuccessCriteriaMet", "Complete")
    conditions = [{"type": word, "status": "True", "lastTransitionTime": now} for word in words]
    return {"status": {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}}


@pytest.fixture
async def node(release: Release) -> AsyncIterator[None]:
    """The tutorial's node, with pods and hooks that are played."""
    workspaces = release.namespaces.workspaces
    async with connected("tests", str(release.server.kubeconfig)) as client, AsyncExitStack() as stack:
        await stack.enter_async_context(Puppets(client, workspaces, NODE, IPv4Address("127.51.7.1")).playing())
        address = {"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
        await client.patch(NODES, None, NODE, address, subresource="status")
        jobs = asyncio.create_task(succeed(client, workspaces))
        yield
        jobs.cancel()
        await asyncio.gather(jobs, return_exceptions=True)


@pytest.mark.usefixtures("node")
async def test_lending_your_first_robot_works_as_it_is_written(release: Release, tmp_path: Path) -> None:
    programs = (str(Path(sys.executable).parent), str(release.server.tools.path("kubectl").parent))
    environment = {
        "HOME": str(tmp_path),
        "PATH": ":".join([*programs, os.environ["PATH"]]),
        "KUBECONFIG": str(release.server.kubeconfig),
        "BERTH_API": release.api.url,
    }
    await asyncio.to_thread(tutorials.play, "first-robot.md", tmp_path, environment, LEFT_OUT)
