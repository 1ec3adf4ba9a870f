"""An upgrade from the version before this one, with leases, warm pods and waiters: all of them stay."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from documented import Right
from forked import Process

from berth_core import ids, names
from berth_core.kube.types import Kind, Object
from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import NODES, Puppets
from berth_dev.envtest.testing import Namespaces, apply_crds, make_namespaces

from .conftest import lab_in
from .earlier import Version, earlier
from .killing import is_bound
from .lab import DEPLOYMENTS, INSTANCES, LEASES, PODS, RESERVATIONS, RULES, SECRETS, SERVICES, Lab, condition
from .process import Operators, restricted_kubeconfig

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/chart/test_existing.py")]

FIRST = IPv4Address("127.62.0.1")
SECONDS = 60
BUDGETS = Kind("policy/v1", "poddisruptionbudgets")
EARLIER_RIGHTS: frozenset[Right] = frozenset(
    ("workspaces", "policy", BUDGETS.plural, "", verb) for verb in ("get", "create", "patch")
)
"""Rights that only the version before needs."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The version before this one."""
    return earlier(tmp_path_factory.mktemp("earlier"))


@pytest.fixture
def apiserver(tmp_path: Path, before: Version) -> Iterator[ApiServer]:
    """An API server of the test's own, with the CRDs of the version before: CRDs are the whole cluster's."""
    with tiers.running(tmp_path / "apiserver") as server:
        apply_crds(server, before.sources / "crds")
        yield server


@pytest.fixture
def namespaces(apiserver: ApiServer) -> Namespaces:
    return make_namespaces(apiserver)


@pytest.fixture
async def lab(apiserver: ApiServer, namespaces: Namespaces) -> AsyncIterator[Lab]:
    async with lab_in(apiserver, namespaces) as made:
        yield made


