"""What a checkup knows of a cluster, and how it is read: what may not be read is said to be unseen."""

import base64
import json
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from berth_cli.cluster import server_time
from berth_core import crdgen, names
from berth_core.client import Client, Kind, Object
from berth_core.errors import ForbiddenError, NotFoundError
from berth_core.resources import (
    KINDS,
    Account,
    Instance,
    IssuedToken,
    Resource,
    TokenRevocation,
    WorkspaceDeployment,
    WorkspaceType,
)

T = TypeVar("T")

DEFINITIONS: Final = Kind("apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False)
PROCESSES: Final = Kind("apps/v1", "deployments")
LEASES: Final = Kind("coordination.k8s.io/v1", "leases")
SERVICES: Final = Kind("v1", "services")
SECRETS: Final = Kind("v1", "secrets")
CONFIGMAPS: Final = Kind("v1", "configmaps")
INGRESSES: Final = Kind("networking.k8s.io/v1", "ingresses")
WORKLOADS: Final = {
    "Pod": Kind("v1", "pods"),
    "ReplicationController": Kind("v1", "replicationcontrollers"),
    "Deployment": PROCESSES,
    "ReplicaSet": Kind("apps/v1", "replicasets"),
    "StatefulSet": Kind("apps/v1", "statefulsets"),
    "DaemonSet": Kind("apps/v1", "daemonsets"),
    "Job": Kind("batch/v1", "jobs"),
    "CronJob": Kind("batch/v1", "cronjobs"),
}
ACCESS: Final = (Account, IssuedToken, TokenRevocation)
"""Kinds of the access namespace."""
LEADER: Final = "berth-operator"
WORKSPACES_VARIABLE: Final = "BERTH_WORKSPACE_NAMESPACES"
BOUNDS_VARIABLE: Final = "BERTH_MOST_OBJECTS"


@dataclass(frozen=True)
class Unseen:
    """Something that could not be read, and why."""

    why: str


@dataclass(frozen=True)
class Facts:
    """What was seen. Processes are the release's Deployments by component, None where there is none."""

    release: str
    version: str
    now: datetime
    """By the API server's clock, to the second."""
    here: datetime
    """By this machine's clock, when that was read."""
    definitions: Sequence[Object] | Unseen
    processes: Mapping[str, Object | None] | Unseen
    leader: Object | Unseen | None
    services: Sequence[Object] | Unseen
    """Of instances."""
    front: Object | Unseen | None
    """The API's Service."""
    ingresses: Sequence[Object] | Unseen
    types: Sequence[WorkspaceType] | Unseen
    deployments: Sequence[WorkspaceDeployment] | Unseen
    instances: Sequence[Instance] | Unseen
    ours: Sequence[Object] | Unseen
    """Metadata of all resources in the workspace namespaces, with their kind under `what`, and under `larger` fields
    that are larger than the kind allows now."""
    workloads: Sequence[Object] | Unseen
    """The same of what runs there, or has something run."""
    authority: bytes | Unseen | None
    """Certificate (PEM) of the agents' authority."""
    keys: Mapping[str, bool] | Unseen
    """Which of the release's key objects are there, by name."""
    most: Mapping[str, int] | Unseen
    """How many objects of a kind (its plural) a workspace namespace may hold."""


def environment(process: Object | None, container: str) -> dict[str, str]:
    """Return the plain environment variables of a process. Pure."""
    containers = (((process or {}).get("spec") or {}).get("template") or {}).get("spec", {}).get("containers") or []
    found: Object = next((one for one in containers if one["name"] == container), {})
    return {entry["name"]: entry["value"] for entry in found.get("env") or () if "value" in entry}


async def gather(
    client: Client, release: str, workspaces: Sequence[str], most: Mapping[str, int] | None = None
) -> Facts:
    """Read all facts. Workspace namespaces and bounds that are not given are those of the operator's environment."""
    version = str((await client.request("GET", "/version"))["gitVersion"])
    now, here = await server_time(client), datetime.now(UTC)
    processes = await _seen(_processes(client, release))
    where = list(workspaces)
    told = environment(processes["operator"], "operator") if isinstance(processes, dict) else {}
    where = where or [word for word in told.get(WORKSPACES_VARIABLE, "").split(",") if word] or ["berth-workspaces"]
    bounds: Mapping[str, int] | Unseen = json.loads(told.get(BOUNDS_VARIABLE) or "{}") if most is None else most
    return Facts(
        release=release,
        version=version,
        now=now,
        here=here,
        definitions=await _seen(_everywhere(client, DEFINITIONS)),
        processes=processes,
        leader=await _seen(_one(client, LEASES, release, LEADER)),
        services=await _seen(_in(client, SERVICES, where, {names.MANAGED_BY_LABEL: names.MANAGED_BY})),
        front=await _seen(_one(client, SERVICES, release, "berth-api")),
        ingresses=await _seen(_in(client, INGRESSES, [release])),
        types=await _seen(_parsed(client, WorkspaceType, where)),
        deployments=await _seen(_parsed(client, WorkspaceDeployment, where)),
        instances=await _seen(_parsed(client, Instance, where)),
        ours=await _seen(_ours(client, where)),
        workloads=await _seen(_metadata(client, WORKLOADS, where)),
        authority=await _seen(_authority(client, release)),
        keys=await _seen(_keys(client, release)),
        most=processes if isinstance(processes, Unseen) and most is None else bounds,
    )


async def _seen(work: Awaitable[T]) -> T | Unseen:
    try:
        return await work
    except ForbiddenError as error:
        return Unseen(error.message)
    except NotFoundError as error:
        return Unseen(error.message)


async def _one(client: Client, kind: Kind, namespace: str, name: str) -> Object | None:
    try:
        return await client.get(kind, namespace, name)
    except NotFoundError:
        return None


async def _everywhere(client: Client, kind: Kind) -> list[Object]:
    found, _ = await client.list(kind)
    return found


async def _in(
    client: Client, kind: Kind, namespaces: Sequence[str], labels: Mapping[str, str] | None = None
) -> list[Object]:
    found: list[Object] = []
    for namespace in namespaces:
        found += (await client.list(kind, namespace, labels=labels))[0]
    return found


async def _metadata(client: Client, kinds: Mapping[str, Kind], namespaces: Sequence[str]) -> list[Object]:
    return [
        {"what": what, **obj}
        for namespace in namespaces
        for what, kind in kinds.items()
        for obj in (await client.list(kind, namespace, metadata_only=True))[0]
    ]


async def _ours(client: Client, namespaces: Sequence[str]) -> list[Object]:
    found: list[Object] = []
    for kind in KINDS:
        if kind not in ACCESS:
            schema = schema_of(kind)
            for namespace in namespaces:
                async for page, _ in client.pages(kind.api(), namespace):
                    found += [_measured(kind, schema, obj) for obj in page]
    return found


def _measured(kind: type[Resource], schema: Object, obj: Object) -> Object:
    paths = {path for part in ("spec", "status") for path in larger(schema.get(part, {}), obj.get(part), part)}
    return {"what": kind.KIND, "metadata": obj["metadata"], "larger": sorted(paths)}


def schema_of(kind: type[Resource]) -> Object:
    """Return the parts of a kind's schema, as this version has it."""
    version = crdgen.definition(kind)["spec"]["versions"][0]
    parts: Object = version["schema"]["openAPIV3Schema"]["properties"]
    return parts


def larger(schema: Object, value: Any, path: str) -> Iterator[str]:
    """Yield paths of fields that are larger than a schema allows."""
    words = {str: "maxLength", list: "maxItems", dict: "maxProperties", int: "maximum"}
    most = schema.get(words.get(type(value), ""))
    if most is not None and (value if isinstance(value, int) else len(value)) > most:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            if (known := schema.get("properties", {}).get(name) or schema.get("additionalProperties")) is not None:
                yield from larger(known, inner, f"{path}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for inner in value:
            yield from larger(schema["items"], inner, path)


R = TypeVar("R", WorkspaceType, WorkspaceDeployment, Instance)


async def _parsed(client: Client, kind: type[R], namespaces: Sequence[str]) -> list[R]:
    return [kind.parse(obj) for obj in await _in(client, kind.api(), namespaces)]


async def _processes(client: Client, release: str) -> dict[str, Object | None]:
    components = ("operator", "api", "notifier")
    return {name: await _one(client, PROCESSES, release, f"berth-{name}") for name in components}


async def _authority(client: Client, release: str) -> bytes | None:
    secret = await _one(client, SECRETS, release, names.AGENT_CA_SECRET)
    return base64.b64decode((secret.get("data") or {}).get("tls.crt", "")) if secret is not None else None


async def _keys(client: Client, release: str) -> dict[str, bool]:
    wanted = (
        (SECRETS, names.SIGNING_SECRET),
        (CONFIGMAPS, names.VERIFICATION_CONFIGMAP),
        (SECRETS, names.WEBHOOK_SECRET),
        (CONFIGMAPS, names.WEBHOOK_CONFIGMAP),
    )
    return {name: await _one(client, kind, release, name) is not None for kind, name in wanted}
