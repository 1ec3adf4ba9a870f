"""The lab and the people in it."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from lab import NAMESPACE, Lab, Person
from recording import judged

from berth_core.kube.connection import connected
from berth_dev.cluster import certificates, install
from berth_dev.cluster.outside import Outside
from berth_dev.envtest.testing import BerthCluster

RELEASE = "berth"
START_SECONDS = 600


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the first test that much more time, whichever it is: the start of the cluster is part of its setup."""
    first = next((item for item in items if item.path.is_relative_to(Path(__file__).parent)), None)
    if first is not None:
        mark = first.get_closest_marker("timeout")
        own = float(mark.args[0] if mark is not None else config.getini("timeout"))
        first.add_marker(pytest.mark.timeout(own + START_SECONDS), append=False)


@pytest.fixture(scope="session")
def lab(cluster: BerthCluster) -> Lab:
    """The two-node cluster, whose API answers at each node; every client trusts it by what `.berth/env` exports."""
    os.environ.update(certificates.trust(install.ENVIRONMENT, install.TLS_FOLDER / "ca.crt"))
    return Lab(
        kubeconfig=cluster.kubeconfig,
        kubectl_program=cluster.tools.path("kubectl"),
        helm_program=cluster.tools.path("helm"),
        berth_program=Path(sys.executable).with_name("berth"),
        python=Path(sys.executable),
        apis=cluster.apis,
    )


@pytest.fixture(scope="session")
def ada(lab: Lab, outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody at the first outside address."""
    return lab.person("ada", outside.namespace, tmp_path_factory.mktemp("ada"))


@pytest.fixture(scope="session")
def bob(lab: Lab, outside2: Outside, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody else at the second outside address."""
    return lab.person("bob", outside2.namespace, tmp_path_factory.mktemp("bob"))


@pytest.fixture(autouse=True)
def _nothing_is_held_before(lab: Lab) -> None:
    """End what an earlier test left, so that one failure does not bring on others."""
    for instance in lab.objects("instances"):
        if not instance.get("status", {}).get("endTime"):
            name = instance["metadata"]["name"]
            lab.kubectl("delete", "instance", name, "-n", instance["metadata"]["namespace"], "--timeout=60s")


@asynccontextmanager
async def _judged(lab: Lab, name: str) -> AsyncIterator[None]:
    async with connected("berth-test", str(lab.kubeconfig)) as client, judged(client, NAMESPACE, RELEASE, name):
        yield


@pytest.fixture(autouse=True)
def _keeps_to_the_protocol(_nothing_is_held_before: None, lab: Lab, request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold what is committed during a test against the lease protocol, in a thread: most tests wait for programs."""
    name = f"{request.path.stem}-{request.node.name}"
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_judged(lab, name)):
        yield
