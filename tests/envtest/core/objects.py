"""Resources that the API server takes, to be spoilt by tests."""

import uuid
from typing import Any

from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.names import API_VERSION
from berth_core.resources import (
    AccessRule,
    Account,
    Build,
    Connector,
    Delivery,
    FirewallRule,
    Instance,
    IssuedToken,
    Project,
    Reservation,
    Resource,
    TokenRevocation,
    VPNClient,
    WorkspaceDeployment,
    WorkspaceType,
)

SHA256 = "5e" * 32

SPECS: dict[type[Resource], Object] = {
    WorkspaceType: {"typeName": "misty", "template": {"image": "example/workspace:1"}},
    WorkspaceDeployment: {
        "type": "misty",
        "machine": {
            "network": {
                "addresses": ["192.0.2.40/32", "2001:db8::40/128"],
                "ports": [{"protocol": "UDP", "port": 7400, "endPort": 7500}],
            }
        },
    },
    Instance: {"user": "alice", "workspaceType": "misty"},
    Reservation: {"user": "alice", "workspaceType": "misty", "instance": {"user": "alice", "workspaceType": "misty"}},
    FirewallRule: {"instance": "i", "source": "192.0.2.0/24"},
    VPNClient: {"instance": "i"},
    AccessRule: {"deployment": "misty-1", "capability": "CAP_INSTANTIATE", "ruleID": 1},
    Account: {"user": "alice"},
    IssuedToken: {
        "sha256": SHA256,
        "user": "alice",
        "issued": "2026-05-01T00:00:00Z",
        "expires": "2026-05-02T00:00:00Z",
    },
    TokenRevocation: {"sha256": SHA256, "expires": "2026-05-02T00:00:00Z"},
    Delivery: {
        "url": "https://example.org/hook",
        "payload": "{}",
        "id": "msg_1",
        "user": "alice",
        "reservation": "r",
        "instance": "i",
    },
    Project: {"name": "arm", "user": "alice", "repoURL": "https://git.example.org/lab/arm.git"},
    Build: {"project": "arm", "user": "alice", "branch": "main"},
    Connector: {
        "targets": ["127.0.0.1:30002", "[::1]:80"],
        "enrolment": {"tokenHash": SHA256, "expires": "2026-05-02T00:00:00Z"},
    },
}
NAMES: dict[type[Resource], str] = {IssuedToken: SHA256}
"""Where a name is not free."""


def manifest(kind: type[Resource], name: str | None = None, **spec: Any) -> Object:
    """A valid object with fields of its spec replaced; None leaves a field out."""
    merged = {key: value for key, value in (SPECS[kind] | spec).items() if value is not None}
    metadata = {"name": name or NAMES.get(kind) or f"x-{uuid.uuid4().hex[:12]}"}
    return {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": metadata, "spec": merged}


async def create(client: Client, namespace: str, kind: type[Resource], name: str | None = None, **spec: Any) -> Object:
    """Make one; returns it as the API server has it."""
    return await client.create(kind.api(), namespace, manifest(kind, name, **spec))


async def patch(client: Client, obj: Object, kind: type[Resource], body: Object, *, status: bool = False) -> Object:
    """Merge-patch spec or status."""
    where = obj["metadata"]
    subresource = "status" if status else None
    return await client.patch(kind.api(), where["namespace"], where["name"], body, subresource=subresource)
