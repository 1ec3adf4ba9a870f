"""The manifests of docs/how-to/hooks.md and presence.md, as a lab's administrator would apply them."""

import asyncio
import re
import textwrap
import time

import pytest
import yaml

from berth_core.kube.client import Client
from berth_core.kube.types import Kind
from berth_core.names import API_VERSION
from berth_core.resources import WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

LEASES = Kind("coordination.k8s.io/v1", "leases")
RENEWED = '{"spec":{"renewTime":"2026-05-01T00:00:00.000000Z"}}'


def manifests() -> list[str]:
    page = (REPOSITORY / "docs/how-to/hooks.md").read_text(encoding="utf-8")
    return re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


async def test_what_is_documented_about_hooks_and_heartbeats_works(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    for text in manifests():
        apiserver.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", stdin=text)
    wd = WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, "arm-7"))
    kind = WorkspaceType.parse(await client.get(WorkspaceType.api(), namespace, "lab-arm"))
    assert (wd.spec.type, wd.spec.heartbeat) == (kind.spec.type_name, "lease")
    hooks = kind.spec.hooks
    assert None not in (hooks.prepare, hooks.reset, hooks.health_check)
    machine = f"--as=system:serviceaccount:lab-machines:{wd.metadata.name}"
    may = ["auth", "can-i", "patch", f"leases.coordination.k8s.io/{wd.metadata.name}", "-n", namespace]
    until = time.monotonic() + 60
    while apiserver.kubectl(machine, *may, check=False).strip() != "yes":  # it hears of a new binding by a watch
        assert time.monotonic() < until, "the machine was never given its role"
        await asyncio.sleep(0.05)
    patch = ["patch", "lease", wd.metadata.name, "-n", namespace, "--type=merge", "-p", RENEWED]
    apiserver.kubectl(machine, *patch)
    beat = ["auth", "can-i", "beat", f"workspacedeployments.berth.dev/{wd.metadata.name}", "-n", namespace]
    assert apiserver.kubectl(machine, *beat).strip() == "yes"
    lease = await client.get(LEASES, namespace, wd.metadata.name)
    assert lease["spec"]["renewTime"] == yaml.safe_load(RENEWED)["spec"]["renewTime"]
    with pytest.raises(ClusterError, match="cannot list"):
        apiserver.kubectl(machine, "get", "leases", "-n", namespace)


async def test_what_is_documented_about_presence_is_taken(apiserver: ApiServer, client: Client, namespace: str) -> None:
    page = (REPOSITORY / "docs/how-to/presence.md").read_text(encoding="utf-8")
    (fragment,) = re.findall(r"^ +```yaml\n(.*?)^ +```$", page, re.DOTALL | re.MULTILINE)
    head = f"apiVersion: {API_VERSION}\nkind: WorkspaceDeployment\nmetadata: {{name: arm-8}}\n"
    apiserver.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", stdin=head + textwrap.dedent(fragment))
    wd = WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, "arm-8"))
    assert wd.spec.health is not None
    assert (wd.spec.health.tcp, wd.spec.health.every, wd.spec.health.failures) == (30002, 30, 3)
