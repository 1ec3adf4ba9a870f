"""An API server without device taints, and with v1beta1 of resource.k8s.io, as older clusters have them."""

import asyncio

import pytest

from berth_core import names
from berth_core.kube.connection import connected
from berth_devices.claims.disk import Disk
from berth_devices.discovery.kernel import Fixed, Kernel
from berth_devices.preparing import Preparer
from berth_devices.publishing import Publisher
from berth_devices.resource_api import NoApiError, ResourceApi
from berth_devices.stock import Stock

from .lab import Lab
from .test_driver import ARM, SECOND

pytestmark = pytest.mark.release(twin="tests/envtest/devices/test_driver.py")


async def test_an_unplugged_device_leaves_its_slice_and_returns_under_its_name(older_lab: Lab) -> None:
    arm = older_lab.plug("arm")
    older_lab.plug("second")
    older_lab.start(ARM, SECOND)
    await older_lab.registered()
    await older_lab.until(older_lab.ready, "never ready")
    name = older_lab.devices()["A7"]["name"]
    arm.unplug()
    await older_lab.until(lambda: older_lab.devices().keys() == {"B8"}, "the arm stays")
    assert "taints" not in older_lab.devices()["B8"]
    older_lab.plug("arm")
    await older_lab.until(lambda: older_lab.devices().keys() == {"A7", "B8"}, "the arm never came back")
    assert older_lab.devices()["A7"]["name"] == name


async def test_the_driver_speaks_v1beta1_where_that_is_what_it_finds(older_lab: Lab) -> None:
    older_lab.version = "v1beta1"
    arm = older_lab.plug("arm")
    fixed = (Fixed(ARM["path"], serial=ARM["serial"]),)
    look = Kernel(fixed, older_lab.folder / "host" / "dev").snapshot
    stock = Stock(look, (), Disk(older_lab.paths.state, older_lab.cdi))
    await stock.look()
    config = str(older_lab.folder / "berth-devices.kubeconfig")
    async with connected(names.DEVICES_MANAGER, config) as client:
        api = ResourceApi(client, ("v1beta1",))
        publisher = Publisher(client, api, stock, older_lab.node)
        running = asyncio.create_task(publisher.run())
        try:
            await older_lab.until(lambda: publisher.current, "never published")
            name = older_lab.devices()["A7"]["name"]
            (piece,) = older_lab.slices()
            assert piece["spec"]["devices"][0]["basic"]["attributes"]["serial"] == {"string": "A7"}
            uid = older_lab.allocate("arm", name)
            record = await Preparer(client, api, stock, older_lab.node).prepare(
                older_lab.namespaces.workspaces, "arm", uid
            )
            assert [one.device for one in record.devices] == [name]
            assert older_lab.mounted(uid) == [arm.node] * 2
            with pytest.raises(NoApiError, match=r"use Kubernetes 1\.34"):
                await ResourceApi(client, ("v9",)).claims()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
