"""How many objects of Berth's kinds there may be is kept by the cluster's own quota controller, once it counts them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from berth_core.kube.errors import ForbiddenError, NotFoundError
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, make_namespaces

from .conftest import lab_in
from .lab import KEY, RESERVATIONS, RULES, Lab
from .process import Operators, restricted_kubeconfig

pytestmark = pytest.mark.apiserver

QUOTAS = Kind("v1", "resourcequotas")
MOST = json.dumps({"reservations": 2, "firewallrules": 50_000})
SPEC = {"user": "ada", "workspaceType": "bench", "instance": {"user": "ada", "sshKeys": [KEY]}}


@pytest.fixture
def spaces(controllers: ApiServer) -> Namespaces:
    return make_namespaces(controllers)


@pytest.fixture
async def counted(controllers: ApiServer, spaces: Namespaces) -> AsyncIterator[Lab]:
    async with lab_in(controllers, spaces) as made:
        yield made


@pytest.fixture
def counting(controllers: ApiServer, spaces: Namespaces, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(restricted_kubeconfig(controllers, spaces, tmp_path), spaces, tmp_path)
    yield made
    made.stop_all()


async def quota(lab: Lab, namespace: str) -> Object:
    """The quota of a namespace, once it is there and counted."""
    async with asyncio.timeout(120):
        listed, version = await lab.client.list(QUOTAS, namespace)
        for found in listed:
            if found.get("status", {}).get("used"):
                return found
        async for event in lab.client.watch(QUOTAS, namespace, version):
            if event.type in ("ADDED", "MODIFIED") and event.object.get("status", {}).get("used"):
                return event.object
    raise AssertionError("the watch ended")


async def test_one_more_than_there_may_be_is_refused(counted: Lab, counting: Operators) -> None:
    counting.start(BERTH_MOST_OBJECTS=MOST)
    found = await quota(counted, counted.namespace)
    assert found["spec"]["hard"] == {"count/reservations.berth.dev": "2", "count/firewallrules.berth.dev": "50k"}
    for name in ("one", "two"):
        await counted.create(RESERVATIONS, name, SPEC)
    with pytest.raises(ForbiddenError, match="exceeded quota"):
        await counted.create(RESERVATIONS, "three", SPEC)
    await counted.client.delete(RESERVATIONS, counted.namespace, "one")
    async with asyncio.timeout(60):
        while True:  # the quota controller has to see the deletion
            try:
                await counted.create(RESERVATIONS, "four", SPEC)
                break
            except ForbiddenError:
                await asyncio.sleep(0.2)
    with pytest.raises(NotFoundError):
        await counted.client.get(QUOTAS, counted.namespaces.access, "berth-objects")
    counting.stop_all()
    counting.start()
    await counted.until_gone(QUOTAS, "berth-objects", seconds=60)


async def test_where_nobody_counts_nothing_is_refused(lab: Lab, operators: Operators) -> None:
    operators.start(BERTH_MOST_OBJECTS=MOST)
    async with asyncio.timeout(60):
        while True:
            try:
                await lab.client.get(QUOTAS, lab.namespaces.access, "berth-objects")
                break
            except NotFoundError:
                await asyncio.sleep(0.1)
    await lab.create(RULES, "rule", {"instance": "i", "source": "192.0.2.1/32", "action": "ACCEPT"})
    with pytest.raises(NotFoundError):
        await lab.client.get(QUOTAS, lab.namespace, "berth-objects")
