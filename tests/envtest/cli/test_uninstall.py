"""The uninstall Job: it ends leases, waits, says what did not end, and leaves nothing fenced."""

import asyncio

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.resources import Instance, WorkspaceDeployment
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from . import lab
from .conftest import Run

API = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: berth-api}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: example/berth}]}
"""


async def read(client: Client, namespace: str, instance: str) -> Instance:
    return Instance.parse(await client.get(Instance.api(), namespace, instance))


async def test_with_nothing_lent_it_is_done_at_once(client: Client, namespaces: Namespaces, uninstall_job: Run) -> None:
    await lab.deployment(client, namespaces.workspaces, "misty-1")
    done = uninstall_job()
    assert done.code == 0
    assert "no lease is left" in done.out


async def test_the_api_is_closed_first(apiserver: ApiServer, namespaces: Namespaces, uninstall_job: Run) -> None:
    where = ("-n", namespaces.release)
    apiserver.kubectl("create", *where, "-f", "-", stdin=API)
    assert uninstall_job().code == 0
    assert apiserver.kubectl("get", "deployment/berth-api", *where, "-o", "jsonpath={.spec.replicas}") == "0"


async def test_it_waits_until_the_api_s_pods_are_gone(
    client: Client, namespaces: Namespaces, uninstall_job: Run
) -> None:
    where = namespaces.release
    await lab.api_pod(client, where, "berth-api-0")
    assert "pods do not end" in uninstall_job().out
    job = asyncio.create_task(asyncio.to_thread(uninstall_job, BERTH_UNINSTALL_DEADLINE="60"))
    await client.delete(lab.PODS, where, "berth-api-0", grace_seconds=0)
    done = await job
    assert done.code == 0, done.out
    assert "do not end" not in done.out


async def test_what_is_kept_warm_goes_and_the_operator_first(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, uninstall_job: Run
) -> None:
    where = namespaces.workspaces
    apiserver.kubectl("create", "-n", namespaces.release, "-f", "-", stdin=API.replace("berth-api", "berth-operator"))
    await lab.deployment(client, where, "misty-1")
    await lab.warm(client, where, "misty-1", epoch=1)
    await lab.deployment(client, where, "misty-2")
    await lab.warm(client, where, "misty-2", epoch=1, nonce="0a1b2c3d")  # whose removal had begun
    await lab.type_policy(client, where, "misty")
    done = uninstall_job()
    assert done.code == 0, done.out
    scaled = ("get", "deployment/berth-operator", "-n", namespaces.release, "-o", "jsonpath={.spec.replicas}")
    assert apiserver.kubectl(*scaled) == "0"
    for kind in (lab.PODS, lab.SERVICES, lab.SECRETS, lab.POLICIES):
        assert (await client.list(kind, where))[0] == [], kind


async def test_the_policy_of_a_type_stays_while_a_pod_of_it_is_there(
    client: Client, namespaces: Namespaces, uninstall_job: Run
) -> None:
    where = namespaces.workspaces
    for name in ("misty", "arm"):
        await lab.type_policy(client, where, name)
    await lab.pod(client, where, "late", Lease("misty-1", 1), labels=names.type_labels("arm"))
    done = uninstall_job()
    assert done.code == 0, done.out
    left, _ = await client.list(lab.POLICIES, where)
    assert [policy["metadata"]["name"] for policy in left] == [names.type_policy("arm")]


async def test_private_keys_go_and_accounts_stay(client: Client, namespaces: Namespaces, uninstall_job: Run) -> None:
    labels = {
        "i-1": {names.INSTANCE_LABEL: "1"},
        "idem-1": {names.IDEMPOTENCY_LABEL: "1"},
        "alice-password": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
    }
    for name, chosen in labels.items():
        body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": chosen}}
        await client.create(lab.SECRETS, namespaces.access, body)
    done = uninstall_job()
    assert done.code == 0, done.out
    left, _ = await client.list(lab.SECRETS, namespaces.access, metadata_only=True)
    assert [secret["metadata"]["name"] for secret in left] == ["alice-password"]


async def test_it_waits_until_every_lease_has_ended(client: Client, namespaces: Namespaces, uninstall_job: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    instance = await lab.lend(client, where, "misty-1", "alice")
    _, version = await client.list(Instance.api(), where)
    job = asyncio.create_task(asyncio.to_thread(uninstall_job, BERTH_UNINSTALL_DEADLINE="60"))
    async for event in client.watch(Instance.api(), where, version):
        if event.type == "MODIFIED" and Instance.parse(event.object).spec.terminate:
            break
    assert not job.done()
    await lab.end(client, where, instance)
    done = await job
    assert done.code == 0, done.out
    history = await read(client, where, instance)
    assert history.metadata.finalizers == ()
    assert history.status.end_time is not None


async def test_a_lease_that_does_not_end_stops_the_uninstall(
    client: Client, namespaces: Namespaces, uninstall_job: Run
) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    instance = await lab.lend(client, where, "misty-1", "alice")
    done = uninstall_job()
    assert done.code == 1
    assert f"not ended within 1 s: instance {instance} of alice, lease of misty-1" in done.out
    assert "berth release DEPLOYMENT --force" in done.out
    left = await read(client, where, instance)
    assert left.metadata.finalizers == (names.FENCE_FINALIZER,)
    assert left.spec.terminate


async def test_by_force_nothing_is_left(client: Client, namespaces: Namespaces, uninstall_job: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    instance = await lab.lend(client, where, "misty-1", "alice")
    done = uninstall_job(BERTH_UNINSTALL_FORCE="true")
    assert done.code == 0, done.out
    assert (await client.list(lab.PODS, where))[0] == []
    assert (await read(client, where, instance)).metadata.finalizers == ()
    wd = WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), where, "misty-1"))
    assert (wd.status.lease, wd.status.epoch, wd.status.instances) == (None, 1, 0)
    await client.delete(Instance.api(), where, instance)
    assert (await client.list(Instance.api(), where))[0] == []


def test_without_settings_it_says_which(uninstall_job: Run) -> None:
    done = uninstall_job(BERTH_WORKSPACE_NAMESPACES="")
    assert done.code == 1
    assert "BERTH_WORKSPACE_NAMESPACES is not set" in done.out
