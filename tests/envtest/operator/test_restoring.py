"""A plain export of the resources, without status, is put back: everything has ended, and epochs go on from above."""

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from berth_core.ids import uuid7
from berth_core.kube.types import Kind
from berth_core.leases import leasing
from berth_dev.envtest.apiserver import ApiServer

from .lab import DEPLOYMENTS, INSTANCES, PODS, RESERVATIONS, RULES, SECRETS, SERVICES, TYPES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

NODES = Kind("v1", "nodes", namespaced=False)
KINDS = (TYPES, DEPLOYMENTS, INSTANCES, RESERVATIONS, RULES)
OF_THE_CLUSTER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")


@dataclass
class Backup:
    """Berth's resources of one namespace, as docs/how-to/operations.md exports and imports them."""

    lab: Lab
    server: ApiServer

    def export(self) -> str:
        names = ",".join(f"{kind.plural}.berth.dev" for kind in KINDS)
        listed = json.loads(self.server.kubectl("get", names, "-n", self.lab.namespace, "-o", "json"))
        for item in listed["items"]:
            status = item.pop("status", {})
            if item["kind"] == "Reservation":
                place = {"since": item["metadata"]["creationTimestamp"], "version": item["metadata"]["resourceVersion"]}
                place |= status.get("queued", {})
                item["metadata"]["annotations"] = {"berth.dev/queued": "{since} {version}".format(**place)}
            for field in OF_THE_CLUSTER:
                item["metadata"].pop(field, None)
        return json.dumps(listed)

    async def lose(self) -> None:
        """The resources go at once, as with a lost store; pods, Services and Secrets of leases stay."""
        for kind in KINDS:
            objects, _ = await self.lab.client.list(kind, self.lab.namespace, metadata_only=True)
            for obj in objects:
                name = obj["metadata"]["name"]
                if obj["metadata"].get("finalizers"):
                    await self.lab.client.patch(kind, self.lab.namespace, name, {"metadata": {"finalizers": None}})
                await self.lab.client.delete(kind, self.lab.namespace, name)

    def put_back(self, backup: str) -> None:
        self.server.kubectl("create", "-f", "-", stdin=backup)

    def berth_restore(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.berth("restore", "-w", self.lab.namespace, "-n", self.lab.namespaces.release, *words)

    def berth(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "berth_cli.main", *words],
            env=os.environ | {"KUBECONFIG": str(self.server.kubeconfig), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


async def launch(lab: Lab, deployment: str) -> str:
    """Launch an instance as the API does for POST /new; return its id."""
    now = datetime.now(UTC)
    name = uuid7(int(now.timestamp() * 1000))
    lease = await leasing.take(lab.client, lab.namespace, deployment, instance=name, user="ada", now=now)
    await lab.instance(name, deployments=[deployment], claim={"deployment": deployment, "epoch": lease.epoch})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
    await lab.until(PODS, f"i-{name}", bool)
    return name


async def ended(lab: Lab, name: str) -> str:
    """Wait until it has ended; why it did."""
    found = await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=60)
    return str(found["status"]["reason"])


async def run_on_a_silent_node(lab: Lab, node: str, pod: str) -> None:
    """Nobody hears of what is bound to it, so that nothing shows that the pod has ended."""
    await lab.until(PODS, pod, bool)
    await lab.bind(pod, node)


async def attest(lab: Lab, pod: str) -> None:
    """Declare a pod's containers gone, as `berth release --force` does."""
    body = {"metadata": {"annotations": {"berth.dev/released-by-force": "the machine is off"}}}
    await lab.client.patch(PODS, lab.namespace, pod, body)


async def kept_warm(lab: Lab, deployment: str) -> str:
    """Name of the pod that is kept warm for the first lease of a deployment."""
    name = f"w-{(await lab.get(DEPLOYMENTS, deployment))['status']['id']}-e1"
    await lab.until(PODS, name, bool, seconds=20)
    return name


async def in_use(lab: Lab) -> list[str]:
    """Two machines in use, `one` for the third time, `two` by way of kubectl; ids of their instances."""
    node = f"node-{lab.namespace}"
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    await lab.type()
    for name in ("one", "two"):
        await lab.deployment(name)
    found = []
    for _ in range(2):
        found.append(await launch(lab, "one"))
        await lab.client.patch(INSTANCES, lab.namespace, found[-1], {"spec": {"terminate": True}})
        assert await ended(lab, found[-1]) == "Terminated"
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    found.append(await launch(lab, "one"))
    await lab.instance("by-kubectl", deployments=["two"])
    bound = await lab.until(INSTANCES, "by-kubectl", lambda o: condition(o, "Bound", "status") == "True")
    found.append(bound["metadata"]["uid"])
    for instance in found[2:]:
        await run_on_a_silent_node(lab, node, f"i-{instance}")
    return found


async def test_after_a_restore_all_have_ended_and_the_next_lease_has_a_new_epoch(
    lab: Lab, operators: Operators, apiserver: ApiServer
) -> None:
    backup = Backup(lab, apiserver)
    process = operators.start()
    *past, running, by_kubectl = await in_use(lab)
    refused = backup.berth_restore("--yes")
    assert refused.returncode == 1
    assert "the operator runs" in refused.stderr
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    made = await lab.reservation("later", "bob", deployments=["one"], wish={"deployments": ["one"]})
    exported = backup.export()
    await backup.lose()
    backup.put_back(exported)

    said = backup.berth_restore()
    assert said.returncode == 0, said.stderr
    words = {line.split()[0]: line for line in said.stdout.splitlines()}
    ending = {f"inst/{name}" for name in (*past, running, "by-kubectl")}
    assert words.keys() == ending | {"OBJECT", "wd/one", "wd/two", "rsv/later"}
    assert f"instance {running} of ada has it until nothing of it is left; next epoch 5 (was 1)" in words["wd/one"]
    assert f"instance {by_kubectl} of (unknown) has it until" in words["wd/two"], "which only what is left tells"
    assert "status" not in await lab.get(INSTANCES, running), "without --yes nothing is changed"

    done = backup.berth_restore("--yes")
    assert done.returncode == 0, done.stderr
    repeated = backup.berth_restore("--yes")
    assert [line.split()[0] for line in repeated.stdout.splitlines()] == ["OBJECT", "rsv/later"], "it can be repeated"
    assert {name: (await lab.get(DEPLOYMENTS, name))["status"]["epoch"] for name in ("one", "two")} == {
        "one": 4,
        "two": 2,
    }

    was = {"since": made["metadata"]["creationTimestamp"], "version": int(made["metadata"]["resourceVersion"])}
    assert (await lab.get(RESERVATIONS, "later"))["status"]["queued"] == was, "its place in the queue"

    operators.start()
    for name in past:
        assert await ended(lab, name) == "Restored"
    for name, holder in (("one", running), ("two", by_kubectl)):
        await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Quarantined", "status") == "True", seconds=20)
        lease = await lab.lease(name)
        assert lease is not None
        assert lease["instance"] == holder, "as long as its pod may run nobody else has it"
        await attest(lab, f"i-{holder}")
    for name in (running, "by-kubectl"):
        assert await ended(lab, name) == "Restored"
    # A lease whose Instance does not exist is looked into after 30 s.
    await lab.until(DEPLOYMENTS, "two", lambda o: condition(o, "Available") == "Free", seconds=45)
    turn = await lab.until(RESERVATIONS, "later", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=20)
    assert turn["status"]["grant"]["epoch"] == 5
    for instance, kind in itertools.product((running, by_kubectl), (PODS, SERVICES, SECRETS)):
        left, _ = await lab.client.list(kind, lab.namespace, labels={"berth.dev/instance": instance})
        assert left == [], f"{kind.plural} are left"
    late = await lab.instance(deployments=["two"], claim={"deployment": "two", "epoch": 1})
    assert await ended(lab, late) == "ClaimLost", "an old epoch counts for nothing"
    assert (await lab.get(INSTANCES, await launch(lab, "two")))["status"]["epoch"] == 3


@pytest.mark.release(
    twin="tests/envtest/operator/test_restoring.py::test_after_a_restore_all_have_ended_and_the_next_lease_has_a_new_epoch"
)
async def test_a_deployment_waits_after_a_restore_for_a_pod_that_was_kept_warm_and_its_epoch_is_used(
    lab: Lab, operators: Operators, apiserver: ApiServer
) -> None:
    backup, node = Backup(lab, apiserver), f"node-{lab.namespace}"
    process = operators.start()
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    await lab.type(warm=True)
    pods = {}
    for name in ("held", "idle"):
        await lab.deployment(name)
        pods[name] = await kept_warm(lab, name)
    await lab.instance("holder", deployments=["held"])
    await lab.until(INSTANCES, "holder", lambda o: (o.get("status") or {}).get("warm"), seconds=20)
    for pod in pods.values():
        await run_on_a_silent_node(lab, node, pod)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    exported = backup.export()
    await backup.lose()
    backup.put_back(exported)

    done = backup.berth_restore("--yes")
    assert done.returncode == 0, done.stderr
    for name in pods:
        status = (await lab.get(DEPLOYMENTS, name))["status"]
        assert (status["epoch"], "lease" in status) == (1, False), "nothing tells who had it, if anybody"

    operators.start()
    for name in pods:
        await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Begun") == "Remains", seconds=20)
    # An administrator vouches for the pods that no kubelet confirms to be gone.
    for name in pods:
        vouched = backup.berth("release", name, "--force", "--reason", "off", "-w", lab.namespace)
        assert vouched.returncode == 0, vouched.stderr
        free = await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Available") == "Free", seconds=60)
        assert free["status"]["epoch"] == 1
        assert await lab.absent(PODS, pods[name])
