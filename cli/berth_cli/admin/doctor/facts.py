"""Facts of a checkup, read from the cluster. A fact that the caller may not read is :class:`Unseen`."""

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from berth_cli.admin.cluster import server_time
from berth_cli.admin.doctor.summary import Held
from berth_cli.admin.doctor.validation import NETWORK_POLICIES, WORKLOADS, schema_of
from berth_core import names
from berth_core.firewall import Network, parse_source
from berth_core.kube.client import Client
from berth_core.kube.errors import ForbiddenError, NotFoundError
from berth_core.kube.types import Kind, Object
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
POLICIES: Final = Kind("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", namespaced=False)
QUOTAS: Final = Kind("v1", "resourcequotas")
PROCESSES: Final = WORKLOADS["Deployment"]
LEASES: Final = Kind("coordination.k8s.io/v1", "leases")
SERVICES: Final = Kind("v1", "services")
SECRETS: Final = Kind("v1", "secrets")
CONFIGMAPS: Final = Kind("v1", "configmaps")
BUDGETS: Final = Kind("policy/v1", "poddisruptionbudgets")
DEVICE_CLASSES: Final = Kind("resource.k8s.io/v1", "deviceclasses", namespaced=False)
INGRESSES: Final = Kind("networking.k8s.io/v1", "ingresses")
COUNTED: Final = {kind.plural: kind for kind in (CONFIGMAPS, Kind("v1", "persistentvolumeclaims"), SERVICES)}
"""Kinds that the value `bounds.quota` bounds and that are counted here."""
ACCESS: Final = (Account, IssuedToken, TokenRevocation)
"""Kinds of the access namespace."""
LEADER: Final = "berth-operator"
QUOTA: Final = "berth"
"""Name of the ResourceQuota that the chart makes of `bounds.quota`."""
WORKSPACES_VARIABLE: Final = "BERTH_WORKSPACE_NAMESPACES"
ACCESS_VARIABLE: Final = "BERTH_ACCESS_NAMESPACE"
BOUNDS_VARIABLE: Final = "BERTH_MOST_OBJECTS"
QUOTA_VARIABLE: Final = "BERTH_QUOTA"
RUNTIME_CLASSES_VARIABLE: Final = "BERTH_RUNTIME_CLASSES"
CLOSED_VARIABLES: Final = ("BERTH_BLOCKED_CIDRS", "BERTH_MACHINE_CIDRS")
THOUSANDS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_WHOLE: Final = re.compile(r"(\d+)([kMG]?)")
"""A number as quotas hold it: the API server writes 20000 as 20k."""
_ALLOWED: Final = re.compile(r"runtimeClassName in (\[.*\])$")
"""In the policy that the chart makes of the allowed RuntimeClasses."""


@dataclass(frozen=True)
class Unseen:
    """A fact that could not be read, and why."""

    why: str


@dataclass(frozen=True)
class Values:
    """Limits that the chart's values set for objects."""

    most: Mapping[str, int] | Unseen
    """Most objects of a kind (its plural) in a workspace namespace."""
    closed: Sequence[Network] | Unseen
    """Networks that workspaces cannot reach."""
    runtime_classes: Sequence[str] | Unseen
    """RuntimeClasses that types may name; empty for any."""


@dataclass(frozen=True)
class Stored:
    """Stored objects that Berth's own rules judge, and the values of these rules."""

    values: Values
    held: Held

    @property
    def types(self) -> Sequence[WorkspaceType] | Unseen:
        """Types that can be read."""
        return self._of(WorkspaceType, self.held.types)

    @property
    def deployments(self) -> Sequence[WorkspaceDeployment] | Unseen:
        """Deployments that can be read."""
        return self._of(WorkspaceDeployment, self.held.deployments)

    @property
    def vpns(self) -> Sequence[Instance] | Unseen:
        """Active instances with a VPN."""
        return self._of(Instance, self.held.vpns)

    def _of(self, kind: type[Resource], objects: Sequence[T]) -> Sequence[T] | Unseen:
        why = self.held.unseen.get(kind.KIND)
        return objects if why is None else Unseen(why)


@dataclass(frozen=True)
class Facts(Stored):
    """All facts. Processes are the release's Deployments by component, None where there is none."""

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
    authority: bytes | Unseen | None
    """Certificate (PEM) of the agents' authority."""
    keys: Mapping[str, bool] | Unseen
    """Whether each of the release's key objects exists, by name."""
    device_classes: Sequence[Object] | Unseen
    budgets: Mapping[str, bool] | Unseen
    """Whether the budget exists that keeps pods of leases from eviction, by workspace namespace."""


