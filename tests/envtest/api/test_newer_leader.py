"""An API process beside a leader whose protocol is newer: it does not run, and says what to do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from berth_api import protocol_version
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.types import LEASES
from berth_core.leases.protocol import LEADER, NewerProtocolError
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from . import process
from .conftest import Setting
from .gateway import gateway
from .world import eventually

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    async with connected("tests", str(apiserver.kubeconfig)) as made:
        yield made


async def led(client: Client, namespaces: Namespaces, protocol: int) -> None:
    metadata = {"name": LEADER, "annotations": {names.PROTOCOL_ANNOTATION: str(protocol)}}
    body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata}
    await client.create(LEASES, namespaces.release, body)


async def test_a_process_does_not_run_where_a_newer_version_has_led(
    client: Client, setting: Setting, namespaces: Namespaces, tmp_path: Path
) -> None:
    await led(client, namespaces, names.PROTOCOL + 1)
    kubeconfig = process.restricted_kubeconfig(setting.server, namespaces, tmp_path)
    log = tmp_path / "api.log"
    started = process.start(process.environment(kubeconfig, namespaces, setting.jwks), log)
    try:
        assert await asyncio.to_thread(started.wait, process.START_SECONDS) == 1
    finally:
        started.kill()
    (told,) = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "cannot run"]
    assert f"protocol {names.PROTOCOL + 1}" in told["error"]
    assert "run that version" in told["error"]


async def test_a_process_runs_beside_a_leader_of_its_own_version(
    client: Client, setting: Setting, namespaces: Namespaces, tmp_path: Path
) -> None:
    await led(client, namespaces, names.PROTOCOL)
    kubeconfig = process.restricted_kubeconfig(setting.server, namespaces, tmp_path)
    settings = process.environment(kubeconfig, namespaces, setting.jwks)
    async with process.in_thread(process.running(settings, tmp_path / "api.log")) as api:
        assert api.process.poll() is None


async def test_a_process_that_runs_sees_that_a_newer_version_leads(
    client: Client, namespaces: Namespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol_version, "EVERY_SECONDS", 0.1)
    watcher = protocol_version.ProtocolVersion(client, namespaces.release)
    watching = asyncio.create_task(watcher.run())

    async def known() -> bool:
        return watcher.is_known

    await eventually(known)
    await led(client, namespaces, names.PROTOCOL + 1)
    with pytest.raises(NewerProtocolError):
        await asyncio.wait_for(watching, 60)


async def test_a_process_is_ready_only_when_it_has_read_who_leads(setting: Setting, tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    async with gateway(setting.server.kubeconfig) as between, AsyncExitStack() as ends:
        kubeconfig = between.kubeconfig(setting.kubeconfig, tmp_path / "refused.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig))
        async with between.refusing(lambda _, path: path.endswith(f"/leases/{LEADER}"), 503):
            run = process.running(settings, log, until="/healthz")
            api = await ends.enter_async_context(process.in_thread(run))
            http = await ends.enter_async_context(httpx.AsyncClient(base_url=api.url))

            async def misses_only_the_lease() -> bool:
                return bool((await http.get("/readyz")).json()["missing"] == ["the leader's Lease"])

            await eventually(misses_only_the_lease)
        await asyncio.to_thread(process.wait_for, f"{api.url}/readyz", api.process, log)
        assert (await http.get("/readyz")).json()["missing"] == []