@pytest.fixture
def operators(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> Iterator[Operators]:
    """Operators with the rights of both versions."""
    made = Operators(restricted_kubeconfig(apiserver, namespaces, tmp_path, EARLIER_RIGHTS), namespaces, tmp_path)
    yield made
    made.stop_all()


@pytest.fixture
async def puppets(lab: Lab) -> AsyncIterator[Puppets]:
    made = Puppets(lab.client, lab.namespace, f"node-of-{lab.namespace}", FIRST)
    address = {"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
    async with made.playing():
        await lab.client.patch(NODES, None, made.node, address, subresource="status")
        yield made


def warm_name(lab: Lab, deployment: str, epoch: int) -> str:
    return names.warm_object(ids.deployment_id(lab.namespace, deployment), epoch)


async def bound(lab: Lab, name: str) -> Object:
    return await lab.until(INSTANCES, name, lambda o: is_bound("", o), seconds=SECONDS)


async def held(lab: Lab, name: str, deployment: str) -> Object:
    """An Instance of somebody's own, bound to a deployment, with its pod."""
    await lab.instance(name, user=name, deployments=[deployment], requesterAddress="198.51.100.7")
    return await bound(lab, name)


async def terminate(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=SECONDS)


async def puts_in_force(lab: Lab, instance: Object, name: str) -> None:
    """Show that an operator looks after an instance: it puts a new rule in force."""
    spec = {"instance": instance["metadata"]["uid"], "order": 9, "source": "203.0.113.0/24", "action": "ACCEPT"}
    await lab.create(RULES, name, spec)
    await lab.until(RULES, name, lambda rule: condition(rule, "InForce", "status") == "True", seconds=SECONDS)


async def succeeds(lab: Lab, operators: Operators, old: Process) -> None:
    """Replace the operator of the version before by one of this version."""
    old.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(old.wait, 30) == 0
    operators.start()

    def leads(lease: Object) -> bool:
        return str(lease["spec"].get("holderIdentity")).startswith("operator-1_")

    await lab.until(LEASES, "berth-operator", leads, namespace=lab.namespaces.release, seconds=SECONDS)


async def of_epoch(lab: Lab, deployment: str, epoch: int) -> list[str]:
    """Name what is there of an epoch."""
    found = [
        await lab.client.list(kind, lab.namespace, labels=names.epoch_labels(epoch, deployment))
        for kind in (PODS, SERVICES, SECRETS)
    ]
    return [obj["metadata"]["name"] for objects, _ in found for obj in objects]


async def lease_before(lab: Lab, name: str, deployment: str, pod: str) -> tuple[Object, str]:
    """A lease of the version before: its Instance, Ready, and the uid of its pod."""
    await held(lab, name, deployment)
    ready = await lab.until(INSTANCES, name, lambda o: condition(o, "Ready", "status") == "True", seconds=SECONDS)
    pod = pod or f"i-{ready['metadata']['uid']}"
    return ready, str((await lab.kept(PODS, pod))["metadata"]["uid"])


async def is_kept(lab: Lab, before: Object, pod_uid: str) -> None:
    """Show that a lease of before is looked after by the new operator, and is what it was."""
    name = before["metadata"]["name"]
    await puts_in_force(lab, before, f"after-{name}")
    now = await lab.kept(INSTANCES, name)
    assert condition(now, "Ready", "status") == "True"
    for field in ("epoch", "hostKeys", "address", "startTime", "readyTime", "podUid"):
        assert now["status"][field] == before["status"][field], field
    assert now["status"]["podUid"] == pod_uid


async def gets_another_pod(lab: Lab, before: Object) -> None:
    """Lose the pod of a lease of before: another is made under the same lease, with the same host key."""
    name, pod = before["metadata"]["name"], f"i-{before['metadata']['uid']}"
    lost = before["status"]["podUid"]
    await lab.client.delete(PODS, lab.namespace, pod, grace_seconds=0)

    def runs_anew(pod: Object) -> bool:
        return bool(pod["metadata"]["uid"] != lost and pod["status"].get("phase") == "Running")

    await lab.until(PODS, pod, runs_anew, seconds=SECONDS)
    assert (await lab.kept(INSTANCES, name))["status"]["hostKeys"] == before["status"]["hostKeys"]


async def budgets_go(lab: Lab, *pods: str) -> None:
    """Show that the budgets of leases of before go, since the chart has made that of the namespace."""
    for pod in pods:
        await lab.until_gone(BUDGETS, pod, seconds=SECONDS)
    assert await lab.kept(BUDGETS, names.LEASES_BUDGET)


async def waiters(lab: Lab, deployment: str) -> None:
    """Let a Reservation wait, and after it an Instance made with kubectl."""
    await lab.reservation("first", user="first", deployments=[deployment])
    await lab.until(RESERVATIONS, "first", lambda o: condition(o, "Waiting", "status") == "True", seconds=SECONDS)
    await lab.instance("second", user="second", deployments=[deployment], requesterAddress="198.51.100.8")
    await lab.until(INSTANCES, "second", lambda o: condition(o, "Bound", "status") == "False", seconds=SECONDS)


async def have_their_turns(lab: Lab, deployment: str) -> None:
    """Show that the waiters of before are served in their order, each with the next epoch."""
    granted = await lab.until(
        RESERVATIONS, "first", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=SECONDS
    )
    grant = granted["status"]["grant"]
    assert grant["epoch"] == 2
    assert condition(await lab.kept(INSTANCES, "second"), "Bound", "status") == "False"
    await bound(lab, grant["instance"])
    await terminate(lab, grant["instance"])
    assert (await bound(lab, "second"))["status"]["epoch"] == 3
    await terminate(lab, "second")
    free = await lab.until(DEPLOYMENTS, deployment, lambda wd: condition(wd, "Available") == "Free", seconds=SECONDS)
    assert (free["status"]["epoch"], "lease" in free["status"]) == (3, False)


async def test_leases_warm_pods_and_waiters_outlive_an_upgrade(
    apiserver: ApiServer, lab: Lab, operators: Operators, puppets: Puppets, before: Version
) -> None:
    assert puppets.states == {}
    old = operators.start(**before.environment)
    await lab.type()
    await lab.type("hot", warm=True)
    for name, type_name in (("cold", "bench"), ("hot-held", "hot"), ("hot-free", "hot")):
        await lab.deployment(name, type_name)
    for name in ("hot-held", "hot-free"):
        warm = warm_name(lab, name, 1)
        await lab.until(PODS, warm, lambda pod: pod["status"].get("phase") == "Running", seconds=SECONDS)
    cold, hot = (
        await lease_before(lab, "of-cold", "cold", ""),
        await lease_before(lab, "of-hot", "hot-held", warm_name(lab, "hot-held", 1)),
    )
    assert hot[0]["status"]["warm"] is True
    await waiters(lab, "cold")
    guarded = (f"i-{cold[0]['metadata']['uid']}", warm_name(lab, "hot-held", 1))
    for pod in guarded:
        await lab.until(BUDGETS, pod, bool, seconds=SECONDS)

    of_the_chart: Object = {"metadata": {"name": names.LEASES_BUDGET}, "spec": {"minAvailable": 1}}
    await lab.client.create(BUDGETS, lab.namespace, of_the_chart)
    await asyncio.to_thread(apply_crds, apiserver)
    await succeeds(lab, operators, old)

    for lease in (cold, hot):
        await is_kept(lab, *lease)
    await budgets_go(lab, *guarded)
    await gets_another_pod(lab, cold[0])
    await held(lab, "of-free", "hot-free")
    for name, deployment in (("of-hot", "hot-held"), ("of-free", "hot-free")):
        await terminate(lab, name)
        assert await of_epoch(lab, deployment, 1) == []
    await terminate(lab, "of-cold")
    await have_their_turns(lab, "cold")
    for epoch in (1, 2, 3):
        assert await of_epoch(lab, "cold", epoch) == []