def environment(process: Object | None, container: str) -> dict[str, str]:
    """Return the plain environment variables of a process. Pure."""
    containers = (((process or {}).get("spec") or {}).get("template") or {}).get("spec", {}).get("containers") or []
    spec: Object = next((one for one in containers if one["name"] == container), {})
    return {entry["name"]: entry["value"] for entry in spec.get("env") or () if "value" in entry}


def words(text: str) -> list[str]:
    """Split a comma list. Pure."""
    return [word for word in text.split(",") if word]


async def gather(client: Client, release: str, workspaces: Sequence[str]) -> Facts:
    """Read all facts. Without ``workspaces``, the namespaces are those of the operator's environment."""
    version = str((await client.request("GET", "/version"))["gitVersion"])
    now, here = await server_time(client), datetime.now(UTC)
    processes = await observed(_processes(client, release))
    variables = environment(processes["operator"], "operator") if isinstance(processes, dict) else {}
    where = list(workspaces) or words(variables.get(WORKSPACES_VARIABLE, "")) or ["berth-workspaces"]
    return Facts(
        values=await _values(client, release, where, processes),
        held=await hold(client, where, [variables.get(ACCESS_VARIABLE) or "berth-access"]),
        release=release,
        version=version,
        now=now,
        here=here,
        definitions=await observed(every(client, DEFINITIONS, [None])),
        processes=processes,
        leader=await observed(one_of(client, LEASES, release, LEADER)),
        services=await observed(every(client, SERVICES, where, {names.MANAGED_BY_LABEL: names.MANAGED_BY})),
        front=await observed(one_of(client, SERVICES, release, "berth-api")),
        ingresses=await observed(every(client, INGRESSES, [release])),
        authority=await observed(_authority(client, release)),
        keys=await observed(_keys(client, release)),
        device_classes=await observed(every(client, DEVICE_CLASSES, [None])),
        budgets=await observed(_budgets(client, where)),
    )


def values_of(variables: Mapping[str, str]) -> Values:
    """Return the values from the environment variables that the chart gives to its Job. Pure."""
    objects, quota = (json.loads(variables.get(name) or "{}") for name in (BOUNDS_VARIABLE, QUOTA_VARIABLE))
    return Values(
        most=objects | _numbers(quota),
        closed=_closed(variables),
        runtime_classes=words(variables.get(RUNTIME_CLASSES_VARIABLE, "")),
    )


async def workspaces_of(client: Client, release: str) -> list[str]:
    """Return the workspace namespaces of a release; empty where this caller cannot learn them."""
    process = await observed(one_of(client, PROCESSES, release, "berth-operator"))
    variables = {} if isinstance(process, Unseen) else environment(process, "operator")
    return words(variables.get(WORKSPACES_VARIABLE, ""))


async def hold(client: Client, workspaces: Sequence[str], access: Sequence[str]) -> Held:
    """Judge the objects of workspace and access namespaces, page by page."""
    held = Held()
    for kind in KINDS:
        schema = schema_of(kind)
        for namespace in access if kind in ACCESS else workspaces:
            async for obj in _list(client, held, kind.KIND, kind.api(), namespace):
                held.take(kind, schema, obj)
    for namespace in workspaces:
        for what, workload in WORKLOADS.items():
            async for obj in _list(client, held, what, workload, namespace, metadata_only=True):
                held.take_workload(what, obj["metadata"])
        async for policy in _list(client, held, "NetworkPolicy", NETWORK_POLICIES, namespace):
            held.take_policy(policy)
        for plural, kind_counted in COUNTED.items():
            try:
                held.counts[namespace, plural] = await client.count(kind_counted, namespace)
            except ForbiddenError as error:
                held.unseen[plural] = error.message
    return held


async def _list(
    client: Client, held: Held, what: str, kind: Kind, namespace: str, *, metadata_only: bool = False
) -> AsyncIterator[Object]:
    """Yield objects page by page; none of a kind that is not installed yet."""
    try:
        async for page, _ in client.pages(kind, namespace, metadata_only=metadata_only):
            for obj in page:
                yield obj
    except NotFoundError:
        return
    except ForbiddenError as error:
        held.unseen[what] = error.message


