"""A plain export of the resources, without status, is put back: everything has ended, and epochs go on from above."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from berth_cluster.apiserver import ApiServer
from berth_core import leasing
from berth_core.ids import uuid7
from berth_core.resources import Reservation

from .lab import BERTH, DEPLOYMENTS, INSTANCES, PODS, RULES, SECRETS, SERVICES, TYPES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

RESERVATIONS = Reservation.api()
KINDS = (TYPES, DEPLOYMENTS, INSTANCES, RESERVATIONS, RULES)
OF_THE_CLUSTER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")


@dataclass
class Backup:
    """Berth's resources of one namespace, as docs/operations.md exports and imports them."""

    lab: Lab
    server: ApiServer

    def export(self) -> str:
        names = ",".join(f"{kind.plural}.berth.dev" for kind in KINDS)
        listed = json.loads(self.server.kubectl("get", names, "-n", self.lab.namespace, "-o", "json"))
        for item in listed["items"]:
            item.pop("status", None)
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
        where = ["-w", self.lab.namespace, "-n", self.lab.namespaces.release]
        return subprocess.run(
            [sys.executable, "-m", "berth_cli.main", "restore", *where, *words],
            env=os.environ | {"KUBECONFIG": str(self.server.kubeconfig), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


async def launch(lab: Lab, deployment: str) -> str:
    """What the API does for POST /new; returns the instance's id."""
    now = datetime.now(UTC)
    name = uuid7(int(now.timestamp() * 1000))
    lease = await leasing.take(lab.client, lab.namespace, deployment, instance=name, user="ada", now=now)
    await lab.instance(name, deployments=[deployment], claim={"deployment": deployment, "epoch": lease.epoch})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
    await lab.until(PODS, f"i-{name}", bool)
    return name


async def end(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True")


async def ended(lab: Lab, name: str) -> dict[str, Any]:
    return await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)


async def test_after_a_restore_all_have_ended_and_the_next_lease_has_a_new_epoch(
    lab: Lab, operators: Operators, apiserver: ApiServer
) -> None:
    backup = Backup(lab, apiserver)
    process = operators.start()
    await lab.type()
    for name in ("one", "two"):
        await lab.deployment(name)
    past = await launch(lab, "one")
    await end(lab, past)
    before = await launch(lab, "one")
    await end(lab, before)
    running = await launch(lab, "one")
    await lab.instance("by-kubectl", deployments=["two"])
    by_kubectl = await lab.until(INSTANCES, "by-kubectl", lambda o: condition(o, "Bound", "status") == "True")
    await lab.until(PODS, f"i-{by_kubectl['metadata']['uid']}", bool)
    spec = {"user": "bob", "deployments": ["one"], "instance": {"user": "bob", "deployments": ["one"]}}
    reservation = {"apiVersion": BERTH, "kind": "Reservation", "metadata": {"name": "later"}, "spec": spec}

    refused = backup.berth_restore("--yes")
    assert refused.returncode == 1
    assert "the operator runs" in refused.stderr
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    await lab.client.create(RESERVATIONS, lab.namespace, reservation)
    exported = backup.export()
    await backup.lose()
    backup.put_back(exported)

    said = backup.berth_restore()
    assert said.returncode == 0, said.stderr
    words = {line.split()[0]: line for line in said.stdout.splitlines()}
    ending = {f"inst/{name}" for name in (past, before, running, "by-kubectl")}
    assert words.keys() == ending | {"OBJECT", "wd/one", "wd/two", "rsv/later"}
    assert "next epoch 4 (was 1)" in words["wd/one"]
    assert "next epoch 2 (was 1)" in words["wd/two"], "which only what is left of its lease tells"
    assert "status" not in await lab.get(INSTANCES, running), "without --yes nothing is changed"

    done = backup.berth_restore("--yes")
    assert done.returncode == 0, done.stderr
    assert (await lab.get(DEPLOYMENTS, "one"))["status"]["epoch"] == 3
    await lab.client.delete(RESERVATIONS, lab.namespace, "later")
    assert "nothing to do" in backup.berth_restore("--yes").stderr, "it can be repeated"

    operators.start()
    for name in (past, running, "by-kubectl"):
        assert (await ended(lab, name))["status"]["reason"] == "Restored"
    for kind in (PODS, SERVICES, SECRETS):
        left, _ = await lab.client.list(kind, lab.namespace, labels={"berth.dev/instance": running})
        assert left == [], f"{kind.plural} are left"
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    again = await lab.get(INSTANCES, await launch(lab, "one"))
    assert again["status"]["epoch"] == 4
