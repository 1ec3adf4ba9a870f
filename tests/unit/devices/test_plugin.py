"""The kubelet's calls over unix sockets, with a real gRPC client in the kubelet's place."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from berth_core.kube import errors
from berth_devices.claims import cdi
from berth_devices.claims.disk import Disk
from berth_devices.claims.record import ClaimError, Record, allocated
from berth_devices.discovery.facts import Facts, Rule
from berth_devices.discovery.inventory import present
from berth_devices.kubelet.plugin import SERVICES, Plugin
from berth_devices.kubelet.protos import dra_pb2 as dra
from berth_devices.kubelet.protos import registration_pb2 as registration
from berth_devices.kubelet.sockets import Paths, alone, serving
from berth_devices.stock import Stock

from .machines import ARM
from .test_claims import claim

NAME = present([ARM])[0].name


class OfLab:
    """Claims of a namespace, by name, in the place of the API server's."""

    def __init__(self, stock: Stock, claims: dict[str, Any]) -> None:
        self.stock, self.claims = stock, claims

    async def prepare(self, namespace: str, name: str, uid: str) -> Record:
        if name == "out-of-reach":
            raise errors.UnavailableError("no connection")
        if name not in self.claims:
            raise ClaimError(f"ResourceClaim {namespace}/{name} is gone: delete the pod")
        record = allocated(self.claims[name], uid=uid, pool="node-1")
        await self.stock.prepare(record)
        return record

    async def unprepare(self, uid: str) -> None:
        await self.stock.unprepare(uid)


class Kubelet:
    """The kubelet's side of a socket."""

    def __init__(self, channel: grpc.aio.Channel, service: str = SERVICES[0]) -> None:
        self._channel = channel
        self._service = f"k8s.io.kubelet.pkg.apis.dra.{service}"

    async def call(self, method: str, request: Any, answer: Any) -> Any:
        call: Any = self._channel.unary_unary(
            method, request_serializer=lambda one: one.SerializeToString(), response_deserializer=answer.FromString
        )
        return await call(request, timeout=10)

    async def info(self) -> registration.PluginInfo:
        method = "/pluginregistration.Registration/GetInfo"
        answer: registration.PluginInfo = await self.call(method, registration.InfoRequest(), registration.PluginInfo)
        return answer

    async def tell(self, registered: bool, error: str = "") -> None:
        status = registration.RegistrationStatus(plugin_registered=registered, error=error)
        method = "/pluginregistration.Registration/NotifyRegistrationStatus"
        await self.call(method, status, registration.RegistrationStatusResponse)

    async def prepare(self, **uids: str) -> dict[str, dra.NodePrepareResourceResponse]:
        request = dra.NodePrepareResourcesRequest(claims=[_claim(name, uid) for name, uid in uids.items()])
        method = f"/{self._service}/NodePrepareResources"
        return dict((await self.call(method, request, dra.NodePrepareResourcesResponse)).claims)

    async def unprepare(self, **uids: str) -> dict[str, str]:
        request = dra.NodeUnprepareResourcesRequest(claims=[_claim(name, uid) for name, uid in uids.items()])
        method = f"/{self._service}/NodeUnprepareResources"
        answer = await self.call(method, request, dra.NodeUnprepareResourcesResponse)
        return {uid: one.error for uid, one in answer.claims.items()}


def _claim(name: str, uid: str) -> dra.Claim:
    return dra.Claim(namespace="lab", name=name, uid=uid)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path / "k")
    found.check()
    return found


@pytest.fixture
async def plugin(paths: Paths, tmp_path: Path) -> AsyncIterator[Plugin]:
    stock = Stock(lambda: [ARM], [Rule("tty")], Disk(paths.state, tmp_path / "cdi"))
    claims = {"arm": claim({"device": NAME}, uid="u1"), "second": claim({"device": NAME}, uid="u2", name="second")}
    made = Plugin(OfLab(stock, claims), "node-1", str(paths.service))
    async with serving(made, paths):
        yield made


async def test_the_kubelet_finds_the_service_by_the_registration(plugin: Plugin, paths: Paths) -> None:
    async with grpc.aio.insecure_channel(f"unix:{paths.registration}") as channel:
        info = await Kubelet(channel).info()
        assert (info.type, info.name, info.endpoint) == ("DRAPlugin", "devices.berth.dev", str(paths.service))
        assert list(info.supported_versions) == ["v1.DRAPlugin", "v1beta1.DRAPlugin"]
        await Kubelet(channel).tell(True)
        assert plugin.registered.is_set()
        await Kubelet(channel).tell(False, "another plugin has the name")
        assert not plugin.registered.is_set()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_claim_is_prepared_and_unprepared_in_both_versions(
    plugin: Plugin, paths: Paths, tmp_path: Path, service: str
) -> None:
    async with grpc.aio.insecure_channel(f"unix:{paths.service}") as channel:
        kubelet = Kubelet(channel, service)
        for _ in range(2):  # the kubelet asks again after its own restart
            answer = (await kubelet.prepare(arm="u1"))["u1"]
            (device,) = answer.devices
            assert (answer.error, device.pool_name, device.device_name) == ("", "node-1", NAME)
            assert list(device.request_names) == ["device"]
            assert list(device.cdi_device_ids) == [f"devices.berth.dev/claim=u1-{NAME}"]
        content = json.loads((tmp_path / "cdi" / cdi.file_name("u1")).read_bytes())
        assert f"{content['kind']}={content['devices'][0]['name']}" == device.cdi_device_ids[0]
        for _ in range(2):
            assert await kubelet.unprepare(arm="u1") == {"u1": ""}
        assert list((tmp_path / "cdi").iterdir()) == []


async def test_a_claim_that_fails_says_why_and_keeps_no_other_from_its_device(plugin: Plugin, paths: Paths) -> None:
    async with grpc.aio.insecure_channel(f"unix:{paths.service}") as channel:
        answers = await Kubelet(channel).prepare(
            gone="u0", **{"out-of-reach": "u3"}, arm="u1", second="u2", **{"..": "../x"}
        )
    assert set(answers) == {"u0", "u1", "u2", "u3", "../x"}
    assert "is gone" in answers["u0"].error
    assert "no connection" in answers["u3"].error
    assert answers["u1"].error == ""
    assert "in use by ResourceClaim lab/arm" in answers["u2"].error
    assert not any(answers[uid].devices for uid in ("u0", "u2", "u3", "../x"))


async def test_the_sockets_of_a_killed_process_are_in_nobodys_way(paths: Paths, tmp_path: Path) -> None:
    for path in (paths.service, paths.registration):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")
    stock = Stock(lambda: [Facts(**vars(ARM))], [Rule("tty")], Disk(paths.state, tmp_path / "cdi"))
    async with serving(Plugin(OfLab(stock, {}), "node-1", str(paths.service)), paths):
        async with grpc.aio.insecure_channel(f"unix:{paths.registration}") as channel:
            assert (await Kubelet(channel).info()).name == "devices.berth.dev"
    assert not paths.registration.exists()


async def test_one_process_of_a_node_runs_at_a_time(paths: Paths) -> None:
    entered = asyncio.Event()

    async def second() -> None:
        async with alone(paths):
            entered.set()

    async with alone(paths):
        waiting = asyncio.create_task(second())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await entered.wait()
    await waiting


def test_a_folder_with_too_long_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="BERTH_KUBELET_DIR"):
        Paths(Path("/x" * 60)).check()
