"""The driver's process against a real API server, with a gRPC client in the kubelet's place."""

import json

import pytest

from berth_dev.errors import ClusterError

from .lab import DRIVER, Lab

ARM = {"path": "/dev/lab/arm", "serial": "A7", "vendor": "ours", "product": "arm", "kind": "arm"}
SECOND = {"path": "/dev/lab/second", "serial": "B8"}
ATTRIBUTES = {"vendor", "product", "serial", "path", "subsystem", "kind"}


async def test_the_cluster_knows_the_devices_of_the_node(here: Lab) -> None:
    here.plug("arm")
    here.start(ARM, SECOND, {"path": "/dev/lab/arm", "node": "another", "serial": "C9"})
    await here.registered()
    await here.until(here.ready, "never ready")
    (piece,) = here.slices()
    assert (piece["spec"]["driver"], piece["spec"]["pool"]["name"]) == (DRIVER, here.node)
    (arm,) = piece["spec"]["devices"]
    assert set(arm["attributes"]) == ATTRIBUTES
    assert {name: value["string"] for name, value in arm["attributes"].items()} == {
        "vendor": "ours",
        "product": "arm",
        "serial": "A7",
        "path": "/dev/lab/arm",
        "subsystem": "",
        "kind": "arm",
    }


async def test_a_device_that_is_plugged_in_later_is_known_and_one_that_goes_gets_a_taint(here: Lab) -> None:
    arm = here.plug("arm")
    here.start(ARM, SECOND)
    await here.until(lambda: here.devices().keys() == {"A7"}, "the arm never came")
    here.plug("second")
    await here.until(lambda: here.devices().keys() == {"A7", "B8"}, "the second device never came")
    name, before = here.devices()["A7"]["name"], here.slices()[0]["spec"]["pool"]["generation"]
    arm.unplug()
    await here.until(lambda: here.devices()["A7"].get("taints"), "no taint")
    (taint,) = here.devices()["A7"]["taints"]
    assert (taint["key"], taint["effect"]) == (f"{DRIVER}/unplugged", "NoSchedule")
    assert "taints" not in here.devices()["B8"]
    assert here.slices()[0]["spec"]["pool"]["generation"] > before
    here.plug("arm")
    await here.until(lambda: not here.devices()["A7"].get("taints"), "the taint stays")
    assert here.devices()["A7"]["name"] == name


async def test_slices_that_somebody_deletes_or_changes_come_back_with_a_higher_generation(here: Lab) -> None:
    here.plug("arm")
    here.start(ARM)
    await here.registered()
    await here.until(here.ready, "never ready")
    (piece,) = here.slices()
    here.server.kubectl("delete", "resourceslices", piece["metadata"]["name"])  # as the kubelet does when it starts
    await here.until(here.slices, "the slice never came back")
    (again,) = here.slices()
    assert again["spec"]["pool"]["generation"] > piece["spec"]["pool"]["generation"]
    change = '{"spec":{"devices":[]}}'
    here.server.kubectl("patch", "resourceslices", piece["metadata"]["name"], "--type=merge", "-p", change)
    await here.until(lambda: here.devices().keys() == {"A7"}, "the arm never came back")


async def test_a_claim_gets_its_device_and_gives_it_back(here: Lab) -> None:
    arm = here.plug("arm")
    here.start(ARM)
    kubelet = await here.registered()
    await here.until(here.ready, "never ready")
    name = here.devices()["A7"]["name"]
    uid = here.allocate("arm", name)
    claim = here.claim("arm", uid)
    for _ in range(2):
        answer = await kubelet.prepare(claim)
        assert answer.error == ""
        (device,) = answer.devices
        assert (device.device_name, device.pool_name) == (name, here.node)
        assert list(device.cdi_device_ids) == [f"{DRIVER}/claim={uid}-{name}"]
    assert here.mounted(uid) == [arm.node, arm.node]
    second = here.claim("second", here.allocate("second", name))
    assert "in use by ResourceClaim" in (await kubelet.prepare(second)).error
    for _ in range(2):
        assert await kubelet.unprepare(claim) == ""
    assert here.mounted(uid) == []
    assert (await kubelet.prepare(second)).error == ""


