"""Resources and observations to decide about; tests say only what differs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from berth_core.kube.conditions import condition
from berth_core.kube.containers import Container
from berth_core.kube.model import timestamp
from berth_core.leases.availability import Lease
from berth_core.resources import FirewallRule, Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.instance import Address, InForce
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.observed import AgentView, ObservedInstance
from berth_operator.pods.view import PodView
from berth_operator.settings.config import Config

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
ID = "01900000-0000-7000-8000-000000000001"
LEASE = Lease("one", 3)
ADDRESS = Address(ipv4="198.51.100.11", port=30123)
RUNNING = Container("running", id="c1")
CONFIG = Config(
    namespace="berth",
    workspace_namespaces=("lab",),
    access_namespace="berth-access",
    agent_image="berth:1",
    identity="operator-0",
)


def at(seconds: float) -> datetime:
    """That long after NOW."""
    return NOW + timedelta(seconds=seconds)


def instance(*, name: str = ID, status: dict[str, Any] | None = None, **spec: Any) -> Instance:
    """An Instance that asks for type bench."""
    metadata = {
        "name": name,
        "namespace": "lab",
        "uid": f"uid-of-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": timestamp(NOW),
        **spec.pop("metadata", {}),
    }
    wanted = {"user": "ada", **spec}
    if "deployments" not in wanted:
        wanted.setdefault("workspaceType", "bench")
    return Instance.parse({"metadata": metadata, "spec": wanted, "status": status or {}})


def bound(*, status: dict[str, Any] | None = None, **spec: Any) -> Instance:
    """One that has the deployment `one`, epoch 3, since NOW."""
    fields = {"id": ID, "deployment": "one", "epoch": 3, "startTime": timestamp(NOW), **(status or {})}
    return instance(status=fields, **spec)


def type_(**spec: Any) -> WorkspaceType:
    """The WorkspaceType bench."""
    metadata = {"name": "bench", "namespace": "lab", "uid": "uid-of-bench", "creationTimestamp": timestamp(NOW)}
    metadata |= spec.pop("metadata", {})
    return WorkspaceType.parse(
        {"metadata": metadata, "spec": {"typeName": "bench", "template": {"image": "workspace:1"}, **spec}}
    )


def deployment(name: str = "one", *, status: dict[str, Any] | None = None, **spec: Any) -> WorkspaceDeployment:
    """A WorkspaceDeployment of type bench that the operator has looked at."""
    metadata = {"name": name, "namespace": "lab", "uid": f"uid-of-{name}", "creationTimestamp": timestamp(NOW)}
    metadata |= {"finalizers": ["berth.dev/fence"]} | spec.pop("metadata", {})
    seen = {"observedGeneration": 1} | (status or {})
    return WorkspaceDeployment.parse({"metadata": metadata, "spec": {"type": "bench", **spec}, "status": seen})


def lease_parts(
    *, overrides: dict[str, Any] | None = None, ssh_keys: list[str] | None = None, **spec: Any
) -> LeaseParts:
    """A lease of `one` by a type with that spec."""
    return LeaseParts(bound(sshKeys=ssh_keys or []), deployment(overrides=overrides or {}), type_(**spec), 3)


def machine_parts(**machine: Any) -> LeaseParts:
    """A lease of `one`, whose machine had that address when it was bound and has another since."""
    network = {"addresses": ["192.0.2.40/32"], "ports": [{"port": 30002}], **machine}
    since = {"network": {"addresses": ["192.0.2.99/32"]}}
    return LeaseParts(bound(status={"machine": {"network": network}}), deployment(machine=since), type_(), 3)


def pod(**changes: Any) -> PodView:
    """A pod that serves."""
    fields: dict[str, Any] = {
        "uid": "pod-1",
        "epoch": 3,
        "phase": "Running",
        "created": NOW,
        "deleting": False,
        "finalized": True,
        "node": "node-1",
        "ip": "10.0.0.7",
        "agent": RUNNING,
        "workspace": RUNNING,
        "containers": (RUNNING, RUNNING),
    }
    return PodView(**(fields | changes))


def agent(**changes: Any) -> AgentView:
    """An agent that has everything, of an instance that is reachable."""
    fields: dict[str, Any] = {
        "acknowledged": InForce(generation=1, digest="d"),
        "current": True,
        "listening": True,
        "path": True,
    }
    return AgentView(**(fields | changes))


def seen(**changes: Any) -> ObservedInstance:
    """A bound instance with everything in place."""
    fields: dict[str, Any] = {
        "instance": bound(),
        "type": type_(),
        "deployment": deployment(),
        "opened": True,
        "pod": pod(),
        "address": ADDRESS,
        "agent": agent(),
    }
    return ObservedInstance(**(fields | changes))


def ended_condition(*, true: bool, reason: str = "Terminated") -> dict[str, Any]:
    """The Ended condition."""
    return condition("Ended", true, reason, "", now=NOW).wire()


def rule(name: str, source: str, action: str = "ACCEPT", order: int = 0, **metadata: Any) -> FirewallRule:
    """A FirewallRule of the instance."""
    return FirewallRule.parse(
        {
            "metadata": {"name": name, "namespace": "lab", **metadata},
            "spec": {"instance": ID, "order": order, "source": source, "action": action},
        }
    )
