"""Devices of nodes by Berth's driver: real kubelets, real scheduling, pseudo terminals for devices.

No USB hardware is there: fixed devices of the list are plugged in and unplugged (dev/berth_dev/cluster/devices.py). The
class of these tests has no label of machines, so anybody may claim by it.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lab import Lab

from berth_dev.cluster import devices, network
from berth_dev.cluster.devices import FIXED, Fixed, Plugged
from berth_dev.components import kubernetes_version
from berth_dev.envtest.testing import BerthCluster

pytestmark = [pytest.mark.nodes, pytest.mark.release(twin="tests/envtest/devices/test_driver.py")]

CLASS = "devices-of-tests"
DRIVER = "devices.berth.dev"
PLACE = "default"
SECONDS = 60
PRESENCE_SECONDS = 10
ARM, SECOND, OF_THE_OTHER_NODE = FIXED
HAS_TAINTS = kubernetes_version() != "1.34.4"
"""Device taints are there from Kubernetes 1.36 on; before, an unplugged device leaves its slice."""
SLEEPER = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
TALK = "exec 3<>/dev/berth/{name}; printf 'hello\\n' >&3; IFS= read -r -t 5 line <&3; echo \"$line\""


@pytest.fixture(scope="module", autouse=True)
def _class_of_tests(lab: Lab) -> Iterator[None]:
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": CLASS}}
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(body | {"spec": {"selectors": [selector]}}))
    yield
    lab.kubectl("delete", "deviceclass", CLASS)


@pytest.fixture
def plugged() -> Iterator[dict[str, Plugged]]:
    """All devices, plugged in, by serial number."""
    found = {one.serial: devices.plug(one) for one in FIXED}
    yield found
    for one in found.values():
        one.unplug()


@pytest.fixture
def desk(lab: Lab, cluster: BerthCluster) -> Iterator["Desk"]:
    made = Desk(lab, cluster)
    yield made
    made.clear()


class Desk:
    """Pods with claims, made by somebody with kubectl."""

    def __init__(self, lab: Lab, cluster: BerthCluster) -> None:
        self.lab, self.cluster = lab, cluster
        self.names: list[str] = []

    def takes(self, name: str, serial: str) -> None:
        """Make a claim for a serial number, and a pod with it, both under one name."""
        selector = {"cel": {"expression": f'device.attributes["{DRIVER}"].serial == "{serial}"'}}
        request = {"name": "device", "exactly": {"deviceClassName": CLASS, "selectors": [selector]}}
        claim = {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": name, "namespace": PLACE},
            "spec": {"devices": {"requests": [request]}},
        }
        container = {
            "name": "holder",
            "image": "localhost/berth-workspace:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "-c", SLEEPER],
            "resources": {"claims": [{"name": "device"}]},
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": PLACE},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "resourceClaims": [{"name": "device", "resourceClaimName": name}],
            },
        }
        self.names.append(name)
        items = {"apiVersion": "v1", "kind": "List", "items": [claim, pod]}
        self.lab.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def runs(self, name: str) -> Any:
        """Wait until a pod runs, and return it."""
        self.lab.wait(f"pod/{name}", "condition=Ready", seconds=SECONDS, namespace=PLACE)
        return self.pod(name)

    def pod(self, name: str) -> Any:
        """The pod as it is."""
        return self.lab.get("pod", name, PLACE)

    def ends(self, name: str) -> None:
        """Delete a pod and its claim, and wait until both are gone."""
        self.lab.kubectl("delete", f"pod/{name}", "-n", PLACE, "--ignore-not-found", f"--timeout={SECONDS}s")
        self.lab.kubectl("delete", f"resourceclaim/{name}", "-n", PLACE, "--ignore-not-found", f"--timeout={SECONDS}s")

    def hears(self, name: str) -> str:
        """Answer of the robot at the other end of a pod's device."""
        command = ["exec", name, "-n", PLACE, "--", "bash", "-c", TALK.format(name=name)]
        return self.lab.kubectl(*command).strip()

    def offered(self) -> dict[str, Any]:
        """Devices that the cluster knows of and may give away, by serial number, each with its pool."""
        slices = json.loads(self.lab.kubectl("get", "resourceslices", "-o", "json"))["items"]
        return {
            device["attributes"]["serial"]["string"]: device | {"pool": one["spec"]["pool"]["name"]}
            for one in slices
            if one["spec"]["driver"] == DRIVER
            for device in one["spec"].get("devices") or ()
            if not device.get("taints")
        }

    def cdi_file(self, name: str, node: str) -> Any:
        """Content of the CDI file of a claim on a node; None where there is none."""
        uid = self.lab.get("resourceclaim", name, PLACE)["metadata"]["uid"]
        machine = next(one for one in network.NODES if one.name == node)
        path = self.cluster.node(machine).cdi / f"{DRIVER}-{uid}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def clear(self) -> None:
        """End all that was made here."""
        for name in self.names:
            self.ends(name)


