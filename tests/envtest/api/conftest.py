"""One API process for most tests: with the documented rights, on a real API server."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from berth_cli.admin.keys import material
from berth_core.keys import webhooks
from berth_core.kube.connection import connected
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, make_namespaces
from berth_dev.ports import closed_port

from . import process
from .gateway import Gateway, gateway
from .process import Api
from .signing import Signer, write_keys
from .world import World

TIMEOUT = 60
"""Seconds for an answer: more than the API itself gives the cluster, on a machine with much else to do."""


@dataclass(frozen=True)
class Setting:
    """Settings that API processes of the tests share."""

    server: ApiServer
    namespaces: Namespaces
    kubeconfig: Path
    jwks: Path
    folder: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """Environment of one more process."""
        return process.environment(self.kubeconfig, self.namespaces, self.jwks, **changes)


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def setting(apiserver: ApiServer, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return make_setting(apiserver, signer, tmp_path_factory.mktemp("api"))


def make_setting(server: ApiServer, signer: Signer, folder: Path) -> Setting:
    """Make namespaces, keys and the account of the API."""
    namespaces = make_namespaces(server)
    write_keys(folder / "jwks.json", signer)
    (folder / "public-key").write_text(webhooks.public_key(material.new_webhook_keys()["ed25519.pem"]))
    # The API server refuses lists of a new kind for a moment; kubectl waits that out.
    server.kubectl("get", "wt,wd,inst,rsv,fwr,vpnc,acr,acct,tok,trv,proj,bld", "--all-namespaces")
    kubeconfig = process.restricted_kubeconfig(server, namespaces, folder)
    return Setting(server, namespaces, kubeconfig, folder / "jwks.json", folder)


@pytest.fixture(scope="session")
def api(setting: Setting) -> Iterator[Api]:
    settings = setting.environment(
        BERTH_TRUSTED_PROXIES="127.0.0.0/8", BERTH_ALLOWED_ORIGINS="https://lab.example.test"
    )
    with process.running(settings, setting.folder / "api.log") as running:
        yield running


@pytest.fixture(scope="session")
def away(setting: Setting) -> Iterator[Api]:
    """A process whose cluster is out of reach."""
    nowhere = setting.folder / "away.kubeconfig"
    settings = setting.environment(KUBECONFIG=str(nowhere))
    with closed_port() as port:
        nowhere.write_text(setting.kubeconfig.read_text().replace(setting.server.url, f"https://127.0.0.1:{port}"))
        with process.running(settings, setting.folder / "away.log", until="/healthz") as running:
            yield running


@pytest_asyncio.fixture(scope="session")
async def http(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(base_url=api.url, timeout=TIMEOUT) as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def world(setting: Setting, http: httpx.AsyncClient) -> AsyncIterator[World]:
    async with connected("tests", str(setting.server.kubeconfig)) as client:
        yield World(client, setting.namespaces, http)


@pytest_asyncio.fixture(scope="session")
async def second(setting: Setting, world: World) -> AsyncIterator[Api]:
    """Another replica; nothing stands before it."""
    async with process.in_thread(process.running(setting.environment(), setting.folder / "second.log")) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=TIMEOUT) as client:
            with world.heard_at(client):
                yield running


@pytest_asyncio.fixture(scope="session")
async def alice(api: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(api, signer.token("alice")) as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def bob(api: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(api, signer.token("bob")) as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def root(api: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(api, signer.token("root", su=True)) as client:
        yield client


def user_client(api: Api, token: str) -> httpx.AsyncClient:
    """A client with a token."""
    return httpx.AsyncClient(base_url=api.url, timeout=TIMEOUT, headers={"Authorization": f"Bearer {token}"})


async def made(client: httpx.AsyncClient, target: str, **options: Any) -> str:
    """Take an instance of a type or a deployment; its id."""
    answer = await client.post(f"/new/{target}", json=options)
    assert answer.status_code == 200, answer.text
    instance: str = answer.json()["id"]
    return instance


@asynccontextmanager
async def replica_with_an_old_cache(setting: Setting, resource: str) -> AsyncIterator[Api]:
    """A replica whose cache of a resource, such as `accessrules`, stays as it was at its start."""
    async with gateway(setting.server.kubeconfig) as between:
        between.silent = lambda _, path: path.endswith(f"/{resource}")
        kubeconfig = between.kubeconfig(setting.kubeconfig, setting.folder / f"old-{resource}.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig))
        async with process.in_thread(process.running(settings, kubeconfig.with_suffix(".log"))) as replica:
            yield replica


@asynccontextmanager
async def through_gateway(
    setting: Setting, signer: Signer, *, ends: int = 0, old: str = "", **changes: str
) -> AsyncIterator[tuple[Gateway, Api, httpx.AsyncClient]]:
    """A process of its own that reaches the cluster through a gateway, and a client of alice's.

    Its cache of the resource `old`, such as `instances`, stays as it was at its start.
    """
    async with gateway(setting.server.kubeconfig) as between:
        if old:
            between.silent = lambda _, path: path.endswith(f"/{old}")
        kubeconfig = between.kubeconfig(setting.kubeconfig, setting.folder / f"{uuid.uuid4()}.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig), **changes)
        running = process.running(settings, kubeconfig.with_suffix(".log"), ends=ends)
        async with process.in_thread(running) as api, user_client(api, signer.token("alice")) as client:
            yield between, api, client
