"""Deployments and reservations, as the API server would show them."""

from typing import Any

from berth_core.resources import AccessRule, Instance, Reservation, WorkspaceDeployment, WorkspaceType

CREATED = "2026-01-01T00:00:00Z"


def deployment(name: str, *, status: dict[str, Any] | None = None, **spec: Any) -> WorkspaceDeployment:
    """A deployment; of type `arm` where the spec names none."""
    metadata = {"name": name, "namespace": "lab", "creationTimestamp": CREATED}
    return WorkspaceDeployment.parse({"metadata": metadata, "spec": {"type": "arm"} | spec, "status": status or {}})


def held(user: str = "bob") -> dict[str, Any]:
    """Status of a deployment that somebody has."""
    return {"epoch": 1, "lease": {"instance": "i", "user": user, "claimedAt": CREATED}}


def reservation(name: str, *, status: dict[str, Any] | None = None, **spec: Any) -> Reservation:
    """A reservation."""
    metadata = {"name": name, "namespace": "lab", "uid": f"uid-of-{name}", "creationTimestamp": CREATED}
    wanted = {"user": "carol", "instance": {"user": "carol"}} | spec
    return Reservation.parse({"metadata": metadata, "spec": wanted, "status": status or {}})


def instance(name: str, *, status: dict[str, Any] | None = None, **spec: Any) -> Instance:
    """An Instance that somebody made with kubectl."""
    metadata = {"name": name, "namespace": "lab", "uid": f"uid-of-{name}", "creationTimestamp": CREATED}
    return Instance.parse({"metadata": metadata, "spec": {"user": "carol"} | spec, "status": status or {}})


def kind(access: str = "open", **spec: Any) -> WorkspaceType:
    """The type `arm`."""
    body = {"typeName": "arm", "access": access, "template": {"image": "x"}} | spec
    return WorkspaceType.parse({"metadata": {"name": "arm", "namespace": "lab"}, "spec": body})


def rule(user: str, capability: str, deployment: str = "one") -> AccessRule:
    """An access rule of a deployment."""
    spec = {"deployment": deployment, "user": user, "capability": capability, "ruleID": 1}
    return AccessRule.parse({"metadata": {"name": f"{deployment}-1", "namespace": "lab"}, "spec": spec})
