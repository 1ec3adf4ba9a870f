"""Connects to the cluster's API, with a kubeconfig file or from inside of a pod."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.request import getproxies

import aiohttp
import yaml
from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config

from berth_core import errors
from berth_core.client.cluster import Client, method_sent

CONNECTIONS: Final = 200
UNREADABLE: Final = (k8s_config.ConfigException, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError)
"""What the library raises for a configuration that it cannot use; it trusts the file's shape."""


async def connect(
    manager: str,
    kubeconfig: str | None = None,
    *,
    before_write: Callable[[], None] | None = None,
    connections: int = CONNECTIONS,
) -> Client:
    """Connect with a kubeconfig file, or with the pod's service account where ``kubeconfig`` is None.

    ``manager`` is the field manager that writes are recorded under. ``before_write`` is called when a write has its
    connection, right before it is sent; what it raises stops the write. At most ``connections`` are open at once; who
    needs more waits.

    Raises:
        ClusterError: the file, or the service account, cannot be used.

    """
    configuration = k8s.Configuration()
    try:
        if kubeconfig is not None:
            await k8s_config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            k8s_config.load_incluster_config(client_configuration=configuration)
    except UNREADABLE as error:
        where = f"kubeconfig {kubeconfig}" if kubeconfig else "service account of this pod"
        raise errors.ClusterError(f"the {where} cannot be used: {error}") from error
    configuration.connection_pool_maxsize = connections
    # Without a proxy in the environment there is nothing to trust it for, and looking takes two threads a request.
    traces = [_tracing(before_write)] if before_write is not None else []
    configuration.client_session_kwargs = {"trust_env": bool(getproxies()), "trace_configs": traces}
    return Client(k8s.ApiClient(configuration), manager)


def _tracing(before_write: Callable[[], None]) -> aiohttp.TraceConfig:
    """Have each write checked when it has its connection: it may have waited for one for seconds."""

    async def ask(*_: object) -> None:
        if method_sent.get() != "GET":
            before_write()

    made = aiohttp.TraceConfig()
    made.on_connection_create_end.append(ask)
    made.on_connection_reuseconn.append(ask)
    return made


@asynccontextmanager
async def connected(manager: str, kubeconfig: str | None = None) -> AsyncIterator[Client]:
    """Connect for the length of a ``with`` block; see :func:`connect`."""
    async with await connect(manager, kubeconfig) as client:
        yield client
