"""Devices of a machine in a lease: given to it alone, kept until nothing of it runs, and given to the next then.

Kubernetes' own scheduler allocates the claims, and its own controllers free them. Driver, kubelet and agents are
played.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from berth_core import ids, names
from berth_core.kube.types import Kind, Object
from berth_dev.components import kubernetes_version
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import NODES, Puppets
from berth_dev.envtest.testing import Namespaces, make_namespaces

from .conftest import lab_in
from .devices import CLAIMS, FREED, SLICES, Driver, device_of, reserved_for, scheduling, with_room
from .hooks import exited
from .killing import Happens, kill_when, nothing_left
from .lab import DEPLOYMENTS, INSTANCES, PODS, Lab, condition
from .process import Operators, restricted_kubeconfig

pytestmark = pytest.mark.apiserver

TEMPLATE: dict[str, Any] = {"template": {"image": "workspace.invalid/none:1"}}
HAS_TAINTS = kubernetes_version() != "1.34.4"
LONG = 30
"""Seconds for what Kubernetes' own processes do."""


@pytest.fixture(scope="module")
def scheduler(controllers: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scheduling(controllers, tmp_path_factory.mktemp("scheduler")):
        yield


@pytest.fixture
def spaces(controllers: ApiServer) -> Namespaces:
    return make_namespaces(controllers)


@pytest.fixture
async def field(controllers: ApiServer, scheduler: None, spaces: Namespaces) -> AsyncIterator[Lab]:
    async with lab_in(controllers, spaces, judge=True) as made:
        yield made


@pytest.fixture
async def driver(field: Lab, addresses: IPv4Address) -> AsyncIterator[Driver]:
    """A driver on a node whose kubelet and agents are played."""
    puppets = Puppets(field.client, field.namespace, f"node-of-{field.namespace}", addresses, binds=False)
    made = Driver(field, puppets.node)
    async with puppets.playing():
        address = {"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
        await field.client.patch(NODES, None, puppets.node, address, subresource="status")
        async with with_room(field, puppets.node):
            await made.install()
            yield made
            await made.remove()
    await field.client.delete(NODES, None, puppets.node)


@pytest.fixture
def operators(controllers: ApiServer, spaces: Namespaces, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(restricted_kubeconfig(controllers, spaces, tmp_path), spaces, tmp_path)
    yield made
    made.stop_all()


async def holder(lab: Lab, deployment: str, name: str) -> Object:
    """An Instance that has a deployment."""
    await lab.instance(name, deployments=[deployment])
    return await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=LONG)


def claim_of(instance: Object, epoch: int = 1) -> str:
    return f"i-{instance['metadata']['uid']}-e{epoch}-arm"


async def given(lab: Lab, instance: Object, epoch: int = 1) -> Object:
    """The claim of an Instance once it has its device, and that stays its own."""
    name = instance["metadata"]["name"]
    return await lab.until(CLAIMS, claim_of(instance, epoch), lambda o: name in reserved_for(o), seconds=LONG)


async def end(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})


async def ended(lab: Lab, name: str) -> Object:
    return await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=LONG)


async def found(lab: Lab, reason: str, deployment: str = "one", seconds: float = LONG) -> Object:
    return await lab.until(DEPLOYMENTS, deployment, lambda o: condition(o, "DevicesFound") == reason, seconds=seconds)