def until(holds: Callable[[], Any], complaint: str, seconds: float = SECONDS) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.2)
    return found


def in_place(desk: Desk) -> None:
    """Wait until the cluster offers every device."""
    until(lambda: set(desk.offered()) == {one.serial for one in FIXED}, f"not all are offered: {desk.offered()}")


@pytest.mark.usefixtures("plugged")
def test_each_pod_gets_the_device_with_the_serial_number_that_it_asks_for(desk: Desk) -> None:
    in_place(desk)
    for one in FIXED:
        assert desk.offered()[one.serial]["pool"] == one.node
    # The two arms of one node are asked for crosswise, so that order decides nothing.
    asked: dict[str, Fixed] = {"third": OF_THE_OTHER_NODE, "second": SECOND, "first": ARM}
    for name, device in asked.items():
        desk.takes(name, device.serial)
    for name, device in asked.items():
        assert desk.runs(name)["spec"]["nodeName"] == device.node
        assert desk.hears(name) == f"{device.serial} hello"


@pytest.mark.usefixtures("plugged")
def test_a_device_has_one_pod_at_a_time_and_the_next_gets_it_after_that(desk: Desk) -> None:
    in_place(desk)
    desk.takes("first", ARM.serial)
    desk.runs("first")
    desk.takes("next", ARM.serial)

    def refused() -> bool:
        conditions = desk.pod("next")["status"].get("conditions", ())
        return any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)

    until(refused, "the second pod was scheduled")
    assert desk.hears("first") == "A7 hello"
    desk.ends("first")
    desk.runs("next")
    assert desk.hears("next") == "A7 hello"


def test_an_unplugged_device_is_offered_no_more_and_comes_back_to_its_holder_under_the_same_id(
    desk: Desk, plugged: dict[str, Plugged]
) -> None:
    in_place(desk)
    desk.takes("first", ARM.serial)
    desk.runs("first")
    before = desk.cdi_file("first", ARM.node)
    plugged["A7"].unplug()
    until(lambda: "A7" not in desk.offered(), "it is still offered", PRESENCE_SECONDS)
    known = desk.lab.kubectl("get", "resourceslices", "-o", "json")
    assert (f"{DRIVER}/unplugged" in known) is HAS_TAINTS
    until(lambda: desk.cdi_file("first", ARM.node) is None, "the CDI file stays")

    # A container that starts now gets nothing in its place, and says so; another terminal has its number.
    filler = os.openpty()
    desk.lab.kubectl("exec", "first", "-n", PLACE, "--", "bash", "-c", "kill -TERM 1")

    def waiting() -> str:
        state = desk.pod("first")["status"]["containerStatuses"][0]["state"]
        return str(state.get("waiting", {}).get("message", ""))

    until(lambda: "CDI" in waiting(), "the container started without its device")
    again = devices.plug(ARM)
    try:
        assert again.node != plugged["A7"].node
        until(lambda: "A7" in desk.offered(), "it is not offered again", PRESENCE_SECONDS)
        desk.runs("first")
        assert desk.hears("first") == "A7 hello"
        after = desk.cdi_file("first", ARM.node)
        assert [one["name"] for one in after["devices"]] == [one["name"] for one in before["devices"]]
        assert after != before
    finally:
        for descriptor in filler:
            os.close(descriptor)
        desk.clear()
        again.unplug()


@pytest.mark.usefixtures("plugged")
def test_a_new_driver_ends_the_claims_of_the_one_before(desk: Desk) -> None:
    in_place(desk)
    desk.takes("first", ARM.serial)
    desk.runs("first")
    drivers = ("-n", "berth-devices", "-l", "app.kubernetes.io/component=devices")
    desk.lab.kubectl("delete", "pods", *drivers, f"--timeout={SECONDS}s")
    desk.lab.kubectl("rollout", "status", "daemonset/berth-devices", "-n", "berth-devices", f"--timeout={SECONDS}s")
    assert desk.hears("first") == "A7 hello"
    assert desk.cdi_file("first", ARM.node) is not None
    folder = next(desk.cluster.node(machine).cdi for machine in network.NODES if machine.name == ARM.node)
    desk.ends("first")
    until(lambda: not list(folder.glob(f"{DRIVER}-*.json")), "the CDI file stays")
    desk.takes("next", ARM.serial)
    desk.runs("next")
    assert desk.hears("next") == "A7 hello"
