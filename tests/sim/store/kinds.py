"""The kinds that are served: those of crds/*.yaml, and those of Kubernetes that Berth touches."""

from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import yaml

from .schema import Node, compiled

CRDS: Final = Path(__file__).parents[3] / "crds"
_META: Final = frozenset({"metadata.name", "metadata.namespace"})


@dataclass(frozen=True, eq=False)
class Resource:
    """One served kind."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    """Whether it has the status subresource."""
    counted: bool = False
    """Whether metadata.generation counts changes of the spec."""
    selectable: frozenset[str] = _META
    schema: Node | None = field(default=None, repr=False)
    """None for Kubernetes' own kinds."""
    returns_deleted: bool = False
    """Whether a DELETE that removes the object is answered with it, not with a Status."""

    @property
    def api_version(self) -> str:
        """As objects have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages have it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def graceful(self) -> bool:
        """Whether objects get a period of grace."""
        return self.plural == "pods"


_PODS: Final = frozenset({"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"})
_POD_STATUS: Final = frozenset({"status.phase", "status.podIP", "status.nominatedNodeName", "spec.hostNetwork"})
BUILT_IN: Final = (
    Resource("", "v1", "namespaces", "Namespace", False, True, selectable=_META | {"status.phase"}),
    Resource("", "v1", "nodes", "Node", False, True, selectable=_META | {"spec.unschedulable"}),
    Resource("", "v1", "pods", "Pod", True, True, True, _META | _PODS | _POD_STATUS, returns_deleted=True),
    Resource(
        "",
        "v1",
        "services",
        "Service",
        True,
        True,
        False,
        _META | {"spec.clusterIP", "spec.type"},
        returns_deleted=True,
    ),
    Resource("", "v1", "secrets", "Secret", selectable=_META | {"type"}),
    Resource("", "v1", "configmaps", "ConfigMap"),
    Resource("batch", "v1", "jobs", "Job", True, True, True, _META | {"status.successful"}),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", counted=True),
    Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", True, True, returns_deleted=True),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, True, True),
    Resource("events.k8s.io", "v1", "events", "Event", selectable=_META | {"reason", "type", "reportingController"}),
)


def _custom(path: Path) -> Resource:
    spec: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
    names, version = spec["names"], spec["versions"][0]
    fields = {entry["jsonPath"].lstrip(".") for entry in version.get("selectableFields") or ()}
    return Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        spec["scope"] == "Namespaced",
        "status" in (version.get("subresources") or {}),
        True,
        _META | fields,
        compiled(version["schema"]["openAPIV3Schema"]),
    )


@cache
def served() -> dict[str, Resource]:
    """Return the served kinds by plural."""
    return {kind.plural: kind for kind in (*BUILT_IN, *(_custom(path) for path in sorted(CRDS.glob("*.yaml"))))}


@dataclass(frozen=True)
class Target:
    """Kind, namespace, name and subresource of a path."""

    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str | None


@lru_cache(maxsize=65536)
def target(path: str) -> Target | None:
    """Return what a path names, None where nothing is served."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = None
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] != "status":
        namespace, rest = rest[1], rest[2:]
    resource = served().get(rest[0])
    if resource is None or (resource.group, resource.version) != (group, version) or len(rest) > 3:
        return None
    if namespace is not None and not resource.namespaced:
        return None
    if len(rest) > 1 and resource.namespaced and namespace is None:
        return None
    subresource = rest[2] if len(rest) > 2 else None
    if subresource is not None and not (subresource == "status" and resource.status):
        return None
    return Target(resource, namespace, rest[1] if len(rest) > 1 else None, subresource)
