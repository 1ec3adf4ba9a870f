"""Types, deployments and states of instances, as administrators and the operator make them."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance, Reservation, WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.testing import Namespaces, looked_at

WAIT_SECONDS = 60
LATER = "2026-01-01T00:00:00Z"
SECRETS = Kind("v1", "secrets")


@dataclass
class World:
    """Resources of the tests, and the API that shows them."""

    client: Client
    namespaces: Namespaces
    http: httpx.AsyncClient
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _replicas: list[httpx.AsyncClient] = field(default_factory=list)

    @contextmanager
    def heard_at(self, replica: httpx.AsyncClient) -> Iterator[None]:
        """Wait for types and deployments until another API process lists them, too."""
        self._replicas.append(replica)
        try:
            yield
        finally:
            self._replicas.remove(replica)

    async def type(self, name: str | None = None, *, deployments: int = 0, **spec: Any) -> str:
        """Make a type of the test's own, with some deployments; wait until the API lists it."""
        name = name or f"type_{next(self._numbers)}"
        resource = name.replace("_", "-").lower()
        body = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "WorkspaceType",
            "metadata": {"name": resource, "namespace": self.namespaces.workspaces},
            "spec": {"typeName": name, "template": {"image": "example.test/workspace:1"}} | spec,
        }
        await self.client.create(WorkspaceType.api(), self.namespaces.workspaces, body)
        for _ in range(deployments):
            await self.deployment(name)
        await eventually(lambda: self._lists_type(name))
        return name

    async def deployment(self, type_name: str, **spec: Any) -> str:
        """Make a deployment; answer its public id once the API lists it."""
        number = next(self._numbers)
        body = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "WorkspaceDeployment",
            "metadata": {"name": f"wd-{number}", "namespace": self.namespaces.workspaces},
            "spec": {"type": type_name} | spec,
        }
        made = await self.client.create(WorkspaceDeployment.api(), self.namespaces.workspaces, body)
        public_id = WorkspaceDeployment.parse(await looked_at(self.client, made)).public_id
        await eventually(lambda: self._lists_deployment(type_name, public_id))
        return public_id

    async def look_at(self, public_id: str) -> None:
        """Let the operator have looked at a deployment that was registered over HTTP."""
        found = (await self.deployment_resource(public_id)).metadata
        await looked_at(self.client, {"metadata": {"namespace": found.namespace, "name": found.name}})

    async def deployment_resource(self, public_id: str) -> WorkspaceDeployment:
        """The resource of a public id, read live."""
        objects, _ = await self.client.list(WorkspaceDeployment.api(), self.namespaces.workspaces)
        return next(wd for wd in map(WorkspaceDeployment.parse, objects) if wd.public_id == public_id)

    async def instance_resource(self, public_id: str) -> Instance:
        """The resource of an instance that the API made."""
        return Instance.parse(await self.client.get(Instance.api(), self.namespaces.workspaces, public_id))

    async def with_a_key(self) -> set[str]:
        """Public ids of the instances that Secrets are kept for, whether or not there are such instances."""
        found, _ = await self.client.list(SECRETS, self.namespaces.access, labels={names.INSTANCE_LABEL: ""})
        return {secret["metadata"]["labels"][names.INSTANCE_LABEL] for secret in found}

    async def as_operator(self, instance_id: str, **status: Any) -> None:
        """Write an instance's status in the operator's place; `conditions` are given as {type: status}."""
        found = await self.instance_resource(instance_id)
        given: dict[str, str] = status.pop("conditions", {})
        before = {c.type: c.status for c in found.status.conditions}
        conditions = [
            {"type": kind, "status": value, "reason": "Test", "message": "", "lastTransitionTime": LATER}
            for kind, value in sorted((before | given).items())
        ]
        body: Object = {"status": {"id": instance_id, "conditions": conditions} | status}
        await self.client.patch(Instance.api(), self.namespaces.workspaces, instance_id, body, subresource="status")

    async def bind(self, instance_id: str) -> None:
        """Let the operator's first step have happened."""
        found = await self.instance_resource(instance_id)
        assert found.spec.claim is not None
        await self.as_operator(
            instance_id,
            deployment=found.spec.claim.deployment,
            epoch=found.spec.claim.epoch,
            startTime="2026-01-01T00:00:00Z",
            conditions={"Bound": "True"},
        )

    async def make_ready(self, instance_id: str, lasts: int | None = 3600) -> datetime:
        """Let the operator have come to the end of a start a second ago; answer when that was.

        The end is `lasts` seconds later, or never; the status is up to date with the spec.
        """
        await self.bind(instance_id)
        since = datetime.now(UTC) - timedelta(seconds=1)
        end = (since + timedelta(seconds=lasts)).replace(microsecond=0) if lasts is not None else None
        await self.as_operator(
            instance_id,
            address={"ipv4": "192.0.2.9", "port": 30022},
            hostKeys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"],
            readyTime=timestamp(since),
            expireTime=timestamp(end) if end is not None else None,
            observedGeneration=(await self.instance_resource(instance_id)).metadata.generation,
            conditions={"PodReady": "True", "NetworkReady": "True", "Ready": "True"},
        )
        return since

    async def silence(self, deployment_id: str, since: str) -> None:
        """Let the operator have missed a deployment's heartbeat."""
        found = await self.deployment_resource(deployment_id)
        offline = {"type": "Online", "status": "False", "reason": "Silent", "message": "", "lastTransitionTime": since}
        body: Object = {"status": {"conditions": [offline]}}
        kind, metadata = WorkspaceDeployment.api(), found.metadata
        await self.client.patch(kind, metadata.namespace, metadata.name, body, subresource="status")

    async def wait_in_queue(self, user: str, **target: Any) -> str:
        """Put somebody in the queue for a `workspaceType` or for some `deployments`, as kubectl does; the name."""
        body = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "Reservation",
            "metadata": {"generateName": "rsv-", "namespace": self.namespaces.workspaces},
            "spec": {"user": user, "instance": {"user": user} | target} | target,
        }
        return Reservation.parse(await self.made(Reservation.api(), body)).metadata.name

    async def made(self, kind: Kind, body: Object) -> Object:
        """Make something as kubectl does, and wait until those who watch are told: from then on it counts."""
        made = await self.client.create(kind, self.namespaces.workspaces, body)
        before = str(int(made["metadata"]["resourceVersion"]) - 1)
        async with asyncio.timeout(WAIT_SECONDS):
            async for event in self.client.watch(kind, self.namespaces.workspaces, before):
                if event.object["metadata"]["name"] == made["metadata"]["name"]:
                    return made
        raise AssertionError("the watch ended")

    async def _lists_type(self, name: str) -> bool:
        answers = [await replica.get("/workspaces?with_dissolved") for replica in (self.http, *self._replicas)]
        return all(a.status_code == 200 and name in a.json()["workspace_types"] for a in answers)

    async def _lists_deployment(self, type_name: str, public_id: str) -> bool:
        path = f"/deployments/{type_name}?with_dissolved"
        answers = [await replica.get(path) for replica in (self.http, *self._replicas)]
        return all(a.status_code == 200 and public_id in a.json()["workspace_deployments"] for a in answers)


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Look again and again until something holds, soon at first and less often later; other tasks run in between."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while not await holds():
        assert time.monotonic() < deadline, f"it did not come about within {seconds} s"
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.05)
