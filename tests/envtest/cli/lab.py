"""A deployment in somebody's hands, as the operator would have left it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.names import API_VERSION
from berth_core.resources import Instance, WorkspaceDeployment
from berth_dev.envtest.testing import looked_at

PODS = Kind("v1", "pods")
SECRETS = Kind("v1", "secrets")
SERVICES = Kind("v1", "services")
POLICIES = Kind("networking.k8s.io/v1", "networkpolicies")
ACCOUNTS = Kind("v1", "serviceaccounts")
NOW = datetime(2026, 5, 1, tzinfo=UTC)


async def deployment(client: Client, namespace: str, name: str, **spec: object) -> None:
    """Make a deployment of the type misty."""
    body: Object = {"apiVersion": API_VERSION, "kind": "WorkspaceDeployment", "metadata": {"name": name}}
    body |= {"spec": {"type": "misty", "region": "lab-a"} | spec}
    await looked_at(client, await client.create(WorkspaceDeployment.api(), namespace, body))


async def lend(client: Client, namespace: str, name: str, user: str, **more: object) -> str:
    """Lend a deployment: lease, Instance with address and ``more`` in its status, fenced pod. Returns its id."""
    instance = ids.uuid7(1)
    lease = await leasing.take(client, namespace, name, instance=instance, user=user, now=NOW)
    body: Object = {
        "apiVersion": API_VERSION,
        "kind": "Instance",
        "metadata": {"name": instance, "finalizers": [names.FENCE_FINALIZER]},
        "spec": {"user": user, "deployments": [name]},
    }
    await client.create(Instance.api(), namespace, body)
    status = {
        "id": instance,
        "deployment": name,
        "epoch": lease.epoch,
        "expireTime": "2026-05-01T02:00:00Z",
        "address": {"ipv4": "192.0.2.7", "port": 30022},
    } | more
    await client.patch(Instance.api(), namespace, instance, {"status": status}, subresource="status")
    await pod(client, namespace, instance, lease)
    return instance


async def type_policy(client: Client, namespace: str, name: str) -> None:
    """Make the NetworkPolicy of a type."""
    labels = names.type_labels(name)
    metadata = {"name": names.type_policy(name), "labels": labels}
    body: Object = {"metadata": metadata, "spec": {"podSelector": {"matchLabels": labels}}}
    await client.create(POLICIES, namespace, {"apiVersion": POLICIES.api_version, "kind": "NetworkPolicy"} | body)


async def pod(
    client: Client,
    namespace: str,
    instance: str,
    lease: Lease,
    name: str | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Make the pod of a lease; nothing runs it here."""
    await client.apply(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account(namespace)})
    metadata = {
        "name": name or names.instance_object(instance),
        "labels": {**names.lease_labels(instance, lease.epoch, lease.deployment), **labels},
        "finalizers": [names.FENCE_FINALIZER],
    }
    spec = {"containers": [{"name": "workspace", "image": "example/workspace"}], "automountServiceAccountToken": False}
    body: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    await client.create(PODS, namespace, body)


async def warm(client: Client, namespace: str, deployment: str, epoch: int, nonce: str | None = None) -> None:
    """Make what the operator keeps warm for the next lease of a deployment; nothing runs the pod here."""
    await client.apply(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account(namespace)})
    labels = {names.WARM_LABEL: "true", **names.epoch_labels(epoch, deployment)}
    name = names.warm_object(ids.deployment_id(namespace, deployment), epoch)
    secret, annotations = names.warm_secret(name, nonce), {names.NONCE_ANNOTATION: nonce} if nonce else {}
    containers = [{"name": "workspace", "image": "example/workspace"}]
    parts: list[tuple[Kind, str, str, Object]] = [
        (SERVICES, "Service", name, {"spec": {"ports": [{"port": 22}]}}),
        (SECRETS, "Secret", secret, {}),
        (SECRETS, "Secret", names.agent_secret(secret), {}),
        (POLICIES, "NetworkPolicy", name, {"spec": {"podSelector": {"matchLabels": labels}}}),
        (PODS, "Pod", name, {"spec": {"containers": containers, "automountServiceAccountToken": False}}),
    ]
    for kind, word, called, rest in parts:
        fenced = {"finalizers": [names.FENCE_FINALIZER], "annotations": annotations} if kind == PODS else {}
        metadata = {"name": called, "labels": labels} | fenced
        body: Object = {"apiVersion": kind.api_version, "kind": word, "metadata": metadata} | rest
        await client.create(kind, namespace, body)


async def api_pod(client: Client, namespace: str, name: str) -> None:
    """Make a pod as the chart's Deployment of the API does."""
    await client.apply(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account(namespace)})
    labels = {"app.kubernetes.io/name": "berth", names.COMPONENT_LABEL: "api"}
    spec = {"containers": [{"name": "api", "image": "example/berth"}], "automountServiceAccountToken": False}
    metadata = {"name": name, "labels": labels}
    await client.create(PODS, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def account(namespace: str) -> Object:
    """Metadata of the account that pods need, which no controller makes here."""
    return {"name": "default", "namespace": namespace}


async def end(client: Client, namespace: str, instance: str) -> None:
    """Write an instance's end, and give its lease back."""
    obj = Instance.parse(await client.get(Instance.api(), namespace, instance))
    lease = Lease(obj.status.deployment or "", obj.status.epoch or 0)
    await leasing.give_back(client, namespace, lease, instance=instance, completed=True, now=NOW)
    ended = {"type": "Ended", "status": "True", "reason": "Terminated", "lastTransitionTime": "2026-05-01T01:00:00Z"}
    status = {"endTime": "2026-05-01T01:00:00Z", "reason": "Terminated", "conditions": [ended]}
    await client.patch(Instance.api(), namespace, instance, {"status": status}, subresource="status")
