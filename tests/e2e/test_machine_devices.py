"""Devices of machines by Berth's driver: each lease has the one of its own machine, on real kubelets.

The nodes' devices are those of the local cluster: pseudo terminals, two of them on one node.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from lab import NAMESPACE, Lab, Person
from places import IMAGE

from berth_dev.cluster import devices

pytestmark = pytest.mark.nodes

DRIVER: Final = "devices.berth.dev"
TYPE: Final = "arm_on_a_node"
TEMPLATE: Final = {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
SECONDS: Final = 60
PRESENCE_SECONDS: Final = 10
TALK: Final = 'ls /dev/berth; exec 3<>/dev/berth/arm; echo hello >&3; IFS= read -r -t 5 line <&3; echo "$line"'


def machine(serial: str) -> dict[str, Any]:
    expression = f'device.driver == "{DRIVER}" && device.attributes["{DRIVER}"].?serial.orValue("") == "{serial}"'
    selectors = [{"cel": {"expression": expression}}]
    return {"devices": [{"name": "arm", "deviceClassName": DRIVER, "selectors": selectors}]}


def offered(lab: Lab) -> dict[str, tuple[str, str]]:
    """Node and name of each device that may be given away, by serial number."""
    slices = json.loads(lab.kubectl("get", "resourceslices", "-o", "json"))["items"]
    return {
        device["attributes"]["serial"]["string"]: (one["spec"]["nodeName"], device["name"])
        for one in slices
        if one["spec"]["driver"] == DRIVER
        for device in one["spec"].get("devices") or ()
        if not device.get("taints")
    }


def _two_of_one_node(lab: Lab) -> tuple[str, str] | None:
    """Serial numbers of two devices on one node; None while none has two."""
    by_node: dict[str, list[str]] = {}
    for serial, (node, _) in sorted(offered(lab).items()):
        by_node.setdefault(node, []).append(serial)
    pair = next((serials for serials in by_node.values() if len(serials) > 1), ())
    return (pair[0], pair[1]) if pair else None


def two_of_one_node(lab: Lab) -> tuple[str, str]:
    """The same, once their driver offers them."""
    found: tuple[str, str] = until(lambda: _two_of_one_node(lab), "no node has two devices")
    return found


def apply(lab: Lab, *objects: dict[str, Any]) -> None:
    lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def made(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(autouse=True)
def _plugged() -> Iterator[None]:
    """All devices of the local cluster, plugged in."""
    plugged = [devices.plug(one) for one in devices.FIXED]
    yield
    for one in plugged:
        one.unplug()


@pytest.fixture
def arms(lab: Lab) -> Iterator[Callable[..., None]]:
    """`arms(left="A7", right="B8")`: deployments of one type, by name, with the serial numbers of their devices."""
    names: list[str] = []

    def lend(hooks: dict[str, Any] | None = None, **serials: str) -> None:
        kind = made("WorkspaceType", "arm-on-a-node", {"typeName": TYPE, "template": TEMPLATE, "hooks": hooks or {}})
        names.extend(serials)
        ones = (
            made("WorkspaceDeployment", name, {"type": TYPE, "machine": machine(of)}) for name, of in serials.items()
        )
        apply(lab, kind, *ones)

    yield lend
    lab.kubectl("delete", "wd", *names, "-n", NAMESPACE, "--ignore-not-found", f"--timeout={SECONDS}s")
    lab.kubectl("delete", "wt", "arm-on-a-node", "-n", NAMESPACE, "--ignore-not-found")


def until(holds: Callable[[], Any], complaint: str, seconds: float = SECONDS) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.2)
    return found


def online(lab: Lab, deployment: str) -> dict[str, Any]:
    """The condition Online of a deployment; empty while there is none."""
    conditions = lab.get("wd", deployment).get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "Online"), {})


def hears(lab: Lab, somebody: Person, instance: str) -> list[str]:
    """Answers of all devices in somebody's workspace."""
    info = somebody.asks("GET", f"/instance/{instance}").json
    done = somebody.ssh(info, TALK)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def claims(lab: Lab, instance: str) -> list[Any]:
    return lab.objects("resourceclaims", f"berth.dev/instance={instance}")


def allocated(claim: Any) -> str:
    (result,) = claim["status"]["allocation"]["devices"]["results"]
    return str(result["device"])


