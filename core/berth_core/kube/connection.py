"""Connects to the cluster's API, with a kubeconfig file or from inside a pod."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.request import getproxies

import aiohttp
import yaml
from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config

from berth_core.kube import errors
from berth_core.kube.answers import StoppedError
from berth_core.kube.client import Client
from berth_core.kube.clock import StoreClock

CONNECTIONS: Final = 200
UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
"""Compression is most of the API server's work for a large list (docs/explanation/performance.md)."""
UNREADABLE: Final = (k8s_config.ConfigException, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError)
"""Exceptions of the library for an unusable configuration; it does not check the file's shape."""


async def connect(
    manager: str,
    kubeconfig: str | None = None,
    *,
    before_write: Callable[[], None] | None = None,
    connections: int = CONNECTIONS,
    clock: StoreClock | None = None,
) -> Client:
    """Connect with a kubeconfig file, or with the pod's service account where ``kubeconfig`` is None.

    ``manager`` is the field manager of writes. ``before_write`` is called once for each write, in the step of the
    event loop that sends it; an exception stops the write. At most ``connections`` are open at once; further requests
    wait. Clients may share a ``clock``, and so their knowledge of the store's time.

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
    # trust_env only serves for a proxy in the environment, and costs two threads a request.
    traces = [tracing(before_write)] if before_write is not None else []
    configuration.client_session_kwargs = {
        "trust_env": bool(getproxies()),
        "trace_configs": traces,
        "headers": UNCOMPRESSED,
    }
    return Client(k8s.ApiClient(configuration), manager, clock)


def tracing(before_write: Callable[[], None]) -> aiohttp.TraceConfig:
    """Check each write at the last moment: it may have waited for a connection, or for its turn, for seconds.

    Only writes have a body. aiohttp holds the head of a request until it has the first piece of the body, calls
    the trace, and sends both in one piece; no other task of this process runs in between.
    """

    async def ask(*_: object) -> None:
        try:
            before_write()
        except Exception as reason:
            raise StoppedError(reason) from reason

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(ask)
    return trace


@asynccontextmanager
async def connected(manager: str, kubeconfig: str | None = None) -> AsyncIterator[Client]:
    """Connect for the length of a ``with`` block; see :func:`connect`."""
    async with await connect(manager, kubeconfig) as client:
        yield client
