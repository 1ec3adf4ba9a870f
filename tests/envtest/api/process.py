"""The API as a process of its own, with the rights that charts/berth/files/rights.yaml lists and no others."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import documented
import forked
import httpx

from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

START_SECONDS = 120


@dataclass(frozen=True)
class Api:
    """A running API process."""

    url: str
    metrics_url: str
    process: forked.Process
    log: Path


def environment(kubeconfig: Path, namespaces: Namespaces, jwks: Path, **changes: str) -> dict[str, str]:
    """Environment of an API process."""
    return os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
        "BERTH_ACCESS_NAMESPACE": namespaces.access,
        "BERTH_TOKEN_ISSUER": "berth",
        "BERTH_JWKS_FILE": str(jwks),
        "BERTH_WEBHOOK_KEY_FILE": str(jwks.with_name("public-key")),
        "BERTH_RATE_LIMIT_PER_TOKEN": "1000000",
        "BERTH_RATE_LIMIT_PER_PEER": "1000000",
        "BERTH_IDEMPOTENCY_KEYS_PER_USER": "1000000",
        "BERTH_LISTEN": f"127.0.0.1:{free_port()}",
        "BERTH_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        **changes,
    }


def start(settings: dict[str, str], log: Path) -> forked.Process:
    """Start a process, and do not wait for it."""
    return forked.start("berth_api", settings, log)


@contextmanager
def running(
    settings: dict[str, str], log: Path, *, until: str = "/readyz", ends: int = 0, authority: Path | None = None
) -> Iterator[Api]:
    """Run a process; it is there once `until` answers 200. `ends` is what it must end with.

    With TLS the `authority` has signed its certificate.
    """
    process = start(settings, log)
    url = f"http{'s' if authority else ''}://{settings['BERTH_LISTEN']}"
    try:
        wait_for(url + until, process, log, authority)
        yield Api(url, f"http://{settings['BERTH_METRICS_LISTEN']}/metrics", process, log)
    finally:
        process.terminate()
        assert process.wait(timeout=60) == ends, log.read_text()


@asynccontextmanager
async def in_thread(run: AbstractContextManager[Api]) -> AsyncIterator[Api]:
    """Wait for a process without holding up the event loop, which may have to serve it."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, run)
        await asyncio.to_thread(stack.close)


def wait_for(url: str, process: forked.Process, log: Path, authority: Path | None = None) -> None:
    """Wait until a URL answers 200."""
    trust = ssl.create_default_context(cafile=authority)
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, verify=trust).status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.05)
    raise AssertionError(f"the API did not answer at {url}:\n{log.read_text()}")


def restricted_kubeconfig(server: ApiServer, namespaces: Namespaces, folder: Path) -> Path:
    """A kubeconfig for a service account with the documented rights."""
    rules = documented.rules(documented.rights("api"), namespaces)
    return account(server, "berth-api", namespaces.release, rules, folder)