async def _values(
    client: Client, release: str, workspaces: Sequence[str], processes: Mapping[str, Object | None] | Unseen
) -> Values:
    """Return the values that are in force: of the operator's environment, of quotas and of policies."""
    variables: Mapping[str, str] | Unseen
    if isinstance(processes, Unseen):
        variables = processes
    elif processes["operator"] is None:
        variables = Unseen("the operator is not there; its environment has the bounds")
    else:
        variables = environment(processes["operator"], "operator")
    quotas = await observed(_quotas(client, workspaces))
    most: Mapping[str, int] | Unseen
    if isinstance(variables, Unseen) or isinstance(quotas, Unseen):
        most = variables if isinstance(variables, Unseen) else Unseen(str(quotas))
    else:
        most = json.loads(variables.get(BOUNDS_VARIABLE, "{}")) | quotas  # an earlier version has none
    return Values(
        most=most,
        closed=variables if isinstance(variables, Unseen) else _closed(variables),
        runtime_classes=await observed(_runtime_classes(client, release)),
    )


def _closed(variables: Mapping[str, str]) -> list[Network]:
    return [parse_source(word) for name in CLOSED_VARIABLES for word in words(variables.get(name, ""))]


async def _quotas(client: Client, workspaces: Sequence[str]) -> dict[str, int]:
    """Return the least that the chart's quotas allow of each kind, in any namespace."""
    least: dict[str, int] = {}
    for namespace in workspaces:
        quota = await one_of(client, QUOTAS, namespace, QUOTA)
        for plural, most in _numbers(((quota or {}).get("spec") or {}).get("hard", {})).items():
            least[plural] = min(most, least.get(plural, most))
    return least


def _numbers(hard: Mapping[str, Any]) -> dict[str, int]:
    """Read a quota's numbers of countable kinds. Others are not counted here; their name gets the amount."""
    read = {name: _WHOLE.fullmatch(str(most)) for name, most in hard.items()}
    return {
        name if match else f"{name} ({hard[name]})": int(match[1]) * THOUSANDS[match[2]] if match else 0
        for name, match in read.items()
    }


async def _runtime_classes(client: Client, release: str) -> list[str]:
    policy = await one_of(client, POLICIES, None, f"berth-isolation-{release}-types")
    validations: list[Any] = ((policy or {}).get("spec") or {}).get("validations") or []
    matches = [match for one in validations if (match := _ALLOWED.search(one["expression"].strip())) is not None]
    return [name for match in matches for name in json.loads(match[1])]


async def observed(work: Awaitable[T]) -> T | Unseen:
    """Return what was read, or why it could not be."""
    try:
        return await work
    except (ForbiddenError, NotFoundError) as error:
        return Unseen(error.message)


async def one_of(client: Client, kind: Kind, namespace: str | None, name: str) -> Object | None:
    """Read an object; None where there is none."""
    try:
        return await client.get(kind, namespace, name)
    except NotFoundError:
        return None


async def every(
    client: Client, kind: Kind, namespaces: Sequence[str | None], labels: Mapping[str, str] | None = None
) -> list[Object]:
    """Read all objects of some namespaces, without ``managedFields``."""
    objects: list[Object] = []
    for namespace in namespaces:
        async for page, _ in client.pages(kind, namespace, labels=labels):
            for obj in page:
                obj["metadata"].pop("managedFields", None)
            objects += page
    return objects


async def _processes(client: Client, release: str) -> dict[str, Object | None]:
    components = ("operator", "api", "notifier")
    return {name: await one_of(client, PROCESSES, release, f"berth-{name}") for name in components}


async def _authority(client: Client, release: str) -> bytes | None:
    secret = await one_of(client, SECRETS, release, names.AGENT_CA_SECRET)
    return base64.b64decode((secret.get("data") or {}).get("tls.crt", "")) if secret is not None else None


async def _keys(client: Client, release: str) -> dict[str, bool]:
    places = (
        (SECRETS, names.SIGNING_SECRET),
        (CONFIGMAPS, names.VERIFICATION_CONFIGMAP),
        (SECRETS, names.WEBHOOK_SECRET),
        (CONFIGMAPS, names.WEBHOOK_CONFIGMAP),
    )
    return {name: await one_of(client, kind, release, name) is not None for kind, name in places}


async def _budgets(client: Client, workspaces: Sequence[str]) -> dict[str, bool]:
    return {where: await one_of(client, BUDGETS, where, names.LEASES_BUDGET) is not None for where in workspaces}
