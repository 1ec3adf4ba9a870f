"""A test's namespaces, and shorthands to make and await things in them."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from berth_core import names
from berth_core.ids import uuid7
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_dev.envtest.testing import Namespaces

BERTH = "berth.dev/v1alpha1"
INSTANCES = Kind(BERTH, "instances")
DEPLOYMENTS = Kind(BERTH, "workspacedeployments")
TYPES = Kind(BERTH, "workspacetypes")
RULES = Kind(BERTH, "firewallrules")
VPN_CLIENTS = Kind(BERTH, "vpnclients")
RESERVATIONS = Kind(BERTH, "reservations")
ACCESS_RULES = Kind(BERTH, "accessrules")
GRANTS = Kind(BERTH, "machinegrants")
DELIVERIES = Kind(BERTH, "deliveries")
PROJECTS = Kind(BERTH, "projects")
BUILDS = Kind(BERTH, "builds")
PODS = Kind("v1", "pods")
SERVICES = Kind("v1", "services")
SECRETS = Kind("v1", "secrets")
POLICIES = Kind("networking.k8s.io/v1", "networkpolicies")
LEASES = Kind("coordination.k8s.io/v1", "leases")
EVENTS = Kind("events.k8s.io/v1", "events")
SECONDS = 60.0
"""Limit of waits for what is to come about, on a busy machine too. A promised time is said at its call."""
UNSWEPT_SECONDS = 20.0
"""Limit of waits for what a pass does at once: a sweep does it too, a minute after the one before."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test"