@pytest.mark.release(twin="tests/envtest/operator/test_devices.py")
def test_two_deployments_of_one_type_on_one_node_never_swap_their_devices(
    lab: Lab, ada: Person, bob: Person, arms: Callable[..., None]
) -> None:
    first, second = two_of_one_node(lab)
    arms(left=first, right=second)
    for name in ("left", "right"):
        lab.wait(f"wd/{name}", "condition=Available")
    ids = {name: lab.get("wd", name)["status"]["id"] for name in ("left", "right")}
    for order in (("left", "right"), ("right", "left"), ("left", "right")):
        people = dict(zip(order, (ada, bob), strict=True))
        instances = {name: people[name].takes(ids[name]) for name in order}
        for name, serial in (("left", first), ("right", second)):
            assert hears(lab, people[name], instances[name]) == ["arm", f"{serial} hello"]
            (claim,) = claims(lab, instances[name])
            assert allocated(claim) == offered(lab)[serial][1]
        for name in order:
            people[name].ends(instances[name], SECONDS)
            assert claims(lab, instances[name]) == []


@pytest.mark.release(twin="tests/envtest/operator/test_device_slices.py")
def test_a_device_that_nobody_plugged_in_is_named_and_its_deployment_is_not_lent(
    lab: Lab, ada: Person, arms: Callable[..., None]
) -> None:
    arms(absent="Z0")
    shown = until(
        lambda: online(lab, "absent").get("reason") == "DeviceMissing" and online(lab, "absent"), "it is lent"
    )
    assert 'orValue("") == "Z0"' in shown["message"]
    # Where the selector is more than equalities, only a lease shows it.
    (device,) = (unread := machine("Z0"))["devices"]
    expression = device["selectors"][0]["cel"]["expression"]
    device["selectors"][0]["cel"]["expression"] = expression.replace(' == "Z0"', '.startsWith("Z0")')
    apply(lab, made("WorkspaceDeployment", "absent", {"type": TYPE, "machine": unread}))
    lab.wait("wd/absent", "condition=Available")
    deployment = lab.get("wd", "absent")["status"]["id"]
    answer = ada.asks("POST", f"/new/{deployment}", {"sshkey": ada.public_key()})
    assert answer.status == 200, answer.text
    instance = answer.json["id"]
    lab.wait(f"instance/{instance}", "condition=Ended", SECONDS)
    status = lab.get("instance", instance)["status"]
    assert status["reason"] == "StartFailed"
    for words in ("the device arm", f"class {DRIVER}", "Z0", "cannot allocate all claims"):
        assert words in status["message"]
    assert claims(lab, instance) == []


def test_the_next_holder_gets_the_device_only_after_the_give_back(
    lab: Lab, ada: Person, bob: Person, arms: Callable[..., None]
) -> None:
    """The hook takes its time, and has the device meanwhile."""
    serial, _ = two_of_one_node(lab)
    script = 'sleep 5; exec 3<>/dev/berth/arm; echo reset >&3; IFS= read -r -t 5 line <&3; test "$line"'
    arms(hooks={"reset": {"command": ["bash", "-c", script], "timeout": 60}}, left=serial)
    lab.wait("wd/left", "condition=Available")
    deployment = lab.get("wd", "left")["status"]["id"]
    mine = ada.takes(deployment)
    (held,) = claims(lab, mine)
    waits = bob.asks("POST", f"/new/{deployment}", {"sshkey": bob.public_key(), "reserve": True})
    assert waits.status == 200, waits.text
    assert ada.asks("POST", f"/terminate/{mine}").status == 200
    during: list[tuple[str, bool]] = []

    def passed_on() -> bool:
        now = lab.objects("resourceclaims")
        during.extend((one["metadata"]["uid"], "allocation" in one.get("status", {})) for one in now)
        return any(one["metadata"]["uid"] != held["metadata"]["uid"] for one in now)

    until(passed_on, "nobody got it next", 2 * SECONDS)
    for_ada = [is_allocated for uid, is_allocated in during if uid == held["metadata"]["uid"]]
    assert for_ada.count(True) > 5, "it was allocated to her lease while the hook ran"
    assert for_ada == sorted(for_ada, reverse=True), "and never free in between"
    (theirs,) = [
        one for one in lab.objects("instances") if one["spec"]["user"] == "bob" and "endTime" not in one["status"]
    ]
    instance = theirs["metadata"]["name"]
    lab.wait(f"instance/{instance}", "condition=Ready", SECONDS)
    assert lab.get("instance", mine)["status"]["endTime"]
    assert hears(lab, bob, instance) == ["arm", f"{serial} hello"]
    cleaned = next(one for one in lab.get("instance", mine)["status"]["conditions"] if one["type"] == "Cleaned")
    assert cleaned["status"] == "True", "reset had the device"
    bob.ends(instance, 2 * SECONDS)
