from typing import Any

import pytest

from berth_devices.claims import cdi
from berth_devices.claims.record import Allocated, ClaimError, Record, allocated, refuse_shared
from berth_devices.discovery.inventory import Device, present

from .machines import ARM, CAMERA, pty

UID = "6f1e0c5a-0000-4000-8000-000000000001"
LEASE = "i-0190aaaa-e123-7000-8000-000000000000-e2-arm"


def claim(*results: dict[str, Any], uid: str = UID, name: str = "arm") -> dict[str, Any]:
    rows = [{"driver": "devices.berth.dev", "pool": "node-1", "request": "device", **one} for one in results]
    return {
        "metadata": {"namespace": "lab", "name": name, "uid": uid},
        "status": {"allocation": {"devices": {"results": rows}}},
    }


def record(*devices: tuple[str, str], uid: str = UID, name: str = "arm") -> Record:
    return Record(uid, "lab", name, tuple(Allocated(request, device) for request, device in devices))


def test_a_claim_has_what_the_scheduler_gave_it_of_this_driver() -> None:
    other = {"driver": "gpu.example.org", "device": "gpu-0", "pool": "x"}
    assert allocated(claim({"device": "d1"}, other), uid=UID, pool="node-1") == record(("device", "d1"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (claim({"device": "d1"}, uid="another"), "made anew"),
        (claim(), "no allocated device"),
        ({"metadata": claim()["metadata"]}, "no allocated device"),
        (claim({"device": "d1", "pool": "node-2"}), "of node node-2, and this is node node-1"),
        (claim({"device": "d1", "adminAccess": True}), "adminAccess"),
    ],
)
def test_another_claim_or_another_nodes_or_one_with_admin_access_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ClaimError, match=words):
        allocated(given, uid=UID, pool="node-1")


def test_a_device_has_one_claim_at_a_time() -> None:
    first, second = record(("device", "d1")), record(("device", "d1"), uid="other", name="arm-2")
    refuse_shared(first, [first])
    with pytest.raises(ClaimError, match="in use by ResourceClaim lab/arm "):
        refuse_shared(second, [first])
    with pytest.raises(ClaimError, match="twice"):
        refuse_shared(record(("a", "d1"), ("b", "d1")), [])


def test_the_file_of_a_claim_gives_the_device_at_a_fixed_path_and_at_its_own() -> None:
    (arm,) = present([ARM])
    given = record(("device", arm.name), name=LEASE)
    content = cdi.specification(given, {arm.name: arm})
    assert content is not None
    (entry,) = content["devices"]
    assert cdi.device_id(given, given.devices[0]) == f"{content['kind']}={entry['name']}"
    assert entry["containerEdits"] == {
        "deviceNodes": [
            {"path": "/dev/berth/arm", "hostPath": "/dev/ttyUSB0", "permissions": "rw"},
            {"path": "/dev/ttyUSB0", "hostPath": "/dev/ttyUSB0", "permissions": "rw"},
        ]
    }


def test_a_pseudo_terminal_is_mounted_from_its_own_file_system() -> None:
    (arm,) = present([pty("/dev/lab/arm", 5, "A7")])
    content = cdi.specification(record(("device", arm.name)), {arm.name: arm})
    assert content is not None
    (entry,) = content["devices"]
    mounts = entry["containerEdits"]["mounts"]
    assert [(one["hostPath"], one["containerPath"]) for one in mounts] == [
        ("/dev/pts/5", "/dev/berth/arm"),
        ("/dev/pts/5", "/dev/lab/arm"),
    ]
    assert "deviceNodes" not in entry["containerEdits"]


def test_a_container_gets_nothing_in_place_of_an_unplugged_device() -> None:
    arm, camera = present([ARM])[0], present([CAMERA])[0]
    gone = Device(arm.name, arm.attributes, arm.node, arm.path, arm.major, arm.minor, present=False)
    both = record(("arm", arm.name), ("camera", camera.name))
    content = cdi.specification(both, {arm.name: gone, camera.name: camera})
    assert content is not None
    assert [one["name"] for one in content["devices"]] == [f"{UID}-{camera.name}"]
    assert cdi.specification(record(("arm", arm.name)), {arm.name: gone}) is None
    assert cdi.specification(record(("arm", arm.name)), {}) is None


@pytest.mark.parametrize(
    ("name", "requests", "expected"),
    [
        ("arm", ["device"], ["arm"]),
        (LEASE, ["device"], ["arm"]),
        ("w-0190aaaa-0000-7000-8000-000000000000-e12-left.arm", ["x"], ["left.arm"]),
        ("i-not-of-a-lease-e2-arm", ["x"], ["i-not-of-a-lease-e2-arm"]),
        ("rig", ["arm", "cam/usb", "arm"], ["rig/arm", "rig/cam", "rig/arm.2"]),
    ],
)
def test_each_device_has_a_path_of_its_own_by_the_name_of_its_claim(
    name: str, requests: list[str], expected: list[str]
) -> None:
    given = record(*((request, f"d{number}") for number, request in enumerate(requests)), name=name)
    assert cdi.labels(given) == expected