async def test_two_deployments_of_one_type_never_swap_their_devices(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7", "B8")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.arm("A7"))
    await field.deployment("two", machine=driver.arm("B8"))
    for epoch in (1, 2):
        order = [("one", "a7"), ("two", "b8")][:: 1 if epoch == 1 else -1]
        for deployment, device in order:
            instance = await holder(field, deployment, f"{deployment}-{epoch}")
            claim = await given(field, instance, epoch)
            assert device_of(claim) == device
            assert f"i-{instance['metadata']['uid']}" in reserved_for(claim)
            (request,) = claim["spec"]["devices"]["requests"]
            assert (request["exactly"]["allocationMode"], request["exactly"]["count"]) == ("ExactCount", 1)
            await field.until(
                INSTANCES, f"{deployment}-{epoch}", lambda o: condition(o, "Ready", "status") == "True", seconds=LONG
            )
            pod = await field.kept(PODS, f"i-{instance['metadata']['uid']}")
            assert pod["spec"]["nodeName"] == driver.node
            (workspace,) = pod["spec"]["containers"]
            assert workspace["resources"]["claims"] == [{"name": "berth-arm"}]
        for deployment, _ in order:
            await end(field, f"{deployment}-{epoch}")
        for deployment, _ in order:
            await ended(field, f"{deployment}-{epoch}")
    claims, _ = await field.client.list(CLAIMS, field.namespace)
    assert claims == []


async def test_the_next_holder_gets_the_device_only_after_the_give_back(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.arm("A7"))
    first = await holder(field, "one", "ada")
    await given(field, first)
    await field.instance("bob", deployments=["one"])
    # Something keeps the claim: as where its controller is away for a while.
    claim = claim_of(first)
    held = (await field.kept(CLAIMS, claim))["metadata"]["finalizers"]
    assert FREED in held
    hold = {"metadata": {"finalizers": [*held, "test.dev/hold"]}}
    await field.client.patch(CLAIMS, field.namespace, claim, hold)
    await end(field, "ada")
    gone = await field.until(CLAIMS, claim, lambda o: FREED not in o["metadata"]["finalizers"], seconds=LONG)
    assert device_of(gone) is None
    await asyncio.sleep(2)  # long enough for a mistake
    assert ((await field.lease("one")) or {}).get("instance") == first["metadata"]["uid"]
    assert condition(await field.kept(INSTANCES, "bob"), "Bound", "status") != "True"
    _, version = await field.client.list(CLAIMS, field.namespace)
    await field.client.patch(CLAIMS, field.namespace, claim, {"metadata": {"finalizers": None}})
    second = await field.until(INSTANCES, "bob", lambda o: condition(o, "Bound", "status") == "True", seconds=LONG)
    assert device_of(await given(field, second, epoch=2)) == "a7"
    seen: list[tuple[str, str | None]] = []
    async with asyncio.timeout(LONG):
        async for event in field.client.watch(CLAIMS, field.namespace, version):
            seen.append((event.object["metadata"]["name"], event.type))
            if event.type == "MODIFIED" and device_of(event.object) is not None:
                break
    claims = [name for name, _ in seen]
    assert seen.index((claim, "DELETED")) < claims.index(claim_of(second, 2)), "made when nothing was left of the first"


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_devices.py")
async def test_the_device_stays_the_leases_while_no_pod_of_it_uses_it(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    hook = {"command": ["true"], "timeout": 300}
    await field.type(**TEMPLATE, hooks={"prepare": hook, "reset": hook})
    await field.deployment("one", machine=driver.arm("A7"))
    instance = await holder(field, "one", "ada")
    uid = instance["metadata"]["uid"]
    claim = await given(field, instance)
    await exited(field, await pod_of_hook(field, uid, "prepare", driver.node), 0)
    await field.until(INSTANCES, "ada", lambda o: condition(o, "Ready", "status") == "True", seconds=2 * LONG)
    # A lost node's pod is marked Failed, and another is made.
    lost = await field.kept(PODS, f"i-{uid}")
    groups = ("initContainerStatuses", "containerStatuses")
    over = {"terminated": {"exitCode": 137, "reason": "Error"}}
    said = {group: [one | {"state": over} for one in lost["status"][group]] for group in groups}
    await field.status_patch(PODS, f"i-{uid}", {"phase": "Failed", **said})
    await field.until(PODS, f"i-{uid}", lambda o: o["metadata"]["uid"] != lost["metadata"]["uid"], seconds=LONG)
    await field.until(INSTANCES, "ada", lambda o: condition(o, "Ready", "status") == "True", seconds=2 * LONG)
    await end(field, "ada")
    reset = await pod_of_hook(field, uid, "reset", driver.node)
    same = await field.kept(CLAIMS, claim_of(instance))
    assert (same["metadata"]["uid"], device_of(same)) == (claim["metadata"]["uid"], "a7")
    assert "ada" in reserved_for(same)
    await exited(field, reset, 0)
    over = await ended(field, "ada")
    assert condition(over, "Cleaned", "status") == "True"
    assert await field.absent(CLAIMS, claim_of(instance))


async def test_a_lease_goes_back_whatever_becomes_of_its_claims(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    await field.type(**TEMPLATE, hooks={"reset": {"command": ["true"], "timeout": 300}})
    await field.deployment("one", machine=driver.arm("A7"))
    instance = await holder(field, "one", "ada")
    await given(field, instance)
    # Kubernetes takes the owner off all that an orphaning deletion leaves.
    path, orphaning = INSTANCES.path(field.namespace, "ada"), {"propagationPolicy": "Orphan"}
    await field.client.request("DELETE", path, body={"kind": "DeleteOptions", "apiVersion": "v1"} | orphaning)
    await field.until(CLAIMS, claim_of(instance), lambda o: "ownerReferences" not in o["metadata"], seconds=LONG)
    await exited(field, await pod_of_hook(field, instance["metadata"]["uid"], "reset", driver.node), 0)
    await field.until_gone(INSTANCES, "ada", seconds=LONG)
    await field.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=LONG)
    # A claim that is not the lease's any more is refused in each pass.
    instance = await holder(field, "one", "bob")
    await given(field, instance, 2)
    unmarked = {"metadata": {"labels": {names.EPOCH_LABEL: "7"}}}
    await field.client.patch(CLAIMS, field.namespace, claim_of(instance, 2), unmarked)
    await end(field, "bob")
    shown = await field.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=LONG)
    assert condition(shown, "Quarantined") == "ResetFailed"
    assert "the cluster refuses it: the ResourceClaim" in str(condition(shown, "Quarantined", "message"))


async def pod_of_hook(lab: Lab, uid: str, hook: str, node: str) -> str:
    """Name of a hook's pod once the scheduler has given it its node."""
    labels = {"berth.dev/instance": uid, "berth.dev/hook": hook}
    async with asyncio.timeout(LONG):
        pods, version = await lab.client.list(PODS, lab.namespace, labels=labels)
        while True:
            for pod in pods:
                if pod["spec"].get("nodeName") == node:
                    return str(pod["metadata"]["name"])
            async for event in lab.client.watch(PODS, lab.namespace, version, labels=labels):
                version = event.object["metadata"]["resourceVersion"]
                if event.type in ("ADDED", "MODIFIED"):
                    pods = [event.object]
                    break


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_devices.py")
async def test_a_lease_whose_device_is_not_there_says_which_device_by_which_selector(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("B8")
    await field.type(**TEMPLATE)
    expression = f'device.attributes["{driver.name}"].?serial.orValue("").startsWith("A7")'
    await field.deployment("one", machine=driver.machine(expression))
    assert condition(await found(field, "NotProven"), "Available") == "Free"
    await holder(field, "one", "ada")
    over = await ended_for(field, "ada")
    message = over["status"]["message"]
    assert over["status"]["reason"] == "StartFailed"
    for words in ("the device arm", driver.name, expression, "cannot allocate all claims"):
        assert words in message
    await ended(field, "ada")


async def ended_for(lab: Lab, name: str) -> Object:
    return await lab.until(INSTANCES, name, lambda o: "reason" in o["status"], seconds=2 * LONG)


async def online(lab: Lab, reason: str, seconds: float = 10) -> Object:
    return await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Online") == reason, seconds=seconds)


async def test_a_free_deployment_is_offline_while_its_device_is_unplugged_or_tainted(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7", "B8")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.arm("A7"))
    assert f"{driver.name}/{driver.node}/a7" in str(
        condition(await found(field, "DevicesFound"), "DevicesFound", "message")
    )
    await driver.offer("B8")
    shown = await online(field, "DeviceMissing", seconds=10)
    assert condition(shown, "Available") == "Offline"
    assert 'orValue("") == "A7"' in str(condition(shown, "Online", "message"))
    await driver.offer("A7", "B8")
    await field.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    taint: Object = {"key": "devices.test/unplugged", "effect": "NoSchedule"}
    await driver.offer("A7", "B8", taints={"a7": [taint]})
    if HAS_TAINTS:
        assert "devices.test/unplugged" in str(condition(await online(field, "DeviceMissing"), "Online", "message"))
        await driver.offer("A7", "B8", taints={"a7": [taint | {"effect": "None"}]})
        await field.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    else:
        assert "taints" not in str(await field.client.list(SLICES)), "the cluster has none: drivers take devices away"
    await driver.remove()
    assert "there is no DeviceClass" in str(condition(await online(field, "DeviceMissing"), "Online", "message"))


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_devices.py")
async def test_a_selector_that_fits_two_devices_is_refused_until_it_fits_one(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer(left="A7", right="A7")
    await field.type(**TEMPLATE)
    await field.create(DEPLOYMENTS, "one", {"type": "bench", "machine": driver.arm("A7")})
    shown = await online(field, "DeviceAmbiguous", seconds=LONG)
    assert condition(shown, "Available") == "Offline"
    for place in ("left", "right"):
        assert f"{driver.name}/{driver.node}/{place}" in str(condition(shown, "Online", "message"))
    await field.instance("ada", deployments=["one"])
    await driver.offer(left="A7")
    await given(field, await field.until(INSTANCES, "ada", lambda o: condition(o, "Bound", "status") == "True"))
    await field.until(INSTANCES, "ada", lambda o: condition(o, "Ready", "status") == "True", seconds=LONG)
    await driver.offer(left="A7", right="A7")
    await found(field, "DeviceAmbiguous")
    assert "reason" not in (await field.kept(INSTANCES, "ada"))["status"], "a lease keeps what it was given"


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_devices.py")
async def test_a_running_lease_tells_its_holder_that_a_device_is_gone_and_goes_on(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.arm("A7"))
    instance = await holder(field, "one", "ada")
    await given(field, instance)
    await field.until(INSTANCES, "ada", lambda o: condition(o, "Ready", "status") == "True", seconds=LONG)
    await driver.offer("B8")
    await field.until(INSTANCES, "ada", lambda o: condition(o, "MachineReachable") == "DeviceMissing")
    await field.told("DeviceMissing", "the device arm")
    await driver.offer("A7")
    await field.until(INSTANCES, "ada", lambda o: condition(o, "MachineReachable", "status") == "True")
    over = await field.kept(INSTANCES, "ada")
    assert condition(over, "Ready", "status") == "True"


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_warm.py")
async def test_no_pod_is_kept_warm_for_a_deployment_with_devices(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    await field.type(**TEMPLATE, warm=True)
    await field.deployment("one")
    warm = names.warm_object(ids.deployment_id(field.namespace, "one"), 1)
    await field.until(PODS, warm, bool, seconds=LONG)
    await field.client.patch(DEPLOYMENTS, field.namespace, "one", {"spec": {"machine": driver.arm("A7")}})
    await field.until_gone(PODS, warm, seconds=LONG)
    await field.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=LONG)
    instance = await holder(field, "one", "ada")
    assert not instance["status"].get("warm")
    assert device_of(await given(field, instance)) == "a7"


async def test_a_claim_that_a_former_leader_makes_late_goes_and_keeps_the_device_from_nobody(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.arm("A7"))
    instance = await holder(field, "one", "ada")
    claim = await given(field, instance)
    pod = await field.kept(PODS, f"i-{instance['metadata']['uid']}")
    await end(field, "ada")
    await ended(field, "ada")
    for obj, kind in ((claim, CLAIMS), (pod, PODS)):
        metadata = obj["metadata"]
        kept = {key: metadata[key] for key in ("name", "labels", "ownerReferences")}
        spec = {key: value for key, value in obj["spec"].items() if key not in ("nodeName", "serviceAccount")}
        await field.client.create(kind, field.namespace, {**obj, "metadata": kept, "spec": spec, "status": {}})
    second = await holder(field, "one", "bob")
    assert device_of(await given(field, second, epoch=2)) == "a7"
    await field.until_gone(CLAIMS, claim_of(instance), seconds=LONG)
    await field.until(INSTANCES, "bob", lambda o: condition(o, "Ready", "status") == "True", seconds=LONG)


async def test_what_the_scheduler_cannot_read_ends_the_lease_with_its_words(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.machine("device.attributes[ =="))
    await holder(field, "one", "ada")
    over = await ended_for(field, "ada")
    assert over["status"]["reason"] == "StartFailed"
    assert "compilation failed" in over["status"]["message"]
    await ended(field, "ada")
    await field.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")


OPENING: list[tuple[Kind, Happens]] = [
    (INSTANCES, lambda _, o: "machine" in (o.get("status") or {})),
    (CLAIMS, lambda event, _: event == "ADDED"),
    (PODS, lambda event, _: event == "ADDED"),
    (CLAIMS, lambda _, o: device_of(o) is not None),
    (CLAIMS, lambda _, o: any(name.startswith("ada") for name in reserved_for(o))),
]
CLOSING: list[tuple[Kind, Happens]] = [
    (INSTANCES, lambda _, o: "reason" in (o.get("status") or {})),
    (PODS, lambda event, _: event == "DELETED"),
    (CLAIMS, lambda _, o: "deletionTimestamp" in o["metadata"]),
    (CLAIMS, lambda _, o: "deletionTimestamp" in o["metadata"] and not reserved_for(o)),
    (CLAIMS, lambda event, _: event == "DELETED"),
]
"""Writes of a lease that concern its device."""


@pytest.mark.release(twin="tests/sim/test_histories.py")
async def test_a_device_is_given_and_freed_after_a_kill_of_the_operator_at_any_write(
    field: Lab, driver: Driver, operators: Operators
) -> None:
    operators.start()
    await driver.offer("A7", "B8")
    await field.type(**TEMPLATE)
    await field.deployment("one", machine=driver.arm("A7"))
    for epoch, (opening, closing) in enumerate(zip(OPENING, CLOSING, strict=True), start=1):
        name, (kind, happens) = f"ada-{epoch}", opening
        await kill_when(field, operators, kind, happens, field.instance(name, deployments=["one"]))
        instance = await field.until(
            INSTANCES, name, lambda o: condition(o, "Ready", "status") == "True", seconds=2 * LONG
        )
        assert device_of(await given(field, instance, epoch)) == "a7"
        kind, happens = closing
        await kill_when(field, operators, kind, happens, end(field, name))
        await ended(field, name)
        await nothing_left(field, instance["metadata"]["uid"])
        assert await field.absent(CLAIMS, claim_of(instance, epoch))
        await field.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=LONG)
