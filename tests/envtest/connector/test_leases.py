"""A lease of a deployment whose machine is behind a connector: from the Instance to bytes at the machine."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.envtest.operator.lab import DEPLOYMENTS, INSTANCES, POLICIES, SECRETS, Lab, condition

from berth_core.kube.connection import connected
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

from .cluster import Cluster
from .robot import Robot
from .world import until

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def cluster(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with connected("berth-test", str(apiserver.kubeconfig)) as client:
        made = Cluster(apiserver, client, namespaces, tmp_path)
        await made.prepare()
        try:
            yield made
        finally:
            await made.close()


class Workspace:
    """The agent's carrier of one lease, with the Secret that the operator made for it."""

    def __init__(self, folder: Path, file: Object, hub: int) -> None:
        folder.mkdir()
        (folder / "machine.json").write_text(json.dumps(file | {"hub": ["127.0.0.1", hub]}))
        (self.port,) = (int(port) for port in file["ports"])
        environment = {**os.environ, "BERTH_AGENT_SECRET_DIR": str(folder)}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "berth_agent.machine"], env=environment, stderr=log)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        end = time.monotonic() + 20
        while True:
            try:
                return await asyncio.open_connection("127.77.0.1", self.port)
            except OSError:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


async def made(cluster: Cluster, robot: Robot, port: int) -> Lab:
    """A type, and a deployment whose machine is behind an enrolled connector."""
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "berth-hub", "namespace": cluster.namespaces.release},
        "spec": {"ports": [{"name": "links", "port": 8443}], "selector": {"none": "such"}},
    }
    await cluster.client.create(Kind("v1", "services"), cluster.namespaces.release, service)
    lab = Lab(cluster.client, cluster.namespaces)
    await lab.type()
    machine = {"connector": {"name": "bench-7", "ports": [{"port": port, "target": robot.target}]}}
    await lab.create(DEPLOYMENTS, "arm", {"type": "bench", "machine": machine})
    return lab


async def machine_file(lab: Lab, instance: str) -> tuple[int, dict[str, Any]]:
    """The epoch of an instance that is bound, and what its agent gets."""
    bound = await lab.until(INSTANCES, instance, lambda o: condition(o, "Bound", "status") == "True", seconds=20)
    status = bound["status"]
    secret = await lab.get(SECRETS, f"i-{status['id']}-e{status['epoch']}-{status['nonce']}-agent")
    return status["epoch"], json.loads(base64.b64decode(secret["data"]["machine.json"]))


async def test_a_lease_reaches_its_machine_and_neither_outlives_its_end_nor_survives_the_next(
    cluster: Cluster, robot: Robot
) -> None:
    cluster.operator()
    cluster.hub()
    port = free_port()
    lab = await made(cluster, robot, port)
    missing = await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Online") == "ConnectorMissing", seconds=30)
    assert condition(missing, "Available", "status") == "False"
    host = cluster.host()
    status, said = await cluster.enroll(host, await cluster.invite(targets=[robot.target]))
    assert status == 0, said
    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Online") == "ConnectorGone")
    host.start()
    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Available") == "Free", seconds=30)

    await lab.instance("first", workspaceType="bench")
    epoch, file = await machine_file(lab, "first")
    assert (epoch, file["ports"]) == (1, {str(port): robot.target})
    bound = await lab.get(INSTANCES, "first")
    policy = await lab.get(POLICIES, f"i-{bound['status']['id']}")
    (entry,) = [one for one in policy["spec"]["egress"] if one.get("ports") == [{"protocol": "TCP", "port": 8443}]]
    assert entry["to"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "hub"}
    first = Workspace(cluster.folder / "first", file, cluster.ports["berth-hub-0"])
    reader, writer = await first.connect()
    writer.write(b"one\n")
    assert await reader.readexactly(4) == b"one\n"
    await cluster.until(lambda one: [(word.epoch, word.over) for word in one.status.words] == [(1, False)])

    await cluster.client.patch(INSTANCES, lab.namespace, "first", {"spec": {"terminate": True}})
    await cluster.until(lambda one: [(word.epoch, word.over) for word in one.status.words] == [(1, True)])
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    await asyncio.to_thread(until, lambda: robot.connected == 0)

    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Available") == "Free", seconds=30)
    await lab.instance("second", workspaceType="bench")
    epoch, file = await machine_file(lab, "second")
    assert epoch == 2
    late_reader, late_writer = await first.connect()
    late_writer.write(b"late\n")
    async with asyncio.timeout(20):
        assert await late_reader.read() == b""
    first.end()
    second = Workspace(cluster.folder / "second", file, cluster.ports["berth-hub-0"])
    reader, writer = await second.connect()
    writer.write(b"two\n")
    assert await reader.readexactly(4) == b"two\n"
    assert robot.lines() == ["one", "two"]
    second.end()


async def test_a_machine_goes_offline_within_ten_seconds_with_its_host_and_comes_back_with_it(
    cluster: Cluster, robot: Robot
) -> None:
    cluster.operator()
    cluster.hub()
    lab = await made(cluster, robot, free_port())
    host = cluster.host()
    status, said = await cluster.enroll(host, await cluster.invite(targets=[robot.target]))
    assert status == 0, said
    host.start()
    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Available") == "Free", seconds=30)
    host.stop()
    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Online") == "ConnectorGone", seconds=10)
    host.start()
    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Available") == "Free", seconds=30)


async def test_of_two_deployments_with_one_target_the_older_is_lent(cluster: Cluster, robot: Robot) -> None:
    cluster.operator()
    cluster.hub()
    lab = await made(cluster, robot, free_port())
    host = cluster.host()
    assert (await cluster.enroll(host, await cluster.invite(targets=[robot.target])))[0] == 0
    host.start()
    await lab.until(DEPLOYMENTS, "arm", lambda o: condition(o, "Available") == "Free", seconds=30)
    spec = (await lab.get(DEPLOYMENTS, "arm"))["spec"]
    await lab.create(DEPLOYMENTS, "twin", {"type": "bench", "machine": spec["machine"]})
    await lab.until(DEPLOYMENTS, "twin", lambda o: condition(o, "Online") == "TargetInUse", seconds=20)
    assert condition(await lab.get(DEPLOYMENTS, "arm"), "Available") == "Free"
