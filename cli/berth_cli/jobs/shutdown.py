"""Stops the processes of a release, and removes the pods that its operator keeps warm."""

import asyncio
import re
from collections.abc import Iterable
from typing import Final

import structlog

from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.errors import ConflictError, NotFoundError
from berth_core.kube.swap import swap
from berth_core.kube.types import Kind, Object
from berth_core.reading import at
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.base import NONCE

log = structlog.get_logger(__name__)

PODS: Final = Kind("v1", "pods")
SERVICES: Final = Kind("v1", "services")
SECRETS: Final = Kind("v1", "secrets")
POLICIES: Final = Kind("networking.k8s.io/v1", "networkpolicies")
DEPLOYMENTS: Final = Kind("apps/v1", "deployments")
WARM: Final = {names.WARM_LABEL: "true"}
LOOK_SECONDS: Final = 1.0
POD_GRACE: Final = 1


async def close(client: Client, namespace: str, process: str, seconds: float) -> None:
    """Scale `api` or `operator` to zero and wait until its pods are gone; on a silent node they never go."""
    try:
        body: Object = {"spec": {"replicas": 0}}
        await client.patch(DEPLOYMENTS, namespace, f"berth-{process}", body, subresource="scale")
    except NotFoundError:
        log.info("it is not there", process=process)
    labels = {"app.kubernetes.io/name": "berth", names.COMPONENT_LABEL: process}
    if remains := await _until_gone(client, namespace, labels, seconds):
        log.warning("pods do not end", process=process, pods=remains)


async def cool(client: Client, namespaces: Iterable[str], seconds: float) -> None:
    """Remove warm pods and their objects, and the NetworkPolicies of types.

    Call it after the operator's end, which would make them again.
    """
    for namespace in namespaces:
        pods = await _warm(client, namespace)
        for name in pods:
            await client.delete(PODS, namespace, name, grace_seconds=POD_GRACE)
            await client.delete(SERVICES, namespace, name)
        left, _ = await client.list(PODS, namespace, labels=WARM, metadata_only=True)
        for secret in await _warm_secrets(client, namespace, pods, left):
            await client.delete(SECRETS, namespace, secret)
        # No lease has one, and there is no operator any more: each goes when its kubelet says that it has ended.
        for pod in left:
            await take_finalizer(client, PODS, pod)
        if remains := await _until_gone(client, namespace, WARM, seconds):
            log.warning("warm pods do not end; they go when their nodes come back", pods=remains)
        # NetworkPolicies, which isolate the pods, go last.
        for name in (*pods, *await _walls(client, namespace)):
            await client.delete(POLICIES, namespace, name)
        log.info("warm pods removed", namespace=namespace, count=len(pods))


async def _warm(client: Client, namespace: str) -> list[str]:
    """Names of warm pods; a pod and the objects that belong to it have one name."""
    result = set[str]()
    for kind in (SERVICES, PODS):
        objects, _ = await client.list(kind, namespace, labels=WARM, metadata_only=True)
        result |= {obj["metadata"]["name"] for obj in objects}
    return sorted(result)


async def _walls(client: Client, namespace: str) -> list[str]:
    """Names of the NetworkPolicies of types, but for those of which a pod is left."""
    policies, _ = await client.list(POLICIES, namespace, metadata_only=True)
    pods, _ = await client.list(PODS, namespace, metadata_only=True)
    used = {at(pod, "metadata", "labels", names.TYPE_LABEL) for pod in pods}
    types = {obj["metadata"]["name"]: at(obj, "metadata", "labels", names.TYPE_LABEL) for obj in policies}
    return [name for name, of in types.items() if of and name == names.type_policy(str(of)) and of not in used]


async def _warm_secrets(client: Client, namespace: str, pods: Iterable[str], left: Iterable[Object]) -> list[str]:
    """Names of the Secrets that such pods mount, by the nonces in the deployments' status. No Secret is listed here.

    Of the pods in ``left`` each names its nonce too: the status of one that was being removed does not.
    """
    deployments, _ = await client.list(WorkspaceDeployment.api(), namespace)
    nonces: dict[str, str] = {}
    for obj in deployments:
        # Not by the model: an unreadable object may have a warm pod too.
        epoch, nonce = (at(obj, "status", "warm", field) for field in ("epoch", "nonce"))
        if isinstance(epoch, int) and isinstance(nonce, str) and re.fullmatch(NONCE, nonce):
            nonces[names.warm_object(ids.deployment_id(namespace, obj["metadata"]["name"]), epoch)] = nonce
    secrets = [names.warm_secret(pod, nonces.get(pod)) for pod in pods]
    for metadata in (pod["metadata"] for pod in left):
        if re.fullmatch(NONCE, nonce := (metadata.get("annotations") or {}).get(names.NONCE_ANNOTATION, "")):
            secrets.append(names.warm_secret(metadata["name"], nonce))
    return [name for secret in secrets for name in (secret, names.agent_secret(secret))]


async def _until_gone(client: Client, namespace: str, labels: dict[str, str], seconds: float) -> list[str]:
    """Wait for the end of pods; return the names of those left after so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while pods := (await client.list(PODS, namespace, labels=labels, metadata_only=True))[0]:
        if loop.time() >= until:
            return [pod["metadata"]["name"] for pod in pods]
        await asyncio.sleep(LOOK_SECONDS)
    return []


async def take_finalizer(client: Client, kind: Kind, obj: Object) -> None:
    """Remove our finalizer by compare-and-swap. Safe to repeat."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]

    async def attempt() -> None:
        nonlocal obj
        finalizers = obj["metadata"].get("finalizers") or []
        if names.FENCE_FINALIZER not in finalizers:
            return
        others = [f for f in finalizers if f != names.FENCE_FINALIZER]
        body: Object = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"], "finalizers": others}}
        try:
            await client.patch(kind, namespace, name, body)
        except NotFoundError:
            return
        except ConflictError:
            obj = await client.get(kind, namespace, name)
            raise

    await swap(attempt, f"{kind.plural} {namespace}/{name}")
