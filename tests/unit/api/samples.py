"""Deployments and reservations, as the API server would show them."""

from typing import Any

from berth_api.cache.deployment import Deployment
from berth_core.resources import Reservation, WorkspaceDeployment

CREATED = "2026-01-01T00:00:00Z"


def deployment(name: str, *, status: dict[str, Any] | None = None, created: str = CREATED, **spec: Any) -> Deployment:
    """A deployment that the operator has looked at; of type `arm` where the spec names none."""
    metadata = {"name": name, "namespace": "lab", "creationTimestamp": created, "finalizers": ["berth.dev/fence"]}
    body = {"metadata": metadata, "spec": {"type": "arm"} | spec, "status": {"observedGeneration": 1} | (status or {})}
    return Deployment.of(WorkspaceDeployment.parse(body))


def held(user: str = "bob") -> dict[str, Any]:
    """Status of a deployment that somebody has."""
    return {"epoch": 1, "lease": {"instance": "i", "user": user, "claimedAt": CREATED}}


def offline() -> dict[str, Any]:
    """Status of a deployment whose machine is silent."""
    condition = {"type": "Online", "status": "False", "reason": "Silent", "lastTransitionTime": CREATED}
    return {"conditions": [condition]}


def reservation(name: str, *, status: dict[str, Any] | None = None, **spec: Any) -> Reservation:
    """A reservation."""
    body = {
        "metadata": {"name": name, "namespace": "lab"},
        "spec": {"user": "carol", "instance": {"user": "carol"}} | spec,
        "status": status or {},
    }
    return Reservation.parse(body)
