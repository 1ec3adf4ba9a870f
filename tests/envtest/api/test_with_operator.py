"""The API beside the real operator, with keys and tokens of the real command line. No nodes: pods stay pending."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from forked import start

from berth_core import names
from berth_core.kube.conditions import find
from berth_core.kube.connection import connected
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

from . import process
from .conftest import TIMEOUT, user_client
from .process import Api
from .world import World, eventually

pytestmark = pytest.mark.apiserver

SECRETS = Kind("v1", "secrets")
LEASES = Kind("coordination.k8s.io/v1", "leases")


@dataclass(frozen=True)
class Release:
    """A whole release in namespaces of its own."""

    server: ApiServer
    namespaces: Namespaces
    api: Api

    def user(self, name: str) -> httpx.AsyncClient:
        """A client with a token of `berth token create`."""
        arguments = ["token", "create", "--user", name, "-n", self.namespaces.release, "--expires", "1h"]
        arguments += ["--access-namespace", self.namespaces.access]
        return user_client(self.api, berth(self.server, "berth_cli.main", *arguments).strip())


def berth(server: ApiServer, module: str, *arguments: str, **environment: str) -> str:
    """Run an entry point to its end; answer its standard output."""
    settings = os.environ | {"KUBECONFIG": str(server.kubeconfig)} | environment
    code = f"from {module} import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=settings, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


@pytest.fixture
def release(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> Iterator[Release]:
    apiserver.kubectl("create", "serviceaccount", "default", "-n", namespaces.workspaces)
    berth(apiserver, "berth_cli.jobs.keys", BERTH_NAMESPACE=namespaces.release)
    jwks = tmp_path / "jwks.json"
    path = "jsonpath={.data.jwks\\.json}"
    jwks.write_text(
        apiserver.kubectl("get", "configmap", names.VERIFICATION_CONFIGMAP, "-n", namespaces.release, "-o", path)
    )
    kubeconfig = process.restricted_kubeconfig(apiserver, namespaces, tmp_path)
    settings = process.environment(
        apiserver.kubeconfig,
        namespaces,
        jwks,
        BERTH_AGENT_IMAGE="berth.invalid/berth:test",
        BERTH_LISTEN=str(free_port()),
    )
    operator = start("berth_operator", settings, tmp_path / "operator.log")
    try:
        settings = process.environment(kubeconfig, namespaces, jwks, BERTH_TRUSTED_PROXIES="127.0.0.0/8")
        with process.running(settings, tmp_path / "api.log") as api:
            yield Release(apiserver, namespaces, api)
    finally:
        operator.terminate()
        operator.wait(timeout=60)


@pytest.fixture
async def lab(release: Release) -> AsyncIterator[World]:
    async with (
        httpx.AsyncClient(base_url=release.api.url, timeout=TIMEOUT) as http,
        connected("tests", str(release.server.kubeconfig)) as client,
    ):
        yield World(client, release.namespaces, http)


async def test_a_lease_from_the_request_to_the_next_holder(release: Release, lab: World) -> None:
    deployment = await lab.deployment(await lab.type())
    async with release.user("alice") as alice, release.user("bob") as bob:
        made = await alice.post(f"/new/{deployment}", headers={"X-Forwarded-For": "203.0.113.7"})
        assert made.status_code == 200
        instance = made.json()["id"]
        firewall = f"/firewall/{instance}"

        async def rules_are(*expected: list[str]) -> bool:
            return bool((await alice.get(firewall)).json().get("rules") == list(expected))

        await eventually(lambda: rules_are(["203.0.113.7/32", "ACCEPT"]))
        assert (await alice.post(firewall, json={"src": "198.51.100.0/24", "action": "DROP"})).status_code == 200
        assert await rules_are(["203.0.113.7/32", "ACCEPT"], ["198.51.100.0/24", "DROP"])
        assert (await alice.delete(firewall)).status_code == 200
        assert await rules_are()
        assert (await bob.post(f"/new/{deployment}")).status_code == 503
        assert (await alice.get(f"/instance/{instance}")).json()["hostkeys"][0].startswith("ssh-ed25519 ")

        assert (await alice.post(f"/terminate/{instance}")).status_code == 200

        async def free() -> bool:
            return bool((await alice.get(f"/queuelen/{deployment}")).json()["len"] == 0)

        await eventually(free)

        async def ended() -> bool:
            return bool((await alice.get(f"/instance/{instance}")).json()["status"] == "TERMINATED")

        await eventually(ended)
        assert "endtime" in (await alice.get(f"/instance/{instance}")).json()
        with pytest.raises(NotFoundError):
            await lab.client.get(SECRETS, release.namespaces.access, names.instance_object(instance))
        assert (await bob.post(f"/new/{deployment}")).status_code == 200


async def heartbeat(
    lab: World, deployment: str, reason: str, renew: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Wait until the operator says so of a deployment, whose machine may go on renewing its Lease meanwhile."""

    async def told() -> bool:
        if renew is not None:
            await renew()
        known = find((await lab.deployment_resource(deployment)).status.conditions, "Online")
        return known is not None and known.reason == reason

    await eventually(told)


async def machine(lab: World, deployment: str, limit: int) -> Callable[[], Awaitable[None]]:
    """A machine's Lease, not renewed yet; what renews it, which counts for `limit` seconds."""
    found = await lab.deployment_resource(deployment)
    where, name = found.metadata.namespace, found.metadata.name
    body: Object = {"metadata": {"name": name, "labels": {names.HEARTBEAT_LABEL: "true"}}}
    await lab.client.create(LEASES, where, body | {"spec": {"leaseDurationSeconds": limit}})

    async def renew() -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        await lab.client.patch(LEASES, where, name, {"spec": {"renewTime": now}})

    return renew


@pytest.mark.release(twin="tests/envtest/operator/test_heartbeats.py")
async def test_a_machine_without_a_heartbeat_refuses_new_instances(release: Release, lab: World) -> None:
    kind = await lab.type()
    deployment = await lab.deployment(kind, heartbeat="lease")
    renew = await machine(lab, deployment, limit=5)
    await heartbeat(lab, deployment, "HeartbeatAwaited")
    await heartbeat(lab, deployment, "HeartbeatSeen", renew)
    async with release.user("alice") as alice:

        async def is_online() -> bool:
            await renew()
            return bool((await alice.get(f"/deployment/{deployment}")).json()["online"])

        await eventually(is_online)
        made = await alice.post(f"/new/{kind}")
        assert made.status_code == 200
        await heartbeat(lab, deployment, "HeartbeatLost")
        assert (await alice.get(f"/instance/{made.json()['id']}")).json()["status"] == "INIT", "running instances go on"
        # Silence counts for more than that somebody has it: nobody knows when it comes back.
        for path, body in ((f"/new/{deployment}", {}), ("/new", {"wds": [deployment]})):
            answer = await alice.post(path, json=body | {"reserve": True})
            assert answer.status_code == 503
            assert "offline" in answer.json()["error"]
            assert int(answer.headers["Retry-After"]) > 0
        by_type = await alice.post(f"/new/{kind}", json={"reserve": True})
        assert (by_type.status_code, by_type.json()["error"]) == (404, "no matching wdeployment found")
        assert (await alice.get("/reservations")).json()["reservations"] == []