async def test_a_claim_that_is_gone_made_anew_or_without_allocation_is_refused(here: Lab) -> None:
    here.plug("arm")
    here.start(ARM)
    kubelet = await here.registered()
    await here.until(here.ready, "never ready")
    assert "is gone" in (await kubelet.prepare(here.claim("none", "u"))).error
    here.allocate("arm", here.devices()["A7"]["name"])
    assert "made anew" in (await kubelet.prepare(here.claim("arm", "u"))).error
    uid = here.allocate("unknown", "no-such-device")
    assert "not plugged in" in (await kubelet.prepare(here.claim("unknown", uid))).error
    assert list(here.cdi.iterdir()) == []


async def test_a_killed_driver_loses_nothing_and_the_next_ends_what_it_began(here: Lab) -> None:
    arm = here.plug("arm")
    process = here.start(ARM)
    kubelet = await here.registered()
    await here.until(here.ready, "never ready")
    uid = here.allocate("arm", here.devices()["A7"]["name"])
    claim = here.claim("arm", uid)
    assert (await kubelet.prepare(claim)).error == ""
    process.send_signal(9)
    process.wait(timeout=60)
    # Meanwhile the device returns at another node, the CDI folder is lost (it is in memory), and so is the claim.
    arm.unplug()
    here.plug("another")
    again = here.plug("arm")
    assert again.node != arm.node
    for path in here.cdi.iterdir():
        path.unlink()
    here.remove_claim("arm")
    here.running.clear()
    here.start(ARM)
    kubelet = await here.registered()
    await here.until(lambda: here.mounted(uid) == [again.node] * 2, "no CDI file")
    answer = await kubelet.prepare(claim)
    assert (answer.error, len(answer.devices)) == ("", 1)
    assert await kubelet.unprepare(claim) == ""
    assert here.mounted(uid) == []


async def test_an_unplugged_device_leaves_its_claims_file_and_returns_to_it(here: Lab) -> None:
    arm = here.plug("arm")
    here.start(ARM)
    kubelet = await here.registered()
    await here.until(here.ready, "never ready")
    uid = here.allocate("arm", here.devices()["A7"]["name"])
    assert (await kubelet.prepare(here.claim("arm", uid))).error == ""
    arm.unplug()
    await here.until(lambda: not here.mounted(uid), "the file stays")
    assert "not plugged in" in (await kubelet.prepare(here.claim("arm", uid))).error
    here.plug("another")
    again = here.plug("arm")
    await here.until(lambda: here.mounted(uid) == [again.node] * 2, "the device never came back")


async def test_claims_end_while_the_api_server_is_out_of_reach(here: Lab) -> None:
    here.plug("arm")
    process = here.start(ARM)
    kubelet = await here.registered()
    await here.until(here.ready, "never ready")
    uid = here.allocate("arm", here.devices()["A7"]["name"])
    assert (await kubelet.prepare(here.claim("arm", uid))).error == ""
    process.send_signal(15)
    assert process.wait(timeout=60) == 0
    config = here.folder / "berth-devices.kubeconfig"
    config.write_text(config.read_text().replace(here.server.url, "https://127.0.0.1:9"))
    here.running.clear()
    here.start(ARM)
    kubelet = await here.registered()
    assert await kubelet.unprepare(here.claim("arm", uid)) == ""
    assert here.mounted(uid) == []
    assert not here.ready()


def test_the_drivers_account_writes_slices_of_its_own_node_only(here: Lab) -> None:
    config = here.folder / "berth-devices.kubeconfig"

    def body(node: str) -> str:
        spec = {"driver": DRIVER, "nodeName": node, "pool": {"name": node, "generation": 1, "resourceSliceCount": 1}}
        metadata = {"name": f"{here.node}-x"}
        slice_of = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": metadata, "spec": spec}
        return json.dumps(slice_of)

    words = (f"--kubeconfig={config}", "create", "--dry-run=server", "-f", "-")
    assert "created" in here.server.kubectl(*words, stdin=body(here.node))
    with pytest.raises(ClusterError, match="its own node only"):
        here.server.kubectl(*words, stdin=body("another"))
