"""Ending a lease by an administrator's order."""

from dataclasses import dataclass
from typing import Final

from berth_cli.admin.deployments.lookup import deployment_named
from berth_cli.ui.reading import readable
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance
from berth_core.resources.workspacedeployment import HeldLease

PODS: Final = Kind("v1", "pods")


@dataclass(frozen=True)
class Wish:
    """Deployment (name or id) to free, and the reason."""

    deployment: str
    namespace: str
    reason: str
    force: bool


async def release(client: Client, wish: Wish) -> list[str]:
    """End the instance that holds the deployment; with ``force`` vouch for its pods too. Returns what was done."""
    wd = await deployment_named(client, wish.namespace, wish.deployment)
    lease = wd.status.lease
    if lease is None:
        return [f"{wd.metadata.name} is not leased: nothing to do"]
    lines = [await _terminate(client, wish, lease)]
    if wish.force:
        lines += await _vouch(client, wish, wd.metadata.name, wd.status.epoch)
    return lines


async def _terminate(client: Client, wish: Wish, lease: HeldLease) -> str:
    instance = await _instance(client, wish.namespace, lease.instance)
    if instance is None:
        return (
            f"instance {lease.instance} of {lease.user} is gone already: the operator gives the lease back within 30 s"
        )
    body: Object = {
        "metadata": {"annotations": {names.RELEASE_REASON_ANNOTATION: wish.reason}},
        "spec": {"terminate": True},
    }
    await client.patch(Instance.api(), wish.namespace, instance.metadata.name, body)
    return f"instance {lease.instance} of {lease.user} ends"


async def _instance(client: Client, namespace: str, public_id: str) -> Instance | None:
    """Find an instance by its public id, which is the name or the uid."""
    try:
        return Instance.parse(await client.get(Instance.api(), namespace, public_id))
    except NotFoundError:
        every, _ = await client.list(Instance.api(), namespace)
        return next((i for i in readable(Instance, every) if i.public_id == public_id), None)


async def _vouch(client: Client, wish: Wish, deployment: str, epoch: int) -> list[str]:
    """Mark the pods of the lease's epoch, and no others, as stopped by an administrator's order."""
    labels = names.epoch_labels(epoch, deployment)
    pods, _ = await client.list(PODS, wish.namespace, labels=labels, metadata_only=True)
    body: Object = {"metadata": {"annotations": {names.FORCED_ANNOTATION: wish.reason}}}
    for pod in pods:
        await client.patch(PODS, wish.namespace, pod["metadata"]["name"], body)
    return [f"pod {pod['metadata']['name']} counts as stopped, by your word" for pod in pods] or [
        "no pod of this lease is left"
    ]
