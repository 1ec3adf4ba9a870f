"""The part of a kubelet that hands out logs, played: every container has printed the same."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer

from .lab import Lab

NODES: Final = Kind("v1", "nodes", namespaced=False)
PRINTED: Final = b"$ make\nall is well\n"


@asynccontextmanager
async def printing(lab: Lab, server: ApiServer) -> AsyncIterator[str]:
    """Play a node for the length of a ``with`` block; its name. The API server asks it over TLS, as any kubelet."""
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", _answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The API server's own certificate is for this address, too.
    pki = server.kubeconfig.parent / "pki"
    tls.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    name = f"prints-for-{lab.namespace}"
    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    await lab.client.create(NODES, None, node)
    status: Object = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": runner.addresses[0][1]}},
    }
    await lab.client.patch(NODES, None, name, {"status": status}, subresource="status")
    try:
        yield name
    finally:
        await lab.client.delete(NODES, None, name)
        await runner.cleanup()


async def _answer(_: web.Request) -> web.Response:
    return web.Response(body=PRINTED, content_type="text/plain")
