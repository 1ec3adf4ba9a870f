"""Ends objects that were made with a revoked token."""

import asyncio
from collections.abc import Iterable
from typing import Final

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Object
from berth_core.reading import at
from berth_core.resources import (
    AccessRule,
    Build,
    FirewallRule,
    Instance,
    Project,
    Reservation,
    Resource,
    VPNClient,
    WorkspaceDeployment,
)

DELETED: Final = (Reservation, VPNClient, FirewallRule, AccessRule, Project)
"""Kinds that end by deletion; a Project's builds go with it. Reservations come first: their turns make Instances."""
LOCKED: Final = "is locked: look at the machine, then `berth deployment unlock` it or `berth deployment dissolve` it"
SHUT: Final = (("action", ("DROP", "REJECT")), ("capability", ("CAP_NO_INSTANTIATE",)))
"""Fields and values of rules that only forbid: they stay, since their removal would permit more."""
LATE_SECONDS: Final = 20.0
"""Time after which no request is under way any more that began while the token counted."""


async def end(client: Client, namespaces: Iterable[str], sha256: str) -> list[str]:
    """End a token's objects, now and once more when no new ones can come. Returns what was done."""
    places = list(namespaces)
    lines = [line for namespace in places for line in await _once(client, namespace, sha256)]
    await asyncio.sleep(LATE_SECONDS)
    lines += [line for namespace in places for line in await _once(client, namespace, sha256)]
    return list(dict.fromkeys(lines))


async def _once(client: Client, namespace: str, sha256: str) -> list[str]:
    lines = []
    for kind in DELETED:
        for obj in await _objects_of(client, kind, namespace, sha256):
            name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
            if any(at(obj, "spec", field) in values for field, values in SHUT):
                lines.append(f"{kind.KIND} {name} of {namespace} stays, since it only shuts")
                continue
            await client.delete(kind.api(), namespace, name, uid=uid)
            lines.append(f"{kind.KIND} {name} of {namespace} is deleted")
    for obj in await _objects_of(client, Build, namespace, sha256):
        attempt = at(obj, "spec", "attempt") or 1
        if at(obj, "spec", "cancel") != attempt and not at(obj, "status", "endTime"):
            lines += await _change(client, Build, obj, {"cancel": attempt})
    for obj in await _objects_of(client, Instance, namespace, sha256):
        if not at(obj, "spec", "terminate") and not at(obj, "status", "endTime"):
            lines += await _change(client, Instance, obj, {"terminate": True})
    for obj in await _objects_of(client, WorkspaceDeployment, namespace, sha256):
        if not at(obj, "spec", "lockout") and not at(obj, "spec", "dissolved"):
            lines += await _change(client, WorkspaceDeployment, obj, {"lockout": True}, LOCKED)
    return lines


async def _objects_of(client: Client, kind: type[Resource], namespace: str, sha256: str) -> list[Object]:
    objects, _ = await client.list(kind.api(), namespace, labels=names.token_labels(sha256))
    return objects


async def _change(client: Client, kind: type[Resource], obj: Object, spec: Object, becomes: str = "ends") -> list[str]:
    metadata = obj["metadata"]
    body = {"metadata": {"uid": metadata["uid"]}, "spec": spec}
    try:
        await client.patch(kind.api(), metadata["namespace"], metadata["name"], body)
    except NotFoundError:
        return []  # it is gone meanwhile
    return [f"{kind.KIND} {metadata['name']} of {metadata['namespace']} {becomes}"]
