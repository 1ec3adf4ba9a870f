"""Entry point ``berth-uninstall``: ends all leases and removes our finalizers, before the operator goes.

The chart runs it before it deletes anything. It scales the API to zero first, so that nobody takes a new lease
meanwhile, and deletes waiting reservations. Where a lease does not end within the deadline, it fails and the uninstall
stops: the operator still runs, and somebody can investigate. With BERTH_UNINSTALL_FORCE it goes on, as `berth release
--force` does for each lease.

When no lease is left, it stops the operator, which would make warm pods and put finalizers on deployments again. Then
it removes the warm pods.

At the end it deletes Secrets with private keys of users, which no operator would delete any more.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from berth_cli.jobs import common
from berth_cli.jobs.shutdown import close, cool, take_finalizer
from berth_cli.ui.errors import CliError
from berth_core import names, state
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import NotFoundError, UnreadableError
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.leases.waitlist import NOT_GRANTED
from berth_core.process import settings
from berth_core.reading import at
from berth_core.resources import Instance, Reservation, WorkspaceDeployment

log = structlog.get_logger(__name__)

PODS: Final = Kind("v1", "pods")
SECRETS: Final = Kind("v1", "secrets")
CONFIG_MAPS: Final = Kind("v1", "configmaps")
CLOSING_SECONDS: Final = 40.0
"""How long pods of our processes may take to end: somewhat more than the chart's grace period. At most the deadline."""
LOOK_SECONDS: Final = 1.0
FORCED_SECONDS: Final = 20.0
"""How long the operator may take to finish once the pods count as stopped; at most the deadline again."""
FORCED_REASON: Final = "uninstalled by force"
VARIABLES: Final = {
    "BERTH_NAMESPACE": "The release's namespace.",
    "BERTH_WORKSPACE_NAMESPACES": "Workspace namespaces.",
    "BERTH_ACCESS_NAMESPACE": "Namespace of private keys for users.",
    "BERTH_UNINSTALL_DEADLINE": "Seconds in which all leases must have ended.",
    "BERTH_UNINSTALL_FORCE": "Whether the uninstall goes on where leases have not ended.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}


@dataclass(frozen=True)
class Release:
    """The release, and settings from the chart's values. ``deadline`` is in seconds."""

    namespace: str
    workspaces: tuple[str, ...]
    access: str
    deadline: float
    force: bool
    kubeconfig: str | None = None


async def uninstall(client: Client, release: Release) -> None:
    """End every lease, remove warm pods and our finalizers, delete private keys.

    Raises CliError after the deadline.
    """
    closing = min(CLOSING_SECONDS, release.deadline)
    await close(client, release.namespace, "api", closing)
    await _empty_queue(client, release.workspaces)
    remains = await _end_all(client, release.workspaces, release.deadline)
    if remains and not release.force:
        raise CliError(
            f"not ended within {release.deadline:g} s: {', '.join(remains)}. See their conditions and the operator's"
            f" log (kubectl logs -n {release.namespace} deployment/berth-operator); free the lease of a lost node with"
            " `berth release DEPLOYMENT --force` and uninstall again; docs/how-to/helm.md says how to go on by force,"
            " and how to bring Berth back"
        )
    if remains:
        log.warning("going on by force", left=remains)
        await _vouch(client, release.workspaces)
        await _end_all(client, release.workspaces, min(FORCED_SECONDS, release.deadline))
        await _free(client, release.workspaces)
    await close(client, release.namespace, "operator", closing)
    await cool(client, release.workspaces, closing)
    await _unfence(client, release.workspaces)
    await _leave(client, release)
    await _forget(client, release.access)


async def _empty_queue(client: Client, namespaces: Iterable[str]) -> None:
    """Delete waiting reservations, which would get the deployments that become free."""
    for namespace in namespaces:
        waiting, _ = await client.list(Reservation.api(), namespace, fields=NOT_GRANTED)
        for obj in waiting:
            await client.delete(Reservation.api(), namespace, obj["metadata"]["name"], uid=obj["metadata"]["uid"])


async def _end_all(client: Client, namespaces: Iterable[str], seconds: float) -> list[str]:
    """Ask every instance to end and wait; returns instances and leases left after so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        running = [one for one in await _list_all(client, Instance.api(), namespaces) if not _ended(one)]
        for instance in running:
            if not at(instance, "spec", "terminate"):
                metadata = instance["metadata"]
                body: Object = {"spec": {"terminate": True}}
                await _patch(client, Instance.api(), metadata["namespace"], metadata["name"], body)
        remains = [f"instance {one['metadata']['name']} of {at(one, 'spec', 'user')}" for one in running]
        remains += [f"lease of {wd['metadata']['name']}" for wd in await _leased(client, namespaces)]
        if not remains or loop.time() >= until:
            return remains
        log.info("waiting", left=remains)
        await asyncio.sleep(LOOK_SECONDS)


async def _vouch(client: Client, namespaces: Iterable[str]) -> None:
    for namespace in namespaces:
        for pod in await _pods(client, namespace):
            body: Object = {"metadata": {"annotations": {names.FORCED_ANNOTATION: FORCED_REASON}}}
            await _patch(client, PODS, namespace, pod["metadata"]["name"], body)


async def _free(client: Client, namespaces: Iterable[str]) -> None:
    """Give back the leases that the operator did not, and delete the pods."""
    now = datetime.now(UTC)
    for wd in await _leased(client, namespaces):
        metadata, instance = wd["metadata"], at(wd, "status", "lease", "instance")
        lease = Lease(metadata["name"], at(wd, "status", "epoch"))
        try:
            await leasing.give_back(client, metadata["namespace"], lease, instance=instance, completed=False, now=now)
        except UnreadableError:
            version = {"resourceVersion": metadata["resourceVersion"]}
            body: Object = {"metadata": version, "status": {"lease": None}}
            kind = WorkspaceDeployment.api()
            await client.patch(kind, metadata["namespace"], metadata["name"], body, subresource="status")
        log.warning("lease given back by force", deployment=metadata["name"], instance=instance)
    for namespace in namespaces:
        for pod in await _pods(client, namespace):
            await client.delete(PODS, namespace, pod["metadata"]["name"], grace_seconds=1)
            await take_finalizer(client, PODS, pod)


async def _unfence(client: Client, namespaces: Iterable[str]) -> None:
    """Remove our finalizer from all resources, so that each can be deleted without an operator."""
    for namespace in namespaces:
        for kind in (Instance.api(), WorkspaceDeployment.api()):
            objects, _ = await client.list(kind, namespace, metadata_only=True)
            for obj in objects:
                await take_finalizer(client, kind, obj)


async def _leave(client: Client, release: Release) -> None:
    """Remove this release's claim on its workspace namespaces, so that another release can lead there."""
    for namespace in release.workspaces:
        try:
            configmap = await client.get(CONFIG_MAPS, namespace, names.RELEASE_CONFIGMAP)
        except NotFoundError:
            continue
        if (configmap.get("data") or {}).get(names.RELEASE_KEY) == release.namespace:
            await client.delete(CONFIG_MAPS, namespace, names.RELEASE_CONFIGMAP, uid=configmap["metadata"]["uid"])


async def _forget(client: Client, access: str) -> None:
    """Delete the private keys of instances, and the answers kept for an Idempotency-Key, which can hold some too."""
    for label in (names.INSTANCE_LABEL, names.IDEMPOTENCY_LABEL):
        secrets, _ = await client.list(SECRETS, access, labels={label: ""}, metadata_only=True)
        for secret in secrets:
            await client.delete(SECRETS, access, secret["metadata"]["name"])


async def _pods(client: Client, namespace: str) -> list[Object]:
    pods, _ = await client.list(PODS, namespace, labels={names.EPOCH_LABEL: ""}, metadata_only=True)
    return pods


async def _list_all(client: Client, kind: Kind, namespaces: Iterable[str]) -> list[Object]:
    """Read objects without a model, so that unreadable ones are ended and given back like the others."""
    objects: list[Object] = []
    for namespace in namespaces:
        objects += (await client.list(kind, namespace))[0]
    return objects


async def _leased(client: Client, namespaces: Iterable[str]) -> list[Object]:
    deployments = await _list_all(client, WorkspaceDeployment.api(), namespaces)
    return [wd for wd in deployments if at(wd, "status", "lease") is not None]


def _ended(instance: Object) -> bool:
    conditions = at(instance, "status", "conditions") or ()
    return any(at(one, "type") == state.ENDED and at(one, "status") == "True" for one in conditions)


async def _patch(client: Client, kind: Kind, namespace: str, name: str, body: Object) -> None:
    try:
        await client.patch(kind, namespace, name, body)
    except NotFoundError:
        log.info("gone meanwhile", kind=kind.plural, name=name)


def release_of(environment: Mapping[str, str]) -> Release:
    """Read the release from the environment. Raises SettingError."""
    variables = settings.Settings(environment)
    variables.required("BERTH_WORKSPACE_NAMESPACES")
    return Release(
        namespace=variables.required("BERTH_NAMESPACE"),
        workspaces=variables.words("BERTH_WORKSPACE_NAMESPACES"),
        access=variables.required("BERTH_ACCESS_NAMESPACE"),
        deadline=variables.read("BERTH_UNINSTALL_DEADLINE", settings.COUNT, 240),
        force=variables.read("BERTH_UNINSTALL_FORCE", settings.SWITCH, default=False),
        kubeconfig=variables.text("KUBECONFIG") or None,
    )


async def _job() -> None:
    release = release_of(os.environ)
    async with connected(names.CLI_MANAGER, release.kubeconfig) as client:
        await common.patiently(lambda: uninstall(client, release), release.deadline)
    log.info("no lease is left and nothing is fenced", namespaces=release.workspaces)


def main() -> None:
    """Uninstall in the namespaces that the environment names."""
    common.run(_job())


if __name__ == "__main__":
    main()
