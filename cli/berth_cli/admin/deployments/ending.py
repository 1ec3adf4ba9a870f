"""Ending a lease by an administrator's order."""

from dataclasses import dataclass
from typing import Final

from berth_cli.admin.deployments.lookup import deployment_named
from berth_cli.ui.reading import readable
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_core.leases.epochs import epoch_of
from berth_core.resources import Instance, WorkspaceDeployment
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
    """End the instance that holds the deployment; with ``force`` vouch for its pods too. Returns what was done.

    Where nobody holds it, ``force`` vouches for what is left of leases that are over, for which it may wait.
    """
    wd = await deployment_named(client, wish.namespace, wish.deployment)
    lease = wd.status.lease
    if lease is None:
        left = await _left(client, wish.namespace, wd) if wish.force else []
        return await _vouch(client, wish, left) or [f"{wd.metadata.name} is not leased: nothing to do"]
    lines = [await _terminate(client, wish, lease)]
    if wish.force:
        pods = await _pods(client, wish.namespace, names.epoch_labels(wd.status.epoch, wd.metadata.name))
        lines += await _vouch(client, wish, pods) or ["no pod of this lease is left"]
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


async def _pods(client: Client, namespace: str, labels: dict[str, str]) -> list[Object]:
    return (await client.list(PODS, namespace, labels=labels, metadata_only=True))[0]


async def _left(client: Client, namespace: str, wd: WorkspaceDeployment) -> list[Object]:
    """Return pods of a deployment's epochs that are over; the one that is kept warm for the next is not among them."""
    pods = await _pods(client, namespace, {names.DEPLOYMENT_LABEL: wd.metadata.name})
    return [pod for pod in pods if (epoch_of(pod["metadata"]["labels"]) or 0) <= wd.status.epoch]


async def _vouch(client: Client, wish: Wish, pods: list[Object]) -> list[str]:
    """Mark pods as stopped by an administrator's order."""
    body: Object = {"metadata": {"annotations": {names.FORCED_ANNOTATION: wish.reason}}}
    for pod in pods:
        await client.patch(PODS, wish.namespace, pod["metadata"]["name"], body)
    return [f"pod {pod['metadata']['name']} counts as stopped, by your word" for pod in pods]