@dataclass
class Lab:
    """A test's namespaces, a client, and shorthands to make and await things in them."""

    client: Client
    namespaces: Namespaces

    @property
    def namespace(self) -> str:
        return self.namespaces.workspaces

    async def create(self, kind: Kind, name: str, spec: Object, **metadata: Any) -> Object:
        kinds = {
            INSTANCES: "Instance",
            DEPLOYMENTS: "WorkspaceDeployment",
            TYPES: "WorkspaceType",
            RULES: "FirewallRule",
            VPN_CLIENTS: "VPNClient",
            RESERVATIONS: "Reservation",
            ACCESS_RULES: "AccessRule",
            GRANTS: "MachineGrant",
            DELIVERIES: "Delivery",
            PROJECTS: "Project",
            BUILDS: "Build",
        }
        body = {
            "apiVersion": BERTH,
            "kind": kinds[kind],
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": spec,
        }
        return await self.client.create(kind, self.namespace, body)

    async def type(self, type_name: str = "bench", **spec: Any) -> Object:
        template = {"image": "workspace.invalid/none:1", "nodeSelector": {"none": "such"}}
        return await self.create(
            TYPES, type_name.replace("_", "-"), {"typeName": type_name, "template": template} | spec
        )

    async def deployment(self, name: str, type_name: str = "bench", **spec: Any) -> Object:
        made = await self.create(DEPLOYMENTS, name, {"type": type_name} | spec)
        await self.until(DEPLOYMENTS, name, lambda o: condition(o, "Available") == "Free", seconds=30)
        return made

    async def instance(self, name: str | None = None, **spec: Any) -> str:
        name = name or uuid7(int(datetime.now(UTC).timestamp() * 1000))
        await self.create(INSTANCES, name, {"user": "ada", "sshKeys": [KEY]} | spec)
        return name

    async def claimed(self, deployment: str, **spec: Any) -> str:
        """An Instance as the API makes it: the lease first."""
        now = datetime.now(UTC)
        name = uuid7(int(now.timestamp() * 1000))
        lease = await leasing.take(self.client, self.namespace, deployment, instance=name, user="ada", now=now)
        claim = {"deployment": deployment, "epoch": lease.epoch}
        return await self.instance(name, workspaceType="bench", claim=claim, **spec)

    async def reservation(self, name: str, user: str = "ada", *, wish: Object | None = None, **spec: Any) -> Object:
        """A place in the queue: for `workspaceType`, or for `deployments`."""
        wanted = {"user": user, "sshKeys": [KEY], **(wish or {})}
        return await self.create(RESERVATIONS, name, {"user": user, "instance": wanted} | spec)

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read one object as soon as it is there: the operator makes what belongs together side by side."""
        return await self.until(kind, name, bool, namespace=namespace)

    async def kept(self, kind: Kind, name: str) -> Object:
        """Read one object that must be there still: one that is made again does not count."""
        return await self.client.get(kind, self.namespace, name)

    async def until(
        self,
        kind: Kind,
        name: str,
        holds: Callable[[Object], Any],
        *,
        seconds: float = SECONDS,
        namespace: str | None = None,
    ) -> Object:
        """Watch one object until the predicate holds."""
        where = namespace or self.namespace
        last: Object = {}
        try:
            async with asyncio.timeout(seconds):
                objects, version = await self.client.list(kind, where, fields={"metadata.name": name})
                for obj in objects:
                    last = obj
                    if holds(obj):
                        return obj
                while True:
                    async for event in self.client.watch(kind, where, version, fields={"metadata.name": name}):
                        version = event.object["metadata"]["resourceVersion"]
                        if event.type in ("ADDED", "MODIFIED"):
                            last = event.object
                            if holds(last):
                                return last
        except TimeoutError:
            pytest.fail(f"{kind.plural}/{name} never got there; last seen: {json.dumps(last, indent=1)}")

    async def until_gone(
        self, kind: Kind, name: str, *, seconds: float = SECONDS, namespace: str | None = None
    ) -> None:
        """Watch one object until it is deleted."""
        where = namespace or self.namespace
        async with asyncio.timeout(seconds):
            objects, version = await self.client.list(kind, where, fields={"metadata.name": name})
            if not objects:
                return
            while True:
                async for event in self.client.watch(kind, where, version, fields={"metadata.name": name}):
                    if event.type == "DELETED":
                        return

    async def told(self, reason: str, words: str, *, seconds: float = SECONDS) -> Object:
        """Watch Events until there is one with that reason and those words."""

        def fits(event: Object) -> bool:
            return event.get("reason") == reason and words in event["note"]

        events, version = await self.client.list(EVENTS, self.namespace)
        for event in filter(fits, events):
            return event
        async with asyncio.timeout(seconds):
            while True:
                async for news in self.client.watch(EVENTS, self.namespace, version):
                    if news.type == "ADDED" and fits(news.object):
                        return news.object

    async def absent(self, kind: Kind, name: str, namespace: str | None = None) -> bool:
        try:
            await self.client.get(kind, namespace or self.namespace, name)
        except NotFoundError:
            return True
        return False

    async def secrets(self, instance_id: str) -> list[str]:
        """Names of the Secrets of an instance's lease, those of hooks too."""
        found, _ = await self.client.list(SECRETS, self.namespace, labels={"berth.dev/instance": instance_id})
        return [secret["metadata"]["name"] for secret in found]

    async def lease(self, deployment: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = ((await self.get(DEPLOYMENTS, deployment)).get("status") or {}).get("lease")
        return found

    async def bind(self, pod: str, node: str) -> None:
        """Say where a pod runs, as a scheduler does."""
        target: Object = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding: Object = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        await self.client.request("POST", PODS.path(self.namespace, pod, "binding"), body=binding)

    async def status_patch(self, kind: Kind, name: str, status: Object) -> None:
        await self.client.patch(kind, self.namespace, name, {"status": status}, subresource="status")


def is_tombstone(obj: Object) -> bool:
    """Whether an Instance only keeps the name of one that was never made."""
    return names.NEVER_MADE_LABEL in obj["metadata"].get("labels", {})


def mounted(pod: Object) -> list[str]:
    """Names of the Secrets that a pod mounts."""
    return [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]


def condition(obj: Object, kind: str, field: str = "reason") -> str | None:
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry["type"] == kind:
            return str(entry[field])
    return None
