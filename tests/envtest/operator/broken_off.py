"""A pod's deletion that was broken off: the API server had marked it in etcd, and did not come to remove it.

That takes a request which is broken off within a millisecond. This module restores the state after it from etcd.
"""

import asyncio
import base64
import ssl

import aiohttp

from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.processes import ProcessSpec

from .lab import PODS, SECONDS, Lab


async def put_back(lab: Lab, apiserver: ApiServer, name: str, deleted_at: str) -> str:
    """Put a pod back as it was right before a deletion, of which a watch told with that version; its version then."""
    _, version = await lab.client.list(PODS, lab.namespace)
    key = f"/registry/pods/{lab.namespace}/{name}".encode()
    found = await _ask(apiserver, "range", {"key": _b64(key), "revision": int(deleted_at) - 1})
    await _ask(apiserver, "put", {"key": _b64(key), "value": found["kvs"][0]["value"]})
    async with asyncio.timeout(SECONDS):
        async for event in lab.client.watch(PODS, lab.namespace, version, fields={"metadata.name": name}):
            if event.type == "ADDED":
                metadata = event.object["metadata"]
                assert metadata["deletionTimestamp"]
                assert metadata["deletionGracePeriodSeconds"] == 0
                return str(metadata["resourceVersion"])
    raise AssertionError("the watch ended")


async def deletion_of(lab: Lab, name: str, since: str, *, seconds: float = SECONDS) -> str:
    """Version at which a watch that begins at ``since`` tells of a pod's deletion."""
    async with asyncio.timeout(seconds):
        async for event in lab.client.watch(PODS, lab.namespace, since, fields={"metadata.name": name}):
            if event.type == "DELETED":
                return str(event.object["metadata"]["resourceVersion"])
    raise AssertionError("the watch ended")


async def _ask(apiserver: ApiServer, what: str, body: Object) -> Object:
    """Ask etcd, as its API server does."""
    folder = apiserver.kubeconfig.parent
    command = ProcessSpec.load(folder / "processes" / "kube-apiserver.json").command
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in command if "=" in flag)
    trust = ssl.create_default_context(cafile=flags["etcd-cafile"])
    trust.load_cert_chain(flags["etcd-certfile"], flags["etcd-keyfile"])
    url = f"{flags['etcd-servers']}/v3/kv/{what}"
    async with aiohttp.ClientSession(raise_for_status=True) as etcd, etcd.post(url, json=body, ssl=trust) as answer:
        told: Object = await answer.json()
    return told


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
